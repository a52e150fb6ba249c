//! Pools: exhausted, too large, and with frames that do not come back.

use std::sync::Arc;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::dpdk::eal::Eal;
use dpdk_tcp::dpdk::mempool::{Mempool, PoolPlan, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::link::{Frame, QueuePair};

use crate::child::{self, plan};

fn null_port(eal: &Eal, pool: &Arc<Mempool>) -> Port {
    let mut port = Port::configure(eal, &port::find(eal, "0").unwrap(), PortConfig::default(), pool).unwrap();
    port.start().unwrap();
    port
}

#[test]
fn a_planted_leak_is_found_and_named() {
    child::run("pools::a_planted_leak_is_found_and_named", || {
        let eal = child::eal(&["-l", "0", "--vdev", "net_null0"]);
        let pool = Mempool::create(&eal, "leaky", &plan(), -1).unwrap();
        let port = null_port(&eal, &pool);
        let mut queue = port.queue(0, Arc::default()).unwrap();
        std::mem::forget(queue.alloc());
        std::mem::forget(queue.alloc());
        let kept_alive = queue.alloc().unwrap();
        drop(queue);
        port.close().unwrap();
        let leak = pool.check_returned().unwrap_err();
        assert_eq!(leak.missing, 3);
        assert!(leak.to_string().contains("`leaky`"), "{leak}");
        // The pool and EAL go, and a frame that is still out can be looked at and dropped all the same.
        drop(pool);
        drop(eal);
        assert!(kept_alive.bytes().is_empty());
        drop(kept_alive);
    });
}

#[test]
fn an_exhausted_pool_gives_no_frame_and_recovers() {
    child::run("pools::an_exhausted_pool_gives_no_frame_and_recovers", || {
        let eal = child::eal(&["-l", "0", "--vdev", "net_null0"]);
        let small = PoolPlan { descriptors: 0, queues: 1, lcores: 0, in_flight: 1, mtu: 1_500 };
        let pool = Mempool::create(&eal, "small", &small, -1).unwrap();
        let port = null_port(&eal, &pool);
        let mut queue = port.queue(0, Arc::default()).unwrap();
        let mut held = Vec::new();
        while let Some(frame) = queue.alloc() {
            held.push(frame);
        }
        assert_eq!(held.len(), pool.size() as usize, "the last frame is given out too");
        let mut frames = Burst::new();
        queue.rx_burst(&mut frames, 8);
        assert!(frames.is_empty());
        held.truncate(10);
        assert!(queue.alloc().is_some());
        for frame in held {
            queue.recycle(frame);
        }
        drop(queue);
        port.close().unwrap();
        assert_eq!(pool.check_returned(), Ok(Returned::All));
    });
}

#[test]
fn a_pool_beyond_memory_names_the_pages_that_it_needs() {
    child::run("pools::a_pool_beyond_memory_names_the_pages_that_it_needs", || {
        let eal = child::eal(&["-l", "0", "--socket-limit", "256"]);
        let huge = PoolPlan { in_flight: 40_000_000, ..plan() };
        let cause = Mempool::create(&eal, "huge", &huge, -1).unwrap_err().to_string();
        assert!(cause.contains("scripts/hugepages") && cause.contains("MB"), "{cause}");
        Mempool::create(&eal, "twice", &plan(), -1).map(std::mem::forget).unwrap();
        let cause = Mempool::create(&eal, "twice", &plan(), -1).unwrap_err().to_string();
        assert!(cause.contains("`twice`") && cause.contains("another name"), "{cause}");
    });
}
