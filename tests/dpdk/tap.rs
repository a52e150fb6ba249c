//! The kernel as the peer on net_tap, inside a network namespace that lives and dies with the test's process:
//! checksums that the port verifies, and checksums that it fills in.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::dpdk::mempool::{Mempool, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::link::{Frame, QueuePair, TxOffload, Verdict};

use crate::child::{self, plan};

/// The frames' layout: Ethernet, IPv4 without options, TCP.
const IP: usize = 14;
const TCP: usize = IP + 20;
const PEER: &str = "198.18.0.2";

/// Runs the body in a namespace of its own, or says why not.
fn in_namespace(name: &str, body: fn()) {
    if child::can_make_namespaces(name) {
        child::run_behind(&["unshare", "-n"], name, body);
    }
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}");
}

fn tap_port(offloads: bool, body: fn(&Port, &mut Queue)) {
    let eal = child::eal(&["-l", "0", "--vdev", "net_tap0,iface=dttest0"]);
    let pool = Mempool::create(&eal, "tap", &plan(), -1).unwrap();
    let info = port::find(&eal, "net_tap0").unwrap();
    let config = PortConfig { offloads, mtu: Some(1_400), ..PortConfig::default() };
    let mut port = Port::configure(&eal, &info, config, &pool).unwrap();
    port.start().unwrap();
    let mac = port.caps().mac.map(|byte| format!("{byte:02x}")).join(":");
    ip("address add 198.18.0.1/24 dev dttest0");
    ip("link set dttest0 up");
    ip(&format!("neigh replace {PEER} lladdr {mac} dev dttest0"));
    assert_eq!(port.caps().mtu, 1_400);
    assert!(port.link().up);
    let mut queue = port.queue(0, Arc::default()).unwrap();
    body(&port, &mut queue);
    drop(queue);
    port.close().unwrap();
    assert_eq!(pool.check_returned(), Ok(Returned::All));
}

/// The kernel connects to a port of ours and is reset; how that ended for it.
fn connect_and_reset(queue: &mut Queue, offload: bool, look: fn(&dpdk_tcp::dpdk::mbuf::Mbuf)) -> ErrorKind {
    let peer: SocketAddr = format!("{PEER}:80").parse().unwrap();
    let kernel = thread::spawn(move || TcpStream::connect_timeout(&peer, Duration::from_millis(700)));
    let started = Instant::now();
    let mut frames = Burst::new();
    let mut answered = 0;
    while !kernel.is_finished() {
        assert!(started.elapsed() < Duration::from_secs(20), "the kernel does not come back");
        queue.rx_burst(&mut frames, 32);
        let mut replies = Burst::new();
        for syn in frames.drain(..) {
            let bytes = syn.bytes();
            if bytes.len() >= TCP + 20 && bytes[12..14] == [8, 0] && bytes[IP + 9] == 6 {
                look(&syn);
                let mut reply = queue.alloc().unwrap();
                write_reset(&mut reply, bytes, offload);
                replies.push(reply);
                answered += 1;
            }
            queue.recycle(syn);
        }
        queue.tx_burst(&mut replies);
        assert!(replies.is_empty());
        thread::sleep(Duration::from_millis(1));
    }
    assert!(answered > 0, "the kernel's SYN never came");
    kernel.join().unwrap().unwrap_err().kind()
}

/// RST and ACK for a SYN. Both checksums are left to the device: the IP one is zero, the TCP one holds the
/// pseudo-header's sum.
fn write_reset(reply: &mut dpdk_tcp::dpdk::mbuf::Mbuf, syn: &[u8], offload: bool) {
    reply.set_len(TCP + 20);
    let out = reply.bytes_mut();
    out.fill(0);
    out[..6].copy_from_slice(&syn[6..12]);
    out[6..12].copy_from_slice(&syn[..6]);
    out[12..14].copy_from_slice(&[8, 0]);
    out[IP..IP + 10].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6]);
    out[IP + 12..IP + 16].copy_from_slice(&syn[IP + 16..IP + 20]);
    out[IP + 16..IP + 20].copy_from_slice(&syn[IP + 12..IP + 16]);
    out[TCP..TCP + 2].copy_from_slice(&syn[TCP + 2..TCP + 4]);
    out[TCP + 2..TCP + 4].copy_from_slice(&syn[TCP..TCP + 2]);
    let seq = u32::from_be_bytes(syn[TCP + 4..TCP + 8].try_into().unwrap());
    out[TCP + 8..TCP + 12].copy_from_slice(&seq.wrapping_add(1).to_be_bytes());
    out[TCP + 12..TCP + 14].copy_from_slice(&[0x50, 0x14]);
    let words = out[IP + 12..IP + 20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>() + 6 + 20;
    let folded = (sum & 0xffff) + (sum >> 16);
    out[TCP + 16..TCP + 18].copy_from_slice(&(folded as u16).to_be_bytes());
    if offload {
        reply.set_tx_offload(TxOffload {
            l2_len: 14,
            l3_len: 20,
            l4_len: 20,
            ip_checksum: true,
            tcp_checksum: true,
            ..TxOffload::default()
        });
    }
}

#[test]
fn the_port_verifies_what_it_receives_and_sums_what_it_is_asked_to() {
    in_namespace("tap::the_port_verifies_what_it_receives_and_sums_what_it_is_asked_to", || {
        tap_port(true, |port, queue| {
            let caps = port.caps();
            assert!(caps.rx_checksum && caps.tx_ip_checksum && caps.tx_tcp_checksum, "{}", port.describe());
            let good = |syn: &dpdk_tcp::dpdk::mbuf::Mbuf| {
                let verdicts = syn.rx_checksums();
                assert_eq!((verdicts.ip, verdicts.l4), (Verdict::Good, Verdict::Good));
            };
            assert_eq!(connect_and_reset(queue, true, good), ErrorKind::ConnectionRefused);
            // The same frame without the request has wrong sums, and the kernel throws it away.
            assert_eq!(connect_and_reset(queue, false, good), ErrorKind::TimedOut);
        });
    });
}

#[test]
fn without_offloads_there_are_no_verdicts_and_nothing_may_be_asked() {
    in_namespace("tap::without_offloads_there_are_no_verdicts_and_nothing_may_be_asked", || {
        tap_port(false, |port, queue| {
            let caps = port.caps();
            assert!(
                !caps.rx_checksum && !caps.tx_ip_checksum && !caps.tx_tcp_checksum,
                "{}",
                port.describe()
            );
            let unknown = |syn: &dpdk_tcp::dpdk::mbuf::Mbuf| {
                let verdicts = syn.rx_checksums();
                assert_eq!((verdicts.ip, verdicts.l4), (Verdict::Unknown, Verdict::Unknown));
            };
            assert_eq!(connect_and_reset(queue, false, unknown), ErrorKind::TimedOut);
        });
    });
}
