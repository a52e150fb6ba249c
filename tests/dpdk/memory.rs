//! Devices without a kernel: net_null, net_pcap from a file, and two ports joined by rings.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::base::burst::{BURST_MAX, Burst};
use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::dpdk::cable::create_ring_pair;
use dpdk_tcp::dpdk::eal::Eal;
use dpdk_tcp::dpdk::mempool::{Mempool, PoolPlan, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::stats::counters::Counters;

use crate::child::{self, plan};

fn open(eal: &Eal, which: &str, config: PortConfig, pool: &Arc<Mempool>) -> (Port, Queue, Arc<Counters>) {
    let info = port::find(eal, which).unwrap();
    let mut port = Port::configure(eal, &info, config, pool).unwrap();
    port.start().unwrap();
    let counters = Arc::new(Counters::default());
    let queue = port.queue(0, counters.clone()).unwrap();
    (port, queue, counters)
}

#[test]
fn net_null_gives_and_takes_frames_and_all_come_back() {
    child::run("memory::net_null_gives_and_takes_frames_and_all_come_back", || {
        let eal = child::eal(&["-l", "0", "--vdev", "net_null0"]);
        let pool = Mempool::create(&eal, "null", &plan(), -1).unwrap();
        let (port, mut queue, _) = open(&eal, "net_null0", PortConfig::default(), &pool);
        assert!(port.describe().to_string().starts_with("net_null0 (net_null) "), "{}", port.describe());
        let mut frames = Burst::new();
        queue.rx_burst(&mut frames, 32);
        assert_eq!(frames.len(), 32);
        assert!(frames.iter().all(|frame| frame.bytes() == [0; 64]));
        queue.rx_burst(&mut frames, 1_000);
        assert_eq!(frames.len(), BURST_MAX, "no more than fits");
        queue.tx_burst(&mut frames);
        assert!(frames.is_empty());
        assert_eq!((port.stats().rx_frames, port.stats().tx_frames), (64, 64));
        let frame = queue.alloc().unwrap();
        assert!(pool.in_use() > 0);
        queue.recycle(frame);
        drop(queue);
        port.close().unwrap();
        assert_eq!(pool.check_returned(), Ok(Returned::All));
        drop(pool);
        eal.cleanup().unwrap();
    });
}

#[test]
fn a_cable_carries_frames_both_ways_and_is_drained_when_it_is_closed() {
    child::run("memory::a_cable_carries_frames_both_ways_and_is_drained_when_it_is_closed", || {
        let eal = child::eal(&["-l", "0"]);
        let ids = create_ring_pair(&eal, "t", 64).unwrap();
        let names: Vec<_> = port::ports(&eal).into_iter().map(|info| info.name).collect();
        assert_eq!(names, ["net_ring_ta", "net_ring_tb"]);
        let pool = Mempool::create(&eal, "cable", &plan(), -1).unwrap();
        let (a, mut qa, _) = open(&eal, "net_ring_ta", PortConfig::default(), &pool);
        let (b, mut qb, _) = open(&eal, &ids[1].to_string(), PortConfig::default(), &pool);
        assert_ne!(a.caps().mac, b.caps().mac);
        assert!(a.caps().mac[0] & 3 == 2 && !a.caps().tx_tcp_checksum && !a.caps().rx_checksum);

        // A ring of 64 holds 63: the 64th frame stays, and it is the last one.
        let mut burst = Burst::new();
        for number in 0..64u8 {
            let mut frame = qa.alloc().unwrap();
            assert!(frame.bytes().is_empty() && frame.capacity() >= 1_518);
            frame.set_len(60 + usize::from(number));
            frame.bytes_mut().fill(number);
            burst.push(frame);
        }
        qa.tx_burst(&mut burst);
        assert_eq!(burst.len(), 1);
        assert_eq!(burst[0].bytes(), [63; 123]);
        let mut arrived = Burst::new();
        qb.rx_burst(&mut arrived, 7);
        qb.rx_burst(&mut arrived, 64);
        assert_eq!(arrived.len(), 63);
        for (number, frame) in arrived.iter().enumerate() {
            assert_eq!(frame.bytes(), vec![number as u8; 60 + number]);
        }
        // What was received is what is sent next, without the pool.
        let in_use = pool.in_use();
        let received: Vec<_> = arrived.iter().map(|frame| frame.bytes().as_ptr()).collect();
        for frame in arrived.drain(..) {
            qb.recycle(frame);
        }
        let mut reply = qb.alloc().unwrap();
        assert!(reply.bytes().is_empty());
        reply.set_len(1_000_000);
        assert_eq!(reply.bytes().len(), reply.capacity());
        assert!(received.contains(&reply.bytes().as_ptr()));
        assert_eq!(pool.in_use(), in_use);
        let mut replies = Burst::new();
        replies.push(reply);
        qb.tx_burst(&mut replies);

        // Frames on their way at the end, in both directions, one end at a time.
        qa.tx_burst(&mut burst);
        drop((qa, burst));
        a.close().unwrap();
        let mut late = Burst::new();
        late.extend(qb.alloc());
        qb.tx_burst(&mut late);
        drop((qb, late, replies, arrived));
        assert!(pool.in_use() > 0);
        b.close().unwrap();
        assert_eq!(pool.check_returned(), Ok(Returned::All));
        assert!(port::ports(&eal).is_empty());
        // The name is free again.
        create_ring_pair(&eal, "u", 64).unwrap();
    });
}

#[test]
fn ports_and_queues_are_given_out_once() {
    child::run("memory::ports_and_queues_are_given_out_once", || {
        let eal = child::eal(&["-l", "0", "--vdev", "net_null0"]);
        let pool = Mempool::create(&eal, "once", &plan(), -1).unwrap();
        let (port, queue, counters) = open(&eal, "0", PortConfig::default(), &pool);
        let again = port.queue(0, counters.clone()).err().unwrap().to_string();
        assert!(again.contains("taken before"), "{again}");
        assert!(port.queue(1, counters).is_err());
        let info = port::find(&eal, "net_null0").unwrap();
        let claimed = Port::configure(&eal, &info, PortConfig::default(), &pool).err().unwrap().to_string();
        assert!(claimed.contains("in use"), "{claimed}");
        assert!(port.close().unwrap_err().to_string().contains("queues are in use"));
        // The last queue closes the port then.
        drop(queue);
        assert_eq!(
            port::find(&eal, "0").unwrap_err().to_string().split(':').next(),
            Some("EAL found no port")
        );
        assert_eq!(pool.check_returned(), Ok(Returned::All));
        // Whatever is dropped first, EAL is cleaned up last.
        drop(eal);
        drop(pool);
    });
}

#[test]
fn an_mtu_that_the_device_cannot_have_is_refused_with_one_that_it_can() {
    child::run("memory::an_mtu_that_the_device_cannot_have_is_refused_with_one_that_it_can", || {
        let file = std::env::temp_dir().join(format!("dpdk-tcp-mtu-{}.pcap", std::process::id()));
        fs::write(&file, pcap(&[60])).unwrap();
        let vdev = format!("net_pcap0,rx_pcap={}", file.display());
        let eal = child::eal(&["-l", "0", "--vdev", &vdev]);
        create_ring_pair(&eal, "m", 64).unwrap();
        let pool = Mempool::create(&eal, "mtu", &plan(), -1).unwrap();
        let info = port::find(&eal, "net_ring_ma").unwrap();
        let config = PortConfig { mtu: Some(9_000), ..PortConfig::default() };
        let cause = Port::configure(&eal, &info, config, &pool).err().unwrap().to_string();
        assert!(cause.contains("9000") && cause.contains("`--mtu 1500`"), "{cause}");
        assert!(cause.contains("the buffers of its pool"), "{cause}");
        let jumbo = Mempool::create(&eal, "jumbo", &PoolPlan { mtu: 9_000, ..plan() }, -1).unwrap();
        let port = Port::configure(&eal, &info, config, &jumbo).unwrap();
        assert_eq!(port.caps().mtu, 9_000);
        // A device over an interface of the kernel has its MTU from there.
        let pcap = port::find(&eal, "net_pcap0").unwrap();
        let cause = Port::configure(&eal, &pcap, config, &jumbo).err().unwrap().to_string();
        assert!(cause.contains("9000") && cause.contains("`--mtu 1500`"), "{cause}");
        let config = PortConfig { mtu: Some(1_280), ..PortConfig::default() };
        let info = port::find(&eal, "net_ring_mb").unwrap();
        let port = Port::configure(&eal, &info, config, &pool).unwrap();
        assert_eq!(port.caps().mtu, 1_280);
        let _ = fs::remove_file(&file);
    });
}

#[test]
fn a_frame_over_several_buffers_that_fit_into_none_is_dropped_and_counted() {
    child::run("memory::a_frame_over_several_buffers_that_fit_into_none_is_dropped_and_counted", || {
        let file = std::env::temp_dir().join(format!("dpdk-tcp-{}.pcap", std::process::id()));
        fs::write(&file, pcap(&[60, 3_000, 61])).unwrap();
        let eal = child::eal(&["-l", "0", "--vdev", &format!("net_pcap0,rx_pcap={}", file.display())]);
        let pool = Mempool::create(&eal, "pcap", &plan(), -1).unwrap();
        let (port, mut queue, counters) = open(&eal, "net_pcap0", PortConfig::default(), &pool);
        let mut frames = Burst::new();
        queue.rx_burst(&mut frames, 32);
        let lengths: Vec<_> = frames.iter().map(|frame| frame.bytes().len()).collect();
        assert_eq!(lengths, [60, 61]);
        assert_eq!(counters.dropped(DropReason::FrameChained), 1);
        drop((frames, queue));
        port.close().unwrap();
        assert_eq!(pool.check_returned(), Ok(Returned::All));
        fs::remove_file(&file).unwrap();
    });
}

/// A capture file with frames of these lengths.
fn pcap(lengths: &[u32]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 65_535, 1].iter().flat_map(|w| w.to_le_bytes()).collect();
    for len in lengths {
        bytes.extend([0, 0, *len, *len].iter().flat_map(|word| word.to_le_bytes()));
        bytes.resize(bytes.len() + *len as usize, 0);
    }
    bytes
}

/// Frames of a jumbo MTU pass from one port to the other, each in one buffer.
#[track_caller]
fn carries_jumbo(eal: &Eal, names: [&str; 2]) {
    let pool = Mempool::create(eal, "jumbo", &PoolPlan { mtu: 9_000, ..plan() }, -1).unwrap();
    let config = PortConfig { mtu: Some(9_000), ..PortConfig::default() };
    let [(a, mut qa, counters_a), (b, mut qb, counters_b)] = names.map(|name| open(eal, name, config, &pool));
    assert_eq!((a.caps().mtu, b.caps().mtu), (9_000, 9_000));
    let started = Instant::now();
    // A memif port comes up when the other end has connected, and then needs to be polled once.
    while !(a.link().up && b.link().up) {
        assert!(started.elapsed() < Duration::from_secs(10), "no link");
        thread::sleep(Duration::from_millis(1));
    }
    let mut arrived = Burst::new();
    qb.rx_burst(&mut arrived, 32);
    qa.rx_burst(&mut arrived, 32);
    for len in [60, 1_514, 2_048, 2_049, 9_014] {
        for back in [false, true] {
            let (from, to) = if back { (&mut qb, &mut qa) } else { (&mut qa, &mut qb) };
            let mut frame = from.alloc().unwrap();
            frame.set_len(len);
            frame.bytes_mut().iter_mut().enumerate().for_each(|(at, octet)| *octet = (at % 251) as u8);
            let expected = frame.bytes().to_vec();
            assert_eq!((frame.total_len(), expected.len()), (len, len));
            let mut burst = Burst::new();
            burst.push(frame);
            from.tx_burst(&mut burst);
            assert!(burst.is_empty());
            let started = Instant::now();
            while arrived.is_empty() {
                to.rx_burst(&mut arrived, 32);
                assert!(started.elapsed() < Duration::from_secs(10), "{len} bytes did not arrive");
            }
            assert!(arrived[0].bytes() == expected, "{len} bytes");
            to.recycle(arrived.remove(0));
        }
    }
    for counters in [counters_a, counters_b] {
        assert_eq!(counters.dropped(DropReason::FrameChained), 0);
    }
    drop((qa, qb));
    a.close().unwrap();
    b.close().unwrap();
    assert_eq!(pool.check_returned(), Ok(Returned::All));
}

#[test]
fn jumbo_frames_pass_over_rings_and_memif() {
    child::run("memory::jumbo_frames_pass_over_rings_and_memif", || {
        let socket = format!("dpdk-tcp-jumbo-{}", std::process::id());
        let end = |n: u8, role: &str| format!("net_memif{n},role={role},id=0,socket={socket}");
        let [server, client] = [end(0, "server"), end(1, "client")];
        let eal = child::eal(&["-l", "0", "--vdev", &server, "--vdev", &client]);
        create_ring_pair(&eal, "j", 64).unwrap();
        carries_jumbo(&eal, ["net_ring_ja", "net_ring_jb"]);
        carries_jumbo(&eal, ["net_memif0", "net_memif1"]);
    });
}
