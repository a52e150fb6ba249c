//! Devices whose drivers keep frames for good: their number is allowed for, and named.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::dpdk::mempool::{Mempool, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::link::{Frame, QueuePair};

use crate::child::{self, plan};

/// What the pool says in the end, which is not an error, whether the driver kept frames or not.
fn account(pool: &Mempool, device: &str) {
    let returned = pool.check_returned().unwrap();
    println!("RETURNED {returned}");
    if let Returned::ButForKept { by, .. } = &returned {
        assert!(by.iter().all(|kept| kept.device == device), "{returned}");
        assert!(returned.to_string().contains(device), "{returned}");
    }
}

#[test]
fn a_memif_client_with_zero_copy_may_keep_its_ring() {
    child::run("kept::a_memif_client_with_zero_copy_may_keep_its_ring", || {
        let socket = format!("socket=dpdk-tcp-{}", std::process::id());
        let server = format!("net_memif0,role=server,id=0,{socket}");
        let client = format!("net_memif1,role=client,id=0,{socket},zero-copy=yes");
        let single = "--single-file-segments";
        let eal = child::eal(&["-l", "0", single, "--vdev", &server, "--vdev", &client]);
        let pool = Mempool::create(&eal, "memif", &plan(), -1).unwrap();
        let open = |name| {
            let config = PortConfig::default();
            let mut port = Port::configure(&eal, &port::find(&eal, name).unwrap(), config, &pool).unwrap();
            port.start().unwrap();
            port
        };
        let (a, b) = (open("net_memif0"), open("net_memif1"));
        let started = Instant::now();
        while !(a.link().up && b.link().up) {
            assert!(started.elapsed() < Duration::from_secs(5), "the link stays down");
            thread::sleep(Duration::from_millis(5));
        }
        let (mut qa, mut qb) = (a.queue(0, Arc::default()).unwrap(), b.queue(0, Arc::default()).unwrap());
        let mut frames = Burst::new();
        let mut frame = qb.alloc().unwrap();
        frame.set_len(100);
        frame.bytes_mut().fill(7);
        frames.push(frame);
        qb.tx_burst(&mut frames);
        let mut arrived = Burst::new();
        while arrived.is_empty() && started.elapsed() < Duration::from_secs(5) {
            qa.rx_burst(&mut arrived, 32);
        }
        assert_eq!(arrived[0].bytes(), [7; 100]);
        drop((qa, qb, frames, arrived));
        b.close().unwrap();
        a.close().unwrap();
        account(&pool, "net_memif1");
    });
}

#[test]
fn an_af_xdp_port_may_keep_its_rings() {
    if !child::can_make_namespaces("kept::an_af_xdp_port_may_keep_its_rings") {
        return;
    }
    child::run_behind(&["unshare", "-n"], "kept::an_af_xdp_port_may_keep_its_rings", || {
        let words = ["link", "add", "dtx0", "type", "veth", "peer", "name", "dtx1"];
        assert!(Command::new("ip").args(words).status().unwrap().success());
        for name in ["dtx0", "dtx1"] {
            let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
            assert!(Command::new("ip").args(["link", "set", name, "up"]).status().unwrap().success());
        }
        let eal = child::eal(&["-l", "0", "--vdev", "net_af_xdp0,iface=dtx0"]);
        let pool = Mempool::create(&eal, "xdp", &plan(), -1).unwrap();
        let info = port::find(&eal, "net_af_xdp0").unwrap();
        let mut port = Port::configure(&eal, &info, PortConfig::default(), &pool).unwrap();
        port.start().unwrap();
        let mut queue = port.queue(0, Arc::default()).unwrap();
        let mut frames = Burst::new();
        queue.rx_burst(&mut frames, 32);
        frames.clear();
        let mut frame = queue.alloc().unwrap();
        frame.set_len(60);
        frames.push(frame);
        queue.tx_burst(&mut frames);
        drop((queue, frames));
        port.close().unwrap();
        account(&pool, "net_af_xdp0");
    });
}
