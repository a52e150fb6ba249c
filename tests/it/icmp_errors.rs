//! ICMP errors about segments of ours: whom they reach, what they end, and what they are not believed.

use std::net::{IpAddr, SocketAddr};

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::outcome::{Soft, Unreachable};
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_IPV4};
use dpdk_tcp::wire::ipv4::{self, Ipv4Fields};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::active::{LOCAL, SERVER, remote, syn_sent};
use crate::expect::{Out, Sent, read};
use crate::reach::{OUR_MAC, OURS, PEER_MAC, PEER_PORT, PEERS, PORT, Peer, Setup, Told, World, seg};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;
/// Some router on the way.
const ROUTER: [u8; 4] = [198, 18, 99, 1];

/// The type and code of each error, and what it says.
const ERRORS: [(u8, u8, Unreachable); 20] = [
    (3, 0, Unreachable::Network),
    (3, 1, Unreachable::Host),
    (3, 2, Unreachable::Protocol),
    (3, 3, Unreachable::Port),
    (3, 5, Unreachable::SourceRoute),
    (3, 6, Unreachable::Network),
    (3, 7, Unreachable::Host),
    (3, 8, Unreachable::Host),
    (3, 9, Unreachable::Prohibited),
    (3, 10, Unreachable::Prohibited),
    (3, 11, Unreachable::Network),
    (3, 12, Unreachable::Host),
    (3, 13, Unreachable::Prohibited),
    (3, 14, Unreachable::Prohibited),
    (3, 15, Unreachable::Prohibited),
    (11, 0, Unreachable::TimeExceeded),
    (11, 1, Unreachable::TimeExceeded),
    (12, 0, Unreachable::ParameterProblem),
    (12, 1, Unreachable::ParameterProblem),
    (12, 2, Unreachable::ParameterProblem),
];

fn is_hard(why: Unreachable) -> bool {
    matches!(why, Unreachable::Protocol | Unreachable::Port | Unreachable::Prohibited)
}

/// The beginning of a packet that we sent, or could have sent.
#[derive(Clone, Debug)]
pub struct Quote {
    pub source: [u8; 4],
    pub destination: [u8; 4],
    pub ports: (u16, u16),
    pub seq: Seq,
    /// The packet's total length.
    pub len: u16,
}

impl Quote {
    /// Of a segment that we sent.
    pub fn of(sent: &Sent) -> Quote {
        let options = if sent.segment.options.timestamps.is_some() { 12 } else { 0 };
        Quote {
            source: sent.source,
            destination: sent.destination,
            ports: sent.ports,
            seq: sent.segment.seq,
            len: (40 + options + sent.text.len()) as u16,
        }
    }

    /// Of a segment of ours to a peer, with this number.
    pub fn at(peer: &Peer, seq: Seq, len: u16) -> Quote {
        Quote { source: OURS, destination: PEERS, ports: (PORT, peer.port), seq, len }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 28];
        let fields = Ipv4Fields {
            source: self.source,
            destination: self.destination,
            protocol: 6,
            // A router has counted it down, and quotes the header as it came.
            ttl: 61,
            tos: 0,
            payload_len: self.len - 20,
            id: 0,
            dont_fragment: true,
        };
        ipv4::emit(bytes[..20].first_chunk_mut().unwrap(), &fields, false);
        bytes[20..22].copy_from_slice(&self.ports.0.to_be_bytes());
        bytes[22..24].copy_from_slice(&self.ports.1.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.seq.0.to_be_bytes());
        bytes
    }
}

/// A frame with an ICMP error from a router, with any quotation.
pub fn error_with(kind: u8, code: u8, mtu: u16, quote: &[u8]) -> Vec<u8> {
    let [high, low] = mtu.to_be_bytes();
    let mut message = [&[kind, code, 0, 0, 0, 0, high, low], quote].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut bytes = vec![0; 34];
    ethernet::emit(bytes[..14].first_chunk_mut().unwrap(), OUR_MAC, PEER_MAC, ETHERTYPE_IPV4);
    let fields = Ipv4Fields {
        source: ROUTER,
        destination: OURS,
        protocol: 1,
        ttl: 60,
        tos: 0xc0,
        payload_len: message.len() as u16,
        id: 7,
        dont_fragment: false,
    };
    ipv4::emit(bytes[14..34].first_chunk_mut().unwrap(), &fields, true);
    bytes.extend(message);
    bytes
}

impl World {
    /// A router reports that a packet could not be delivered.
    pub fn error(&mut self, kind: u8, code: u8, quote: &Quote) {
        self.send_frame(&error_with(kind, code, 0, &quote.bytes()));
        self.run();
    }

    /// A router reports that a packet is too big for the next hop.
    pub fn too_big(&mut self, mtu: u16, quote: &Quote) {
        self.send_frame(&error_with(3, 4, mtu, &quote.bytes()));
        self.run();
    }
}

/// A connection with a segment in flight.
fn sending(start: Start) -> (World, Peer, Sent) {
    let reached = reach(start, State::Established);
    let (mut world, peer) = (reached.world, reached.peer);
    world.call(|conn| assert_eq!(conn.send(&[7; 100]), 100));
    let sent = world.one();
    (world, peer, sent)
}

#[test]
fn an_error_reaches_the_connection_that_it_quotes_and_no_other() {
    //= MUST-54
    //= ICMPR-1
    //= SHLD-25
    let mut world = World::new();
    let first = world.establish(PEER_PORT);
    let id = world.probe.0.borrow().conn.unwrap();
    let second = world.establish(PEER_PORT + 1);
    world.call(|conn| assert_eq!(conn.send(b"two"), 3));
    world.error(3, 1, &Quote::at(&first, first.ack, 43));
    assert_eq!((world.told(), world.dropped(DropReason::IcmpNotInFlight)), (vec![], 1));
    world.error(3, 1, &Quote::at(&second, second.ack, 43));
    assert_eq!(world.told(), [Told::Trouble(Soft::Unreachable(Unreachable::Host))]);
    world.worker.call(id, |conn| assert_eq!(conn.send(b"one"), 3));
    world.run();
    let sent = world.sent();
    let quotes = Quote::of(&sent[1]);
    assert_eq!(quotes.ports.1, first.port);
    for wrong in [
        Quote { ports: (PORT, PEER_PORT + 2), ..quotes.clone() },
        Quote { ports: (PORT + 1, PEER_PORT), ..quotes.clone() },
        Quote { ports: (PEER_PORT, PORT), ..quotes.clone() },
        Quote { destination: ROUTER, ..quotes.clone() },
    ] {
        world.error(3, 1, &wrong);
    }
    assert_eq!((world.told(), world.dropped(DropReason::IcmpNoConnection)), (vec![], 4));
    world.error(11, 0, &quotes);
    assert_eq!(world.told(), [Told::Trouble(Soft::Unreachable(Unreachable::TimeExceeded))]);
    world.silent();
}

#[test]
fn no_error_ends_a_synchronized_connection() {
    //= MUST-56
    //= ICMPR-4
    //= ATK-24
    let states = [
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::Closing,
        State::LastAck,
        State::TimeWait,
    ];
    for state in states {
        let reached = reach(Start::BelowWrap, state);
        let (mut world, peer) = (reached.world, reached.peer);
        for (kind, code, _) in ERRORS {
            world.error(kind, code, &Quote::at(&peer, peer.ack - 1, 40));
        }
        assert_eq!(world.state(PEER_PORT), state);
        world.silent();
        let closed = world.told().into_iter().any(|told| matches!(told, Told::Closed(_)));
        assert!(!closed, "{state:?}");
    }
}

#[test]
fn each_error_is_told_by_name_and_once_until_there_is_progress() {
    //= SHLD-25
    //= MUST-56
    for (kind, code, why) in ERRORS {
        let (mut world, peer, sent) = sending(Start::AtWrap);
        let told = [Told::Trouble(Soft::Unreachable(why))];
        world.error(kind, code, &Quote::of(&sent));
        assert_eq!(world.told(), told, "{kind}/{code}");
        world.error(kind, code, &Quote::of(&sent));
        assert_eq!(world.told(), [], "{kind}/{code} again");
        world.inject(&[acks(&peer, 50)]);
        world.told();
        world.error(kind, code, &Quote { seq: sent.segment.seq + 50, ..Quote::of(&sent) });
        assert_eq!(world.told(), told, "{kind}/{code} after progress");
        world.inject(&[acks(&peer, 100)]);
        assert_eq!(world.told(), [Told::Writable]);
    }
}

/// The peer acknowledges so many octets.
fn acks(peer: &Peer, octets: u32) -> crate::reach::Seg {
    seg(ACK, peer.seq, peer.ack + octets).from_port(peer.port)
}

#[test]
fn only_what_is_in_flight_can_be_reported() {
    //= ICMPR-1
    //= PMTU-6
    //= ATK-24
    for start in Start::ALL {
        let (mut world, peer, sent) = sending(start);
        let una = sent.segment.seq;
        let mut said = 0;
        for (seq, heard) in [
            (una - 1, false),
            (una, true),
            (una + 99, true),
            (una + 100, false),
            (una + (1 << 31), false),
            (una - 70_000, false),
        ] {
            // Another code each time: the same is not told twice.
            let (kind, code, _) = ERRORS[usize::from(heard) * (1 + said)];
            world.error(kind, code, &Quote { seq, ..Quote::of(&sent) });
            world.too_big(60, &Quote { seq: una - 1, ..Quote::of(&sent) });
            assert_eq!(!world.told().is_empty(), heard, "{start:?}: {seq:?} from {una:?}");
            said += usize::from(heard);
        }
        assert_eq!(world.dropped(DropReason::IcmpNotInFlight), 4 + 6);
        world.inject(&[acks(&peer, 100)]);
        world.told();
        world.error(3, 1, &Quote::of(&sent));
        assert_eq!(world.told(), [], "acknowledged meanwhile");
    }
}

#[test]
fn a_quotation_that_we_did_not_send_is_refused() {
    //= ICMPR-2
    //= ICMPR-3
    let mut world = World::with(Setup { addrs: vec![OURS, [198, 18, 0, 9]], ..Setup::default() });
    let peer = world.establish(PEER_PORT);
    world.call(|conn| assert_eq!(conn.send(b"text"), 4));
    let quote = Quote::of(&world.one());
    for source in [PEERS, ROUTER, [198, 18, 0, 9]] {
        world.error(3, 1, &Quote { source, ..quote.clone() });
    }
    assert_eq!(world.dropped(DropReason::IcmpNotSentByUs), 3, "not from where the error came to");
    let whole = quote.bytes();
    let changed = |at: usize, value: u8| {
        let mut bytes = whole.clone();
        bytes[at] = value;
        bytes
    };
    let refused = [
        whole[..27].to_vec(),
        whole[..20].to_vec(),
        whole[..4].to_vec(),
        Vec::new(),
        changed(0, 0x65),
        changed(0, 0x46),
        changed(3, 39),
        changed(7, 1),
        changed(9, 17),
    ];
    for bytes in &refused {
        world.send_frame(&error_with(3, 1, 0, bytes));
        world.run();
    }
    assert_eq!(world.dropped(DropReason::IcmpQuote), refused.len() as u64);
    assert_eq!((world.told(), world.state(peer.port)), (vec![], State::Established));
    world.send_frame(&error_with(3, 1, 0, &whole));
    world.run();
    assert_eq!(world.told().len(), 1, "the quotation itself was sound");
}

#[test]
fn a_hard_error_ends_an_open_that_has_begun() {
    //= SHLD-26
    //= ICMPR-4
    for (kind, code, why) in ERRORS {
        let (mut world, syn) = syn_sent();
        world.error(kind, code, &Quote { seq: syn.segment.seq + 1, ..Quote::of(&syn) });
        assert_eq!(world.told(), [], "{kind}/{code} about another number");
        world.error(kind, code, &Quote::of(&syn));
        world.silent();
        if is_hard(why) {
            assert_eq!(world.told(), [Told::Closed(CloseReason::Unreachable(why))]);
            assert_eq!(world.count(Counter::Unreachable), 1);
            world.assert_quiet();
        } else {
            //= MUST-56
            //= ICMPR-5
            assert_eq!(world.told(), [Told::Trouble(Soft::Unreachable(why))], "{kind}/{code}");
            assert_eq!(world.worker.shard().connections(), 1);
        }
    }
}

#[test]
fn a_hard_error_ends_a_half_open_connection() {
    //= SHLD-26
    //= ICMPR-4
    for (kind, code, why) in ERRORS {
        let reached = reach(Start::AtWrap, State::SynReceived);
        let (mut world, peer) = (reached.world, reached.peer);
        world.error(kind, code, &Quote::at(&peer, peer.ack, 60));
        assert_eq!(world.state(PEER_PORT), State::SynReceived, "another number");
        world.error(kind, code, &Quote::at(&peer, peer.ack - 1, 60));
        world.silent();
        assert_eq!(world.told(), [], "nobody knows of it yet");
        let state = if is_hard(why) { State::Closed } else { State::SynReceived };
        assert_eq!(world.state(PEER_PORT), state, "{kind}/{code}");
        if is_hard(why) {
            world.assert_quiet();
        } else {
            world.inject(&[peer.seg(ACK)]);
            assert_eq!(world.told(), [Told::Open]);
        }
    }
}

#[test]
fn an_open_that_times_out_says_what_the_last_error_said() {
    //= ICMPR-5
    let (mut world, syn) = syn_sent();
    world.error(3, 0, &Quote::of(&syn));
    world.error(3, 1, &Quote::of(&syn));
    world.watch_ms(243_100);
    let last = world.told().pop();
    assert_eq!(last, Some(Told::Closed(CloseReason::Unreachable(Unreachable::Host))));
    assert_eq!(world.count(Counter::SynTimedOut), 1);
    world.assert_quiet();
}

#[test]
fn a_connection_that_times_out_says_what_the_last_error_said_unless_there_was_progress() {
    //= ICMPR-5
    for progress in [false, true] {
        let (mut world, peer, sent) = sending(Start::Plain);
        world.error(3, 1, &Quote::of(&sent));
        if progress {
            world.inject(&[acks(&peer, 50)]);
        }
        world.watch_ms(400_000);
        let why = if progress { CloseReason::TimedOut } else { CloseReason::Unreachable(Unreachable::Host) };
        assert_eq!(world.told().pop(), Some(Told::Closed(why)));
    }
}

#[test]
fn a_neighbour_that_does_not_answer_makes_its_host_unreachable() {
    //= ICMPR-5
    //= MUST-54
    for gateway in [None, Some([198, 18, 0, 254])] {
        let mut world = World::with(Setup { fixed: false, gateway, ..Setup::default() });
        let far = SocketAddr::new(IpAddr::V4([198, 19, 7, 7].into()), SERVER);
        let to = if gateway.is_some() { far } else { remote() };
        world.worker.open(None, Some(LOCAL), to).unwrap();
        world.pass_ms(10_000);
        assert_eq!(world.told(), [Told::Trouble(Soft::Unreachable(Unreachable::Neighbour))]);
        assert_eq!(world.worker.shard().connections(), 1, "it may still come up");
        world.watch_ms(233_100);
        assert_eq!(world.told(), [Told::Closed(CloseReason::Unreachable(Unreachable::Neighbour))]);
        world.assert_quiet();
    }
}

#[test]
fn a_destination_without_a_route_is_an_unreachable_network() {
    //= ICMPR-5
    let mut world = World::new();
    let far = SocketAddr::new(IpAddr::V4([198, 19, 7, 7].into()), SERVER);
    world.worker.open(None, Some(LOCAL), far).unwrap();
    world.pass_ms(2);
    assert_eq!(world.told(), [Told::Trouble(Soft::Unreachable(Unreachable::Network))]);
    world.watch_ms(243_100);
    assert_eq!(world.told(), [Told::Closed(CloseReason::Unreachable(Unreachable::Network))]);
    world.assert_quiet();
}

#[test]
fn an_error_counts_in_its_place_among_segments() {
    //= ICMPR-1
    let (mut world, peer, sent) = sending(Start::Plain);
    // The acknowledgment came first, though in the same burst.
    world.send_frame(&acks(&peer, 100).frame());
    world.send_frame(&error_with(3, 1, 0, &Quote::of(&sent).bytes()));
    world.run();
    assert_eq!((world.told(), world.dropped(DropReason::IcmpNotInFlight)), (vec![Told::Writable], 1));
    let (mut world, peer, sent) = sending(Start::Plain);
    world.send_frame(&error_with(3, 1, 0, &Quote::of(&sent).bytes()));
    world.send_frame(&acks(&peer, 100).frame());
    world.run();
    let trouble = Told::Trouble(Soft::Unreachable(Unreachable::Host));
    assert_eq!(world.told(), [trouble, Told::Writable]);
}

#[test]
fn source_quench_slows_nothing_down() {
    //= MUST-55
    //= ATK-26
    let reached = reach(Start::Plain, State::Established);
    let (mut world, peer) = (reached.world, reached.peer);
    world.call(|conn| assert_eq!(conn.send(&[7; 30_000]), 30_000));
    let sent = world.sent();
    for _ in 0..10 {
        world.error(4, 0, &Quote::of(&sent[0]));
    }
    world.silent();
    world.inject(&[acks(&peer, 14_600)]);
    let flight: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert!(flight >= 14_600, "the window has grown: {flight}");
    assert_eq!(world.dropped(DropReason::IcmpSourceQuench), 10);
}

#[test]
fn no_answer_is_drawn_by_errors() {
    //= ICMP4-3
    let (mut world, _, sent) = sending(Start::Plain);
    for (kind, code, _) in ERRORS {
        world.error(kind, code, &Quote::of(&sent));
        world.error(kind, code, &Quote { seq: sent.segment.seq - 1, ..Quote::of(&sent) });
    }
    let frames = world.drain_frames();
    assert!(frames.iter().all(|frame| matches!(read(frame), Out::Tcp(_))), "{frames:?}");
    assert!(frames.is_empty());
}
