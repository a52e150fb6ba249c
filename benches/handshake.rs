//! Whole connections through the whole loop over the network in memory, the client's segments made by hand:
//! SYN, ACK with a request, reply, FIN both ways. The wire's and the hand-made client's cost is in the number.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::tally::Tally;
use dpdk_tcp::app::{Service, Services};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::{FixedNeighbour, Host};
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::Worker;
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::link::{Caps, Frame, QueuePair};
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{End, SimClock, wire};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use dpdk_tcp::wire::ipv4::{self, Ipv4Fields};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, Header};

const MACS: [Mac; 2] = [Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 2])];
const OURS: [u8; 4] = [198, 18, 0, 1];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 198.18.0.1\r\nConnection: close\r\n\r\n";
/// Connections that go through their stages together.
const BATCH: usize = 32;

pub fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("connection");
    group.throughput(Throughput::Elements(BATCH as u64)).measurement_time(Duration::from_secs(4));
    for time_wait in [1_000u32, 1_000_000] {
        let mut bench = Bench::new(time_wait);
        group.bench_with_input(BenchmarkId::new("request and close", time_wait), &time_wait, |b, _| {
            b.iter(|| bench.batch());
        });
        assert!(bench.counters.get(Counter::Established) > 0);
    }
    group.finish();
}

struct Bench {
    clock: SimClock,
    pool: FramePool,
    worker: Worker<End, Services>,
    peer: End,
    counters: Arc<Counters>,
    /// The next client's port and address.
    next: u32,
}

impl Bench {
    /// The server closes last, so that TIME-WAIT is the client's; `records` only sizes the tables.
    fn new(records: u32) -> Bench {
        let (clock, pool) = (SimClock::default(), FramePool::new(1_024));
        clock.advance_to(Instant(1_000_000));
        let caps = |mac: Mac| Caps {
            mac: mac.0,
            mtu: 1500,
            tx_ip_checksum: false,
            tx_tcp_checksum: false,
            rx_checksum: false,
            tso: None,
        };
        let (end, peer) = wire(&clock, &pool, MACS.map(caps), [Faults::default(); 2], 1);
        let secrets = Secrets::from_seed(1);
        let mut locals = Locals::default();
        locals.add(IpAddr::V4(OURS.into()), 15, 0).unwrap();
        let neighbours: Vec<_> = (0..64u8)
            .map(|n| FixedNeighbour { interface: 0, ip: IpAddr::V4([198, 18, 1, n].into()), mac: MACS[1] })
            .collect();
        let host = Host::new(&locals, Routes::default(), &neighbours, false, &secrets, clock.now());
        let counters = Arc::new(Counters::default());
        let limits = Limits { connections: records, time_wait_max: records, ..Limits::default() };
        let mut shard = Shard::new(limits, Config::default(), secrets, locals, counters.clone(), clock.now());
        shard.listen(None, 80).unwrap();
        let responses = Box::leak(Box::new(Responses::new(0)));
        let app =
            Services::new(&[Service::Http], shard.slots() as usize, responses, Arc::new(Tally::default()));
        let worker = Worker::new(vec![end], host, shard, app, Arc::new(Control::default()));
        Bench { clock, pool, worker, peer, counters, next: 0 }
    }

    /// A batch of connections from SYN to the end.
    fn batch(&mut self) {
        self.clock.advance_to(Instant(self.clock.now().0 + 20));
        let clients: Vec<_> = (0..BATCH as u32).map(|n| self.next.wrapping_add(n)).collect();
        self.next = self.next.wrapping_add(BATCH as u32);
        let iss = Seq(self.next.wrapping_mul(65_537));
        self.send(clients.iter().map(|n| segment(*n, iss, Seq(0), Flags::SYN, b"")));
        let syn_acks = self.answers();
        let with_request = syn_acks
            .iter()
            .map(|(n, seq, _)| segment(*n, iss + 1, *seq + 1, Flags::ACK | Flags::PSH, REQUEST));
        self.send(with_request.collect::<Vec<_>>().into_iter());
        let replies = self.answers();
        let seq = iss + 1 + REQUEST.len() as u32;
        let fins = replies.iter().filter(|(.., end)| end.1.has(Flags::FIN));
        let closing = fins.map(|(n, _, end)| segment(*n, seq, end.0, Flags::ACK | Flags::FIN, b""));
        self.send(closing.collect::<Vec<_>>().into_iter());
        self.answers();
    }

    fn send(&mut self, segments: impl Iterator<Item = Vec<u8>>) {
        let mut burst = Burst::new();
        segments.for_each(|bytes| burst.push(self.pool.frame(&bytes).unwrap()));
        self.peer.tx_burst(&mut burst);
        self.worker.pass(self.clock.now());
    }

    /// Client, SEG.SEQ, the number after the segment, and its flags.
    fn answers(&mut self) -> Vec<(u32, Seq, (Seq, Flags))> {
        let mut all = Vec::new();
        loop {
            let mut frames = Burst::new();
            self.peer.rx_burst(&mut frames, 64);
            if frames.is_empty() {
                return all;
            }
            for frame in &frames {
                let Some((header, packet)) = ethernet::parse(frame.bytes()) else { continue };
                if header.ethertype != ETHERTYPE_IPV4 {
                    continue;
                }
                let packet = ipv4::parse(packet, true).unwrap();
                let (ports, segment, _) = tcp::parse(packet.payload).unwrap();
                let client = u32::from(packet.destination[3]) << 16 | u32::from(ports.1);
                all.push((client, segment.seq, (segment.end(), segment.flags)));
            }
        }
    }
}

/// Client `n` is 198.18.1.(n / 65536 mod 64) with port n mod 65536, never 0.
fn segment(n: u32, seq: Seq, ack: Seq, flags: Flags, text: &[u8]) -> Vec<u8> {
    let source = [198, 18, 1, (n >> 16) as u8 & 63];
    let mut bytes = vec![0; 54 + text.len()];
    ethernet::emit(bytes[..14].first_chunk_mut().unwrap(), MACS[0], MACS[1], ETHERTYPE_IPV4);
    let fields = Ipv4Fields {
        source,
        destination: OURS,
        protocol: ipv4::PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        payload_len: 20 + text.len() as u16,
        id: 0,
        dont_fragment: true,
    };
    ipv4::emit(bytes[14..34].first_chunk_mut().unwrap(), &fields, true);
    let header = Header { ports: ((n as u16).max(1), 80), seq, ack, flags, wnd: 65_535, up: 0 };
    header.emit(bytes[34..].first_chunk_mut().unwrap(), 20);
    bytes[54..].copy_from_slice(text);
    let sum = (pseudo_v4(source, OURS, 6, 20 + text.len() as u16) + Sum::of(&bytes[34..])).finish();
    bytes[50..52].copy_from_slice(&sum.to_be_bytes());
    bytes
}
