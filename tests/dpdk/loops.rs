//! A loop over real frames in memory, against a peer whose every frame is made by hand.

use std::time::{Duration, Instant};

use dpdk_tcp::app::Services;
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::arp::{self, ArpPacket, Operation};
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, Mac};
use dpdk_tcp::wire::ipv4::{self, Ipv4Fields};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, Header, Segment};

use crate::child;
use crate::rig::{CLIENT, Ends, Loop, Plan, SERVER};

const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
const OWN_PORT: u16 = 40_000;

/// Both ends: the loop, which runs when the peer waits for it, and the peer's queue.
struct Wire {
    run: Loop<Queue, Services>,
    queue: Queue,
    server: Mac,
}

impl Wire {
    fn send(&mut self, ethertype: u16, len: usize, fill: impl FnOnce(&mut [u8])) {
        let mut frame = self.queue.alloc().unwrap();
        frame.set_len(ethernet::HEADER_LEN + len);
        let (header, body) = frame.bytes_mut().split_first_chunk_mut().unwrap();
        ethernet::emit(header, self.server, MAC, ethertype);
        body.fill(0);
        fill(body);
        let mut frames = Burst::new();
        frames.push(frame);
        self.queue.tx_burst(&mut frames);
        assert!(frames.is_empty());
    }

    /// Sends a segment from our port to the server's.
    fn segment(&mut self, port: u16, flags: Flags, (seq, ack): (Seq, Seq), text: &[u8]) {
        let len = tcp::HEADER_LEN + text.len();
        self.send(ETHERTYPE_IPV4, ipv4::HEADER_LEN + len, |packet| {
            let (ip, rest) = packet.split_first_chunk_mut().unwrap();
            let (source, destination) = (CLIENT.octets(), SERVER.octets());
            let fields = Ipv4Fields {
                source,
                destination,
                protocol: ipv4::PROTOCOL_TCP,
                ttl: 64,
                tos: 0,
                payload_len: len as u16,
                id: 0,
                dont_fragment: true,
            };
            ipv4::emit(ip, &fields, true);
            let header = Header { ports: (OWN_PORT, port), seq, ack, flags, wnd: 60_000, up: 0 };
            header.emit(rest.first_chunk_mut().unwrap(), tcp::HEADER_LEN);
            rest[tcp::HEADER_LEN..].copy_from_slice(text);
            let pseudo = pseudo_v4(source, destination, ipv4::PROTOCOL_TCP, len as u16);
            let sum = (pseudo + Sum::of(rest)).finish();
            rest[tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
        });
    }

    fn arp(&mut self, operation: Operation) {
        let packet = ArpPacket {
            operation,
            sender_mac: MAC,
            sender: CLIENT.octets(),
            target_mac: self.server,
            target: SERVER.octets(),
        };
        self.send(ETHERTYPE_ARP, arp::PACKET_LEN, |body| arp::emit(body.first_chunk_mut().unwrap(), &packet));
    }

    /// Lets the loop run until `found` finds what it wants in a frame of its.
    #[track_caller]
    fn wait<T>(&mut self, found: impl Fn(u16, &[u8]) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            assert!(started.elapsed() < Duration::from_secs(5), "it does not come");
            self.run.worker.pass(self.run.clock.now());
            let mut frames = Burst::new();
            self.queue.rx_burst(&mut frames, 1);
            for frame in frames.drain(..) {
                let (header, body) = ethernet::parse(frame.bytes()).unwrap();
                let found = found(header.ethertype, body);
                self.queue.recycle(frame);
                if let Some(found) = found {
                    return found;
                }
            }
        }
    }

    /// The next segment with its text. Its checksums must be right.
    #[track_caller]
    fn next(&mut self) -> (Segment, Vec<u8>) {
        self.wait(|ethertype, body| {
            if ethertype != ETHERTYPE_IPV4 {
                return None;
            }
            let packet = ipv4::parse(body, false).unwrap();
            let len = packet.payload.len() as u16;
            let pseudo = pseudo_v4(packet.source, packet.destination, ipv4::PROTOCOL_TCP, len);
            assert_eq!((pseudo + Sum::of(packet.payload)).finish(), 0);
            let (ports, segment, text_at) = tcp::parse(packet.payload).unwrap();
            assert_eq!(ports.1, OWN_PORT);
            Some((segment, packet.payload[text_at..].to_vec()))
        })
    }

    /// Asks for the server's address, which tells it ours.
    fn meet(&mut self) {
        self.arp(Operation::Request);
        let sender = self.wait(|ethertype, body| {
            let packet = (ethertype == ETHERTYPE_ARP).then(|| arp::parse(body).unwrap())?;
            (packet.operation == Operation::Reply && packet.target == CLIENT.octets())
                .then_some(packet.sender_mac)
        });
        assert_eq!(sender, self.server);
    }

    /// Opens a connection from sequence number `iss` on; returns the server's next one.
    fn open(&mut self, port: u16, iss: Seq) -> Seq {
        self.segment(port, Flags::SYN, (iss, Seq(0)), &[]);
        let (answer, _) = self.next();
        assert_eq!((answer.flags, answer.ack), (Flags::SYN | Flags::ACK, iss + 1));
        self.segment(port, Flags::ACK, (iss + 1, answer.seq + 1), &[]);
        answer.seq + 1
    }
}

/// The server's loop at one end of a cable, and the other end in the test's hands; at the end every frame must
/// be back.
fn on_a_cable(body: fn(&mut Wire)) {
    let ends = Ends::new(child::eal(&["-l", "0"]), 64);
    let [(queue, counters), (peer, _)] = [ends.queue(0), ends.queue(1)];
    let server = Mac(queue.caps().mac);
    let run = Plan::of(SERVER).serve(&ends.eal, queue, counters);
    let mut wire = Wire { run, queue: peer, server };
    body(&mut wire);
    let Wire { run, queue, .. } = wire;
    drop((run.worker.into_queues(), queue));
    ends.close();
}

#[test]
fn a_peer_made_by_hand_opens_exchanges_and_closes() {
    child::run("loops::a_peer_made_by_hand_opens_exchanges_and_closes", || {
        on_a_cable(|wire| {
            wire.meet();
            let next = wire.open(7, Seq(1_000));
            wire.segment(7, Flags::ACK | Flags::PSH, (Seq(1_001), next), b"twelve bytes");
            let (echo, text) = wire.next();
            assert_eq!((echo.seq, echo.ack, &text[..]), (next, Seq(1_013), &b"twelve bytes"[..]));
            wire.segment(7, Flags::FIN | Flags::ACK, (Seq(1_013), next + 12), &[]);
            let (fin, _) = wire.next();
            assert!(fin.flags.has(Flags::FIN));
            assert_eq!((fin.seq, fin.ack), (next + 12, Seq(1_014)));
            wire.segment(7, Flags::ACK, (Seq(1_014), next + 13), &[]);
            let finished = wire.run.counters.clone();
            let started = Instant::now();
            while finished.get(Counter::Finished) == 0 {
                assert!(started.elapsed() < Duration::from_secs(5));
                wire.run.worker.pass(wire.run.clock.now());
            }
            assert_eq!(wire.run.worker.shard().connections(), 0);
        });
    });
}

#[test]
fn frames_of_a_connection_in_the_middle_of_its_life_come_back_as_well() {
    child::run("loops::frames_of_a_connection_in_the_middle_of_its_life_come_back_as_well", || {
        on_a_cable(|wire| {
            // An answer that waits for ARP, an answer in the ring, and data that is on its way to the loop.
            wire.segment(7, Flags::SYN, (Seq(5), Seq(0)), &[]);
            for _ in 0..100 {
                wire.run.worker.pass(wire.run.clock.now());
            }
            wire.segment(81, Flags::SYN, (Seq(5), Seq(0)), &[]);
            assert_eq!(wire.run.worker.shard().half_open(), 1);
        });
    });
}

#[test]
fn an_answer_waits_for_the_peer_s_address_and_then_goes() {
    //= ARP-4
    child::run("loops::an_answer_waits_for_the_peer_s_address_and_then_goes", || {
        on_a_cable(|wire| {
            wire.segment(80, Flags::SYN, (Seq(77), Seq(0)), &[]);
            let asked = wire.wait(|ethertype, body| {
                let packet = (ethertype == ETHERTYPE_ARP).then(|| arp::parse(body).unwrap())?;
                (packet.target == CLIENT.octets()).then_some(packet)
            });
            assert_eq!((asked.operation, asked.sender), (Operation::Request, SERVER.octets()));
            wire.arp(Operation::Reply);
            let (answer, _) = wire.next();
            assert_eq!((answer.flags, answer.ack), (Flags::SYN | Flags::ACK, Seq(78)));
        });
    });
}

#[test]
fn a_frame_with_a_wrong_checksum_is_dropped_by_name() {
    //= MUST-3
    child::run("loops::a_frame_with_a_wrong_checksum_is_dropped_by_name", || {
        on_a_cable(|wire| {
            wire.meet();
            wire.send(ETHERTYPE_IPV4, 40, |body| {
                let fields = Ipv4Fields {
                    source: CLIENT.octets(),
                    destination: SERVER.octets(),
                    protocol: ipv4::PROTOCOL_TCP,
                    ttl: 64,
                    tos: 0,
                    payload_len: 20,
                    id: 0,
                    dont_fragment: true,
                };
                let (ip, rest) = body.split_first_chunk_mut().unwrap();
                ipv4::emit(ip, &fields, true);
                let header = Header {
                    ports: (OWN_PORT, 7),
                    seq: Seq(1),
                    ack: Seq(0),
                    flags: Flags::SYN,
                    wnd: 1,
                    up: 0,
                };
                header.emit(rest.first_chunk_mut().unwrap(), tcp::HEADER_LEN);
                rest[tcp::CHECKSUM_AT] = 0x12;
            });
            let counters = wire.run.counters.clone();
            let started = Instant::now();
            while counters.dropped(DropReason::TcpChecksum) == 0 {
                assert!(started.elapsed() < Duration::from_secs(5));
                wire.run.worker.pass(wire.run.clock.now());
            }
            assert_eq!(counters.get(Counter::Syn), 0);
        });
    });
}
