//! Conversations over the memory link: their frames, their number, and that all frames come back.

use super::*;
use crate::link::memory::{MemoryQueue, Plan as Link, pair};

/// Open, request, reply, close in six packets.
const CRR: Exchange<'_> = Exchange { client: &[74, 151, 66], server: &[74, 166, 66] };
/// Acknowledgments that nobody answers, in the middle and at the end.
const OPEN_CLOSE: Exchange<'_> = Exchange { client: &[74, 66, 66, 66], server: &[74, 0, 66] };

fn plan(exchange: Exchange<'_>) -> Plan<'_> {
    Plan { exchange, in_flight: 100, conversations: 1_000, burst: 32 }
}

fn mac<Q: QueuePair>(queue: &Q) -> Mac {
    Mac(queue.caps().mac)
}

fn sides(link: Link, plan: Plan<'_>) -> (Client<MemoryQueue>, Server<MemoryQueue>) {
    let (a, b) = pair(link);
    let (ours, theirs) = (mac(&a), mac(&b));
    (Client::new(a, theirs, plan).unwrap(), Server::new(b, ours, plan).unwrap())
}

/// Runs both in turn to the end; returns how many frames each has moved.
#[track_caller]
fn run(client: &mut Client<MemoryQueue>, server: &mut Server<MemoryQueue>) -> (usize, usize) {
    let mut moved = (0, 0);
    while !(client.is_done() && server.is_done()) {
        let now = (client.pass(), server.pass());
        assert!(now.0 + now.1 > 0, "stuck after {} conversations", client.conversations_done());
        moved = (moved.0 + now.0, moved.1 + now.1);
    }
    moved
}

#[test]
fn all_conversations_are_held_and_every_frame_comes_back() {
    for exchange in [CRR, OPEN_CLOSE] {
        for burst in [1, 2, 7, 64] {
            for (slots, frames, in_flight) in [(1_024, 4_096, 100), (4, 4_096, 100), (64, 268, 5_000)] {
                let plan = Plan { in_flight, burst, ..plan(exchange) };
                let (mut client, mut server) = sides(Link { slots, frames, ..Link::default() }, plan);
                let moved = run(&mut client, &mut server);
                let answers = exchange.server.iter().filter(|len| **len != 0).count();
                let all = 1_000 * (exchange.client.len() + answers);
                assert_eq!(moved, (all, all), "{exchange:?} in bursts of {burst} over {slots} slots");
                assert_eq!(client.conversations_done(), 1_000);
                let queue = client.into_queue();
                let pool = queue.pool();
                drop((queue, server.into_queue()));
                assert_eq!(pool.in_use(), 0);
            }
        }
    }
}

/// Lengths of the frames that come out of a queue; they go on to the other one.
fn relay(from: &mut MemoryQueue, to: &mut MemoryQueue) -> Vec<usize> {
    let mut frames = Burst::new();
    from.rx_burst(&mut frames, 64);
    let lengths = frames.iter().map(|frame| frame.bytes().len()).collect();
    to.tx_burst(&mut frames);
    assert!(frames.is_empty());
    lengths
}

#[test]
fn one_conversation_is_on_the_wire_what_the_plan_says() {
    let rounds = |exchange| {
        let ((a, mut middle), (mut other, b)) = (pair(Link::default()), pair(Link::default()));
        let plan = Plan { in_flight: 1, conversations: 2, ..plan(exchange) };
        let (to_server, to_client) = (mac(&b), mac(&a));
        let mut client = Client::new(a, to_server, plan).unwrap();
        let mut server = Server::new(b, to_client, plan).unwrap();
        let mut seen = Vec::new();
        while !client.is_done() || !server.is_done() {
            client.pass();
            let asked = relay(&mut middle, &mut other);
            server.pass();
            seen.push((asked, relay(&mut other, &mut middle)));
        }
        seen
    };
    let one = |asked: &[usize], answered: &[usize]| (asked.to_vec(), answered.to_vec());
    let crr = [one(&[74], &[74]), one(&[151], &[166]), one(&[66], &[66])];
    assert_eq!(rounds(CRR), [&crr[..], &crr[..], &[one(&[], &[])]].concat());
    assert_eq!(
        rounds(OPEN_CLOSE),
        [
            one(&[74], &[74]),
            one(&[66, 66], &[66]),
            // The last acknowledgment of the first conversation, and the second one.
            one(&[66, 74], &[74]),
            one(&[66, 66], &[66]),
            one(&[66], &[]),
        ]
    );
}

#[test]
fn as_many_conversations_are_open_as_the_plan_says() {
    let (mut client, mut server) = sides(Link::default(), Plan { in_flight: 90, ..plan(CRR) });
    let mut sent = 0;
    while sent < 90 {
        let now = client.pass();
        assert!(now > 0 && now <= 32, "a burst at most");
        sent += now;
    }
    assert_eq!((client.pass(), client.open), (0, 90), "nobody has answered");
    assert_eq!(server.pass(), 64, "a burst received, and answered");
}

#[test]
fn the_last_conversation_leaves_none_open() {
    for in_flight in [1, 999, 1_000, 2_000] {
        let (mut client, mut server) = sides(Link::default(), Plan { in_flight, ..plan(OPEN_CLOSE) });
        run(&mut client, &mut server);
        assert_eq!((client.open, client.pass(), server.pass()), (0, 0, 0));
    }
    let (client, server) = sides(Link::default(), Plan { conversations: 0, ..plan(CRR) });
    assert!(client.is_done() && server.is_done());
}

#[test]
fn frames_of_others_are_counted_and_left_alone() {
    let (a, mut b) = pair(Link::default());
    let mut client = Client::new(a, mac(&b), Plan { in_flight: 1, ..plan(CRR) }).unwrap();
    client.pass();
    let mut frames = Burst::new();
    b.rx_burst(&mut frames, 64);
    let mut short = b.alloc().unwrap();
    short.set_len(20);
    let mut other = b.alloc().unwrap();
    other.set_len(60);
    ethernet::emit(other.bytes_mut().first_chunk_mut().unwrap(), Mac([2; 6]), Mac([4; 6]), 0x0800);
    frames.clear();
    frames.extend([short, other]);
    b.tx_burst(&mut frames);
    assert_eq!((client.pass(), client.strangers(), client.conversations_done()), (2, 2, 0));
    b.rx_burst(&mut frames, 64);
    assert!(frames.is_empty(), "nothing is answered");
}

#[test]
fn two_threads_hold_all_conversations() {
    let (mut client, mut server) = sides(Link::default(), Plan { conversations: 50_000, ..plan(CRR) });
    let answering = std::thread::spawn(move || {
        while !server.is_done() {
            if server.pass() == 0 {
                std::thread::yield_now();
            }
        }
        server.into_queue()
    });
    while !client.is_done() {
        if client.pass() == 0 {
            std::thread::yield_now();
        }
    }
    let queue = client.into_queue();
    let pool = queue.pool();
    drop((queue, answering.join().unwrap()));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    let long = [66; STEPS_MAX + 1];
    let exchange = |client, server| plan(Exchange { client, server });
    let rows: [(Plan<'_>, PlanError); 10] = [
        (exchange(&[], &[]), PlanError::Steps(0)),
        (exchange(&long, &[66]), PlanError::Steps(33)),
        (exchange(&[66], &[66, 66]), PlanError::Answers(2, 1)),
        (exchange(&[66, 66], &[0]), PlanError::NoAnswer),
        (exchange(&[23], &[66]), PlanError::Length(23, 1_514)),
        (exchange(&[66], &[1_515]), PlanError::Length(1_515, 1_514)),
        (exchange(&[0, 66], &[66, 66]), PlanError::Length(0, 1_514)),
        (Plan { burst: 0, ..plan(CRR) }, PlanError::Burst(0)),
        (Plan { burst: 65, ..plan(CRR) }, PlanError::Burst(65)),
        (Plan { in_flight: 0, ..plan(CRR) }, PlanError::NoneInFlight),
    ];
    for (wrong, why) in rows {
        let (a, b) = pair(Link { frames: 4, ..Link::default() });
        assert_eq!(Client::new(a, mac(&b), wrong).err(), Some(why));
        assert_eq!(Server::new(b, Mac([2; 6]), wrong).err(), Some(why));
    }
}

#[test]
fn a_run_is_the_frames_between_two_answers() {
    let run = |answered: &[bool]| {
        longest_run(&answered.iter().map(|a| Step { len: 66, answered: *a }).collect::<Vec<_>>())
    };
    assert_eq!(run(&[true, true, true]), 1);
    assert_eq!(run(&[true, false, true, false]), 2);
    assert_eq!(run(&[false, true, true, false, false]), 4, "over the end");
    assert_eq!(run(&[true, false, false]), 3);
}
