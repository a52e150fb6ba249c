//! Timers that an application keeps for its connections (`App::next_due`, `App::on_due`).

use std::collections::VecDeque;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId, State};
use dpdk_tcp::engine::worker::Pass;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::active::remote;
use crate::expect::{Out, Sent, read};
use crate::reach::{Setup, Stack, seg};

/// An application that wants to be called back, and writes down when it was.
#[derive(Default)]
struct Impatient {
    due: VecDeque<(Instant, ConnId)>,
    called: Vec<(Instant, ConnId, State)>,
    polled: Vec<(Instant, u32)>,
    ends: Vec<CloseReason>,
}

impl App for Impatient {
    fn poll(&mut self, api: &mut Api<'_>) {
        self.polled.push((api.now(), api.connections()));
    }

    fn next_due(&mut self, now: Instant) -> Option<ConnId> {
        self.due.front().filter(|(at, _)| *at <= now)?;
        self.due.pop_front().map(|(_, id)| id)
    }

    fn on_due(&mut self, conn: &mut Conn<'_>) {
        self.called.push((conn.now(), conn.id(), conn.state()));
        conn.abort();
    }

    fn on_open(&mut self, _: &mut Conn<'_>, _: ListenerId) -> Accept {
        Accept::Take
    }

    fn on_data(&mut self, _: &mut Conn<'_>, data: &[u8]) -> usize {
        data.len()
    }

    fn on_writable(&mut self, _: &mut Conn<'_>) {}

    fn on_peer_close(&mut self, _: &mut Conn<'_>) {}

    fn on_closed(&mut self, _: ConnId, reason: CloseReason) {
        self.ends.push(reason);
    }
}

fn stack() -> Stack<Impatient> {
    let mut setup = Setup::default();
    setup.limits.connections = 600;
    setup.stack(&[], |_| Impatient::default())
}

#[test]
fn a_connection_is_called_for_in_the_pass_in_which_it_is_due_and_not_before() {
    let mut stack = stack();
    let id = stack.worker.open(None, None, remote()).unwrap();
    let at = Instant(stack.clock.now().0 + 300);
    stack.worker.app_mut().due.push_back((at, id));
    while stack.worker.pass(stack.clock.now()) == Pass::Busy {}
    assert_eq!(stack.worker.app().called, []);
    stack.clock.advance_to(at);
    assert_eq!(stack.worker.pass(at), Pass::Busy, "a callback is work");
    assert_eq!(stack.worker.app().called, [(at, id, State::SynSent)]);
    // What the call has done is settled before the application is polled.
    assert_eq!(stack.worker.app().polled.last(), Some(&(at, 0)));
    assert_eq!(stack.worker.app().ends, [CloseReason::Aborted]);
    stack.worker.shard().check_invariants().unwrap();
}

#[test]
fn a_connection_that_is_gone_is_not_called_for_nor_its_successor_in_the_slot() {
    let mut stack = stack();
    let now = stack.clock.now();
    let first = stack.worker.open(None, None, remote()).unwrap();
    stack.worker.call(first, |conn| conn.abort());
    let second = stack.worker.open(None, None, remote()).unwrap();
    assert_eq!(first.index, second.index);
    let nowhere = ConnId { index: 1 << 30, generation: 0 };
    stack.worker.app_mut().due.extend([first, nowhere].map(|id| (now, id)));
    stack.worker.pass(now);
    assert_eq!((stack.worker.app().called.len(), stack.worker.shard().connections()), (0, 1));
}

#[test]
fn of_many_that_are_due_no_more_than_a_bounded_number_is_called_for_in_a_pass() {
    //= LIM-13
    let mut stack = stack();
    let now = stack.clock.now();
    for _ in 0..600 {
        let id = stack.worker.open(None, None, remote()).unwrap();
        stack.worker.app_mut().due.push_back((now, id));
    }
    let called: Vec<_> = (0..3)
        .map(|_| {
            stack.worker.pass(now);
            stack.worker.app().called.len()
        })
        .collect();
    assert_eq!(called, [256, 512, 600]);
}

/// The segments that have reached the other end.
fn sent(stack: &mut Stack<Impatient>) -> Vec<Sent> {
    let mut frames = Burst::new();
    stack.peer.rx_burst(&mut frames, 64);
    let segments = frames.iter().filter_map(|frame| match read(frame.bytes()) {
        Out::Tcp(sent) => Some(sent),
        Out::Other => None,
    });
    segments.collect()
}

#[test]
fn what_a_callback_says_leaves_in_the_same_pass() {
    let mut stack = stack();
    let now = stack.clock.now();
    let id = stack.worker.open(None, None, remote()).unwrap();
    stack.worker.pass(now);
    let syn = sent(&mut stack).remove(0);
    let mut answer = seg(Flags::SYN | Flags::ACK, Seq(7), syn.segment.seq + 1);
    answer.ports = (syn.ports.1, syn.ports.0);
    let mut out = Burst::new();
    out.push(stack.pool.frame(&answer.frame()).unwrap());
    stack.peer.tx_burst(&mut out);
    stack.worker.pass(now);
    assert_eq!(sent(&mut stack).len(), 1);
    stack.worker.app_mut().due.push_back((now, id));
    stack.worker.pass(now);
    sent(&mut stack).remove(0).flags(Flags::RST).seq(syn.segment.seq + 1);
}
