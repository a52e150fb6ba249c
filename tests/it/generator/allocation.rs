//! Law 5 for the client: once it runs, launching, talking, closing and handing its counts over allocate nothing. Both
//! sides run over the memory link, in turn; whoever reports is outside.

use dpdk_tcp::app::Service;
use dpdk_tcp::app::client::{Order, Plan};
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::measure::side::Side;

use super::{HTTP, Pair, plan};
use crate::no_alloc::counted;

const CONNECTIONS: u64 = 600;
/// Turns of both sides between two looks of who reports.
const TURNS: u32 = 64;

const ECHO: Talk =
    Talk { request: Request::Payload { len: 700, seed: Some(5) }, reply: Reply::Same, requests: 3 };
const UP: Talk =
    Talk { request: Request::Payload { len: 30_000, seed: None }, reply: Reply::None, requests: 1 };
const UNTIL_CLOSE: Talk = Talk { request: Request::Whole(b"hello"), reply: Reply::PeerClose, requests: 1 };

/// Runs a plan to its end; says how often something was allocated, and how often counts were handed over.
fn run(plan: Plan, service: Service) -> (u64, u64) {
    // Each millisecond is the end of something that is measured.
    let ends: Vec<_> = (1..10_000).map(|ms| ms * 1_000_000).collect();
    let Pair { mut client, mut server, clock, mailboxes, .. } = Pair::new(plan, service, &ends);
    let mut at = clock.now();
    let (mut allocations, mut handed_over) = (0, 0);
    client.begin(at);
    server.begin(at);
    while !(client.side().is_done() && server.side().is_done()) {
        allocations += counted(|| {
            for _ in 0..TURNS {
                at = server.turn(at);
                at = client.turn(at);
            }
        })
        .1;
        for mailbox in &mailboxes {
            if let Some(interval) = mailbox.fetch() {
                handed_over += 1;
                mailbox.give_back(interval);
            }
        }
    }
    let tally = *client.side().worker().app().tally();
    assert_eq!((tally.closed_all(), tally.check()), (CONNECTIONS, Ok(())), "{tally:?}");
    (allocations, handed_over)
}

#[test]
fn nothing_is_allocated_whatever_a_connection_is_and_however_it_is_closed() {
    //= LIM-13
    let rows = [
        (HTTP, Close::Fin, Service::Http),
        (HTTP, Close::Rst, Service::Http),
        (HTTP, Close::HalfClose, Service::Http),
        (HTTP, Close::Abandon, Service::Http),
        (ECHO, Close::Fin, Service::Echo),
        (ECHO, Close::HalfClose, Service::Echo),
        (UP, Close::Fin, Service::Discard),
        (UNTIL_CLOSE, Close::Peer, Service::Reply),
        (Talk::SILENT, Close::Rst, Service::Discard),
        (Talk::SILENT, Close::Fin, Service::Discard),
    ];
    let mut handed_over = 0;
    for (talk, close, service) in rows {
        for order in [Order::Own, Order::Random { active: 30 }] {
            let plan = Plan { order, ..plan(talk, close, 100, CONNECTIONS) };
            let (allocations, times) = run(plan, service);
            assert_eq!(allocations, 0, "{talk:?}, {close:?}, {order:?}");
            handed_over += times;
        }
    }
    assert!(handed_over > 40, "{handed_over}");
}
