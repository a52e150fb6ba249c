//! The service `reply`, segment by segment: its side of a conversation of six packets.

use std::sync::Arc;

use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::tally::Tally;
use dpdk_tcp::app::{Service, Services, reply};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::worker::Pass;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::expect::{Out, Sent, read};
use crate::reach::{PORT, Peer, Seg, Setup, Stack, seg};

const ACK: Flags = Flags::ACK;
const FIN: Flags = Flags::FIN;
const PSH: Flags = Flags::PSH;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 198.18.0.1\r\n\r\n";

/// A stack that serves `reply` with an answer of this size.
struct Server(Stack<Services>);

impl Server {
    fn new(size: usize, setup: &Setup) -> Server {
        let responses = Box::leak(Box::new(Responses::new(0)));
        let services = |slots| {
            Services::new(&[Service::Reply], slots as usize, responses, Arc::<Tally>::default())
                .with_reply(reply::text(size).leak())
        };
        let mut server = Server(setup.stack(&[PORT], services));
        server.hear(&[]);
        server
    }

    /// Segments arrive; says what was answered.
    fn hear(&mut self, segments: &[Seg]) -> Vec<Sent> {
        let Server(stack) = self;
        for segment in segments {
            let mut out = Burst::new();
            out.push(stack.pool.frame(&segment.frame()).unwrap());
            stack.peer.tx_burst(&mut out);
        }
        self.rest()
    }

    fn rest(&mut self) -> Vec<Sent> {
        let Server(stack) = self;
        while stack.worker.pass(stack.clock.now()) == Pass::Busy {}
        stack.worker.shard().check_invariants().unwrap();
        let mut all = Vec::new();
        loop {
            let mut frames = Burst::new();
            stack.peer.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                return all;
            }
            all.extend(frames.iter().filter_map(|frame| match read(frame.bytes()) {
                Out::Tcp(sent) => Some(sent),
                Out::Other => None,
            }));
        }
    }

    fn pass_ms(&mut self, ms: u64) -> Vec<Sent> {
        let mut all = Vec::new();
        for _ in 0..ms {
            let clock = &self.0.clock;
            clock.advance_to(Instant(clock.now().0 + 1_000));
            all.extend(self.rest());
        }
        all
    }

    /// SYN and SYN-ACK.
    #[track_caller]
    fn open(&mut self) -> Peer {
        let options = Options { mss: Some(1460), ..Options::default() };
        let sent = self.hear(&[seg(Flags::SYN, Seq(100), Seq(0)).options(options)]);
        assert_eq!(sent.len(), 1);
        sent[0].flags(Flags::SYN | ACK);
        Peer { port: crate::reach::PEER_PORT, seq: Seq(101), ack: sent[0].segment.seq + 1 }
    }

    fn count(&self, counter: Counter) -> u64 {
        self.0.counters.get(counter)
    }
}

#[test]
fn a_request_on_the_third_ack_is_answered_by_reply_and_fin_in_one_segment() {
    for size in [1, 256, 1_460] {
        let mut server = Server::new(size, &Setup::default());
        let mut peer = server.open();
        let sent = server.hear(&[peer.seg(ACK | PSH).text(REQUEST)]);
        assert_eq!(sent.len(), 1, "{sent:?}");
        peer.seq += REQUEST.len() as u32;
        sent[0].flags(FIN | ACK | PSH).seq(peer.ack).ack(peer.seq).text(&reply::text(size));
        peer.ack += size as u32 + 1;
        let sent = server.hear(&[peer.seg(ACK | FIN)]);
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent[0].flags(ACK).seq(peer.ack).ack(peer.seq + 1).text(b"");
        assert_eq!((server.count(Counter::TxSegments), server.count(Counter::RxSegments)), (3, 3));
        assert_eq!((server.count(Counter::Finished), server.count(Counter::TimeWaitEntered)), (1, 1));
        assert!(server.pass_ms(61_000).is_empty());
        assert_eq!((server.0.worker.shard().in_time_wait(), server.0.worker.shard().index_len()), (0, 0));
    }
}

#[test]
fn whatever_comes_after_the_reply_is_acknowledged_and_thrown_away() {
    //= SHLD-3
    let mut server = Server::new(256, &Setup::default());
    let mut peer = server.open();
    let request = peer.seg(ACK).text(REQUEST);
    peer.seq += REQUEST.len() as u32;
    // More of the request in the same burst, and later.
    let sent = server.hear(&[request, peer.seg(ACK).text(b"more")]);
    peer.seq += 4;
    let replies: Vec<_> = sent.iter().filter(|sent| !sent.text.is_empty()).collect();
    assert_eq!(replies.len(), 1, "{sent:?}");
    peer.ack += 257;
    for _ in 0..3 {
        let late = server.hear(&[peer.seg(ACK).text(b"late")]);
        peer.seq += 4;
        assert_eq!(late.len(), 1);
        late[0].flags(ACK).ack(peer.seq);
    }
    let sent = server.hear(&[peer.seg(ACK | FIN).text(b"last")]);
    sent[0].flags(ACK).ack(peer.seq + 5);
    assert_eq!((server.count(Counter::RstSent), server.count(Counter::TimeWaitEntered)), (0, 1));
}

#[test]
fn a_peer_that_closes_without_a_word_gets_none() {
    let mut server = Server::new(256, &Setup::default());
    let peer = server.open();
    let sent = server.hear(&[peer.seg(ACK), peer.seg(ACK | FIN)]);
    assert!(sent.iter().all(|sent| sent.text.is_empty()), "{sent:?}");
    sent.last().unwrap().flags(ACK | FIN);
}

#[test]
fn a_request_with_a_fin_is_answered_all_the_same() {
    let mut server = Server::new(256, &Setup::default());
    let peer = server.open();
    let sent = server.hear(&[peer.seg(ACK | FIN).text(REQUEST)]);
    assert_eq!(sent.len(), 1);
    sent[0].flags(ACK | FIN | PSH).ack(peer.seq + REQUEST.len() as u32 + 1).text(&reply::text(256));
}

#[test]
fn a_large_reply_comes_whole_with_the_fin_on_its_last_segment() {
    let mut server = Server::new(65_536, &Setup::default());
    let mut peer = server.open();
    let mut got: Vec<u8> = Vec::new();
    let mut sent = server.hear(&[peer.seg(ACK).text(REQUEST)]);
    peer.seq += REQUEST.len() as u32;
    while !sent.is_empty() {
        for segment in &sent {
            segment.seq(peer.ack);
            got.extend(&segment.text);
            peer.ack += segment.segment.len();
            assert_eq!(segment.segment.flags.has(FIN), got.len() == 65_536);
        }
        sent = server.hear(&[peer.seg(ACK)]);
    }
    assert_eq!(got, reply::text(65_536));
}
