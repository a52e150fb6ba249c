//! Servers, and others on the link, that wish the client no good. It goes on to the end, and every connection has its
//! place in the account.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::wire::checksum;

use super::peer::{self, Server};
use super::{PORT, TARGET, against, connect};
use crate::lab::{self, TAP};
use crate::socket;

#[test]
fn replies_of_garbage_and_resets_break_connections_and_stop_nothing() {
    lab::in_namespace(
        "connect::hostile::replies_of_garbage_and_resets_break_connections_and_stop_nothing",
        || {
            super::tap();
            for (service, ours) in [
                (peer::garbage as peer::Service, &["--connections", "100"][..]),
                (peer::garbage, &["--talk", "echo", "--connections", "100"]),
                (peer::reset, &["--talk", "echo", "--connections", "100"]),
                (peer::close, &["--connections", "100"]),
            ] {
                let (left, seen) = against(service, &[ours, &["--concurrency", "8"]].concat());
                let account = left.account();
                assert_eq!((account.attempted, account.established, seen.len()), (100, 100, 100));
                assert_eq!(account.broken_all(), 100, "{account:?}");
            }
        },
    );
}

/// Fields of a frame with an IPv4 packet without options and a TCP segment.
const IP: usize = 14;
const TCP: usize = 34;

/// What a hostile neighbour makes of a segment of the client's: an answer with its own numbers, or nearly.
fn forge(frame: &[u8], rng: &mut Rng) -> Vec<u8> {
    let text: Vec<u8> = (0..rng.below(40)).map(|_| rng.below(256) as u8).collect();
    let mut forged = frame[..TCP + 20].to_vec();
    // From the server to the client.
    forged[..6].copy_from_slice(&frame[6..12]);
    forged[6..12].copy_from_slice(&frame[..6]);
    forged[IP + 12..IP + 16].copy_from_slice(&frame[IP + 16..IP + 20]);
    forged[IP + 16..IP + 20].copy_from_slice(&frame[IP + 12..IP + 16]);
    forged[TCP..TCP + 2].copy_from_slice(&frame[TCP + 2..TCP + 4]);
    forged[TCP + 2..TCP + 4].copy_from_slice(&frame[TCP..TCP + 2]);
    let field = |at: usize| u32::from_be_bytes(frame[at..at + 4].try_into().unwrap());
    let off_by = |n: u32, rng: &mut Rng| [0, 1, n, n.wrapping_neg()][rng.below(4) as usize];
    let seq = field(TCP + 8).wrapping_add(off_by(70_000, rng));
    let ack = field(TCP + 4).wrapping_add(off_by(3, rng));
    forged[TCP + 4..TCP + 8].copy_from_slice(&ack.to_be_bytes());
    forged[TCP + 8..TCP + 12].copy_from_slice(&seq.to_be_bytes());
    if rng.below(2) == 0 {
        // The other way round, so that the numbers are the ones that are expected.
        forged[TCP + 4..TCP + 8].copy_from_slice(&field(TCP + 8).to_be_bytes());
        forged[TCP + 8..TCP + 12].copy_from_slice(&field(TCP + 4).wrapping_add(1).to_be_bytes());
    }
    let resets = rng.below(2) == 0;
    forged[TCP + 12] = 0x50 | (rng.below(16) as u8);
    forged[TCP + 13] = if resets { 0x14 } else { rng.below(256) as u8 };
    forged.extend(text);
    finish(&mut forged);
    forged
}

/// Lengths and sums, so that nobody throws it away for those.
fn finish(frame: &mut [u8]) {
    let len = (frame.len() - IP) as u16;
    frame[IP] = 0x45;
    frame[IP + 2..IP + 4].copy_from_slice(&len.to_be_bytes());
    frame[IP + 10..IP + 12].fill(0);
    let sum = checksum::Sum::of(&frame[IP..TCP]).finish();
    frame[IP + 10..IP + 12].copy_from_slice(&sum.to_be_bytes());
    frame[TCP + 16..TCP + 18].fill(0);
    let address = |at: usize| -> [u8; 4] { frame[at..at + 4].try_into().unwrap() };
    let pseudo = checksum::pseudo_v4(address(IP + 12), address(IP + 16), 6, len - 20);
    let sum = (pseudo + checksum::Sum::of(&frame[TCP..])).finish();
    frame[TCP + 16..TCP + 18].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn a_storm_of_forged_segments_stops_nothing() {
    lab::in_namespace("connect::hostile::a_storm_of_forged_segments_stops_nothing", || {
        super::tap();
        let server = Server::start(&[PORT], peer::echo);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let storm = scope.spawn(|| {
                let (mut wire, mut rng, mut sent) = (socket::frames(TAP), Rng::new(5), 0u64);
                while !over.load(Ordering::SeqCst) {
                    let mut frame = [0; 2_048];
                    let len = wire.read(&mut frame).unwrap_or(0);
                    let ours = len >= TCP + 20 && frame[12..14] == [8, 0] && frame[IP + 9] == 6;
                    // What the client sent, and not what was forged.
                    if ours && frame[IP + 12..IP + 16] == super::OWN.octets() {
                        for _ in 0..3 {
                            // The tap's queue may be full.
                            sent += u64::from(wire.write(&forge(&frame[..len], &mut rng)).is_ok());
                        }
                    }
                }
                sent
            });
            let shape = ["--concurrency", "8", "--connections", "400"];
            let timeouts = ["--connect-timeout", "300ms", "--reply-timeout", "300ms"];
            let left = connect(&[&[TARGET, "--talk", "echo"], &shape[..], &timeouts].concat());
            over.store(true, Ordering::SeqCst);
            assert!(storm.join().unwrap() > 400);
            let account = left.account();
            assert_eq!(account.attempted, 400);
            assert!(account.failed_all() + account.broken_all() > 0, "the storm did no harm: {account:?}");
        });
        drop(server);
    });
}
