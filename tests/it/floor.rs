//! The floor over the simulated network: it needs no more of a link than the engine does.

use dpdk_tcp::link::QueuePair;
use dpdk_tcp::load::floor::{Client, Exchange, Plan, Server};
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{SimClock, wire};

use crate::no_alloc::counted;
use crate::reach::{OUR_MAC, PEER_MAC, caps, caps_with_tso};

const CRR: Exchange<'_> = Exchange { client: &[74, 151, 66], server: &[74, 166, 66] };

#[test]
fn all_conversations_are_held_over_a_wire_that_takes_little_at_once() {
    for (burst, tx_room) in [(1, 1), (7, 64), (32, 5), (64, 64)] {
        let (clock, pool) = (SimClock::default(), FramePool::new(1_000));
        let ends = [caps(PEER_MAC, 1_500), caps_with_tso(OUR_MAC, 1_500)];
        let (mut a, mut b) = wire(&clock, &pool, ends, [Faults::default(); 2], 1);
        (a.tx_room, b.tx_room) = (tx_room, tx_room);
        let plan = Plan { exchange: CRR, in_flight: 200, conversations: 3_000, burst };
        let mut client = Client::new(a, OUR_MAC, plan).unwrap();
        let mut server = Server::new(b, PEER_MAC, plan).unwrap();
        let mut moved = (0, 0);
        while !(client.is_done() && server.is_done()) {
            let now = (client.pass(), server.pass());
            assert!(now.0 + now.1 > 0, "stuck after {} conversations", client.conversations_done());
            moved = (moved.0 + now.0, moved.1 + now.1);
        }
        assert_eq!(moved, (18_000, 18_000));
        assert_eq!((client.strangers(), server.strangers()), (0, 0));
        drop((client.into_queue(), server.into_queue()));
        assert_eq!(pool.in_use(), 0);
    }
}

#[test]
fn neither_side_allocates_over_the_memory_link() {
    let (a, b) = dpdk_tcp::link::memory::pair(Default::default());
    let macs = [a.caps(), b.caps()].map(|caps| dpdk_tcp::wire::ethernet::Mac(caps.mac));
    let plan = Plan { exchange: CRR, in_flight: 500, conversations: 10_000, burst: 32 };
    let mut client = Client::new(a, macs[1], plan).unwrap();
    let mut server = Server::new(b, macs[0], plan).unwrap();
    let ((), allocations) = counted(|| {
        while !(client.is_done() && server.is_done()) {
            client.pass();
            server.pass();
        }
    });
    assert_eq!((client.conversations_done(), allocations), (10_000, 0));
}
