//! Before any state is looked at (requirements 2.1), and what CLOSED and LISTEN answer beyond the matrix.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::checksum::Sum;
use dpdk_tcp::wire::checksum::pseudo_v4;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{OURS, PEER_PORT, PEERS, Seg, Setup, Told, World, seg};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;

fn syn() -> Seg {
    seg(Flags::SYN, Seq(100), Seq(0))
}

/// Puts a right TCP checksum on a frame whose TCP bytes were changed.
fn summed(mut frame: Vec<u8>) -> Vec<u8> {
    frame[50..52].fill(0);
    let len = (frame.len() - 34) as u16;
    let source = [frame[26], frame[27], frame[28], frame[29]];
    let destination = [frame[30], frame[31], frame[32], frame[33]];
    let sum = (pseudo_v4(source, destination, 6, len) + Sum::of(&frame[34..])).finish();
    frame[50..52].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// The frame as a host sends it that leaves the sum to its device: the field holds the pseudo-header's.
fn partial(frame: &[u8]) -> Vec<u8> {
    let sum = pseudo_v4(PEERS, OURS, 6, (frame.len() - 34) as u16).fold();
    with(frame.to_vec(), |frame| frame[50..52].copy_from_slice(&sum.to_be_bytes()))
}

/// Puts a right IPv4 checksum on a frame whose IP header was changed.
fn headed(mut frame: Vec<u8>) -> Vec<u8> {
    frame[24..26].fill(0);
    let sum = Sum::of(&frame[14..34]).finish();
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn with(frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = frame;
    change(&mut frame);
    frame
}

/// The frame draws no answer, changes nothing, and is counted once.
#[track_caller]
fn is_dropped(name: &str, frame: &[u8], reason: DropReason) {
    let mut world = World::new();
    world.send_frame(frame);
    world.run();
    assert!(world.sent().is_empty(), "{name}: an answer");
    assert_eq!(world.dropped(reason), 1, "{name}: {}", reason.name());
    let all: u64 = DropReason::ALL.iter().map(|reason| world.dropped(*reason)).sum();
    assert_eq!(all, 1, "{name}: one reason");
    world.assert_quiet();
}

#[test]
fn what_is_wrong_before_the_state_is_dropped_silently() {
    //= PRE-1
    //= PRE-2
    //= PRE-3
    //= PRE-4
    //= PRE-6
    //= PRE-7
    //= MUST-3
    //= MUST-57
    //= ATK-19
    //= ATK-20
    //= ATK-31
    let good = syn().frame();
    let land = Seg { source: OURS, ports: (80, 80), ..syn() };
    let rows = [
        ("IP header checksum", with(good.clone(), |f| f[24] ^= 1), DropReason::IpChecksum),
        ("IP version", headed(with(good.clone(), |f| f[14] = 0x55)), DropReason::IpVersion),
        ("total length too long", headed(with(good.clone(), |f| f[17] = 200)), DropReason::IpTruncated),
        (
            "total length below the header",
            headed(with(good.clone(), |f| f[17] = 19)),
            DropReason::IpTruncated,
        ),
        ("no room for TCP", headed(with(good.clone(), |f| f[17] = 39)), DropReason::TcpMalformed),
        ("data offset 4", summed(with(good.clone(), |f| f[46] = 0x40)), DropReason::TcpMalformed),
        ("data offset beyond", summed(with(good.clone(), |f| f[46] = 0xf0)), DropReason::TcpMalformed),
        ("TCP checksum", with(good.clone(), |f| f[51] ^= 1), DropReason::TcpChecksum),
        ("only the pseudo-header is summed", partial(&good), DropReason::TcpChecksumPartial),
        ("a bit beside it", with(partial(&good), |f| f[51] ^= 1), DropReason::TcpChecksum),
        ("TCP checksum 0 is no pardon", with(good.clone(), |f| f[50..52].fill(0)), DropReason::TcpChecksum),
        (
            "broadcast at link level",
            with(good.clone(), |f| f[..6].fill(0xff)),
            DropReason::IpGroupDestination,
        ),
        ("multicast at link level", with(good.clone(), |f| f[0] |= 1), DropReason::IpGroupDestination),
        ("another MAC", with(good.clone(), |f| f[5] ^= 8), DropReason::EtherNotOurs),
        ("LAND", land.frame(), DropReason::TcpLand),
        ("source port 0", syn().from_port(0).frame(), DropReason::TcpPortZero),
        ("destination port 0", Seg { ports: (9, 0), ..syn() }.frame(), DropReason::TcpPortZero),
    ];
    for (name, frame, reason) in rows {
        is_dropped(name, &frame, reason);
    }
}

#[test]
fn addresses_that_no_host_has_are_not_answered() {
    //= PRE-4
    //= PRE-5
    //= MUST-57
    //= MUST-63
    //= ATK-20
    for source in [
        [0, 0, 0, 0],
        [0, 1, 2, 3],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [239, 9, 9, 9],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
        [198, 18, 0, 255],
        OURS,
    ] {
        for flags in [Flags::SYN, ACK, Flags::RST] {
            let segment = Seg { source, flags, ..syn() };
            is_dropped(&format!("from {source:?}"), &segment.frame(), DropReason::IpInvalidSource);
        }
    }
    for (destination, reason) in [
        ([255, 255, 255, 255], DropReason::IpGroupDestination),
        ([198, 18, 0, 255], DropReason::IpGroupDestination),
        ([224, 0, 0, 1], DropReason::IpGroupDestination),
        ([198, 18, 0, 77], DropReason::IpNotOurs),
    ] {
        is_dropped(&format!("to {destination:?}"), &Seg { destination, ..syn() }.frame(), reason);
    }
}

#[test]
fn padding_behind_the_packet_is_not_text() {
    //= PRE-8
    let mut reached = reach(Start::Plain, State::Established);
    let mut frame = reached.peer.seg(ACK).frame();
    frame.resize(60, 0xee);
    reached.world.send_frame(&frame);
    reached.world.run();
    reached.world.silent();
    assert_eq!(reached.world.told(), []);
    let mut frame = reached.peer.seg(ACK).text(b"ab").frame();
    frame.resize(60, 0xee);
    reached.world.send_frame(&frame);
    reached.world.run();
    reached.world.one().ack(reached.peer.seq + 2);
    assert_eq!(reached.world.told(), [Told::Data(b"ab".to_vec())]);
}

#[test]
fn options_that_cannot_be_walked_cost_a_syn_its_life_and_other_segments_nothing() {
    //= OPT-4
    //= MUST-5
    //= MUST-6
    //= MUST-7
    //= X-1
    //= ATK-31
    let optioned = |segment: Seg, bytes: [u8; 4]| {
        let mut frame = segment.options(Options { mss: Some(1460), ..Options::default() }).frame();
        frame[54..58].copy_from_slice(&bytes);
        summed(frame)
    };
    for broken in [[2, 0, 0, 0], [2, 1, 0, 0], [1, 1, 1, 2], [8, 10, 0, 0], [0xfd, 9, 0, 0]] {
        is_dropped("a SYN", &optioned(syn(), broken), DropReason::TcpBadOptions);
        let mut reached = reach(Start::Plain, State::Established);
        let text = reached.peer.seg(ACK).text(b"x");
        reached.world.send_frame(&optioned(text, broken));
        reached.world.run();
        assert_eq!(reached.world.told(), [Told::Data(b"x".to_vec())], "{broken:?}");
    }
    // An unknown kind, an MSS in the middle of a connection, and reserved bits.
    for strange in [[0xfd, 4, 9, 9], [2, 4, 0, 1], [3, 3, 14, 0], [4, 2, 1, 1]] {
        let mut reached = reach(Start::Plain, State::Established);
        let mut frame = optioned(reached.peer.seg(ACK).text(b"x"), strange);
        frame[46] |= 0x0f;
        reached.world.send_frame(&summed(frame));
        reached.world.run();
        assert_eq!(reached.world.told(), [Told::Data(b"x".to_vec())], "{strange:?}");
        reached.world.one();
        reached.world.call(|conn| assert_eq!(conn.send(&[0; 100]), 100));
        assert_eq!(reached.world.one().text.len(), 100);
    }
}

#[test]
fn a_segment_without_any_flag_is_dropped_after_the_sequence_test() {
    //= PRE-12
    //= COM-9
    //= COM-4
    for flags in [Flags(0), Flags::PSH, Flags::URG | Flags::PSH] {
        for state in [State::SynReceived, State::Established, State::CloseWait, State::LastAck] {
            let mut reached = reach(Start::BelowWrap, state);
            reached.world.inject(&[reached.peer.seg(flags).text(b"text")]);
            reached.world.silent();
            assert_eq!((reached.world.dropped(DropReason::NoAck), reached.world.told()), (1, vec![]));
            let old = Seg { seq: reached.peer.seq - 9, ..reached.peer.seg(flags) };
            reached.world.inject(&[old]);
            reached.world.one().flags(ACK).seq(reached.peer.ack).ack(reached.peer.seq);
            assert_eq!(reached.world.state(PEER_PORT), state);
        }
    }
}

#[test]
fn a_reset_for_nobody_echoes_the_timestamp() {
    //= CLD-4
    //= LIS-2
    //= TS-11
    let mut world = World::new();
    for (flags, port) in [(Flags::SYN, 81), (ACK, 81), (ACK, 80), (Flags::SYN | ACK, 80)] {
        let stray = seg(flags, Seq(7_000), Seq(5_000)).ts(0xdead_beef, 99);
        world.inject(&[Seg { ports: (PEER_PORT, port), ..stray }]);
        let reset = world.one();
        assert!(reset.segment.flags.has(Flags::RST));
        assert_eq!(reset.segment.options.timestamps, Some(Timestamps { val: 0, ecr: 0xdead_beef }));
        assert_eq!((reset.segment.wnd, reset.segment.options.mss), (0, None));
    }
    world.assert_quiet();
}

#[test]
fn resets_stop_at_their_rate_and_go_on_with_it() {
    //= CLD-5
    //= LIM-12
    //= ATK-2
    //= ATK-3
    //= ATK-22
    let mut setup = Setup::default();
    setup.limits.resets_per_second = 100;
    setup.limits.reset_burst = 40;
    let mut world = World::with(setup);
    let flood: Vec<_> = (0..200).map(|n| Seg { ports: (PEER_PORT, 1_000 + n), ..syn() }).collect();
    world.inject(&flood);
    assert_eq!(world.sent().len(), 40);
    assert_eq!(world.dropped(DropReason::RstRateLimited), 160);
    assert_eq!(world.count(Counter::RstSent), 40);
    world.pass_ms(100);
    world.inject(&flood);
    assert_eq!(world.sent().len(), 10);
    world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(5)]);
    world.one().flags(Flags::SYN | ACK);
}

#[test]
fn a_syn_that_asks_for_ecn_is_agreed_to_with_ece_alone() {
    //= LIS-10
    //= ECN-1
    //= ECN-3
    let (ece, cwr) = (Flags::ECE, Flags::CWR);
    for (asked, answered) in [(ece | cwr, ece), (ece, Flags(0)), (cwr, Flags(0)), (Flags(0), Flags(0))] {
        let mut world = World::new();
        world.inject(&[seg(Flags::SYN | asked, Seq(100), Seq(0))]);
        let syn_ack = world.one();
        syn_ack.flags(Flags::SYN | ACK | answered);
        assert_eq!(syn_ack.tos & 3, 0, "no SYN-ACK is marked");
        let ack = syn_ack.segment.seq + 1;
        world.inject(&[seg(ACK, Seq(101), ack)]);
        world.call(|conn| assert_eq!(conn.send(b"x"), 1));
        assert_eq!(world.one().tos & 3, if answered == ece { 2 } else { 0 });
    }
}

#[test]
fn a_congestion_mark_is_echoed_until_the_sender_says_it_reacted() {
    //= ECN-6
    //= ECN-7
    //= ATK-39
    let mut world = World::new();
    world.inject(&[seg(Flags::SYN | Flags::ECE | Flags::CWR, Seq(100), Seq(0))]);
    let ack = world.one().segment.seq + 1;
    world.inject(&[seg(ACK, Seq(101), ack)]);
    let marked = Seg { tos: 3, ..seg(ACK, Seq(101), ack).text(b"a") };
    let outside = Seg { seq: Seq(100), ..marked.clone() };
    world.inject(&[outside]);
    world.one().flags(ACK).ack(Seq(101));
    world.inject(&[marked]);
    world.one().flags(ACK | Flags::ECE).ack(Seq(102));
    world.inject(&[seg(ACK, Seq(102), ack).text(b"b")]);
    world.one().flags(ACK | Flags::ECE).ack(Seq(103));
    world.inject(&[seg(ACK | Flags::CWR, Seq(103), ack).text(b"c")]);
    world.one().flags(ACK).ack(Seq(104));
}
