//! What a SYN offers, byte by byte as it arrives at the kernel, and what both ends agreed on as the kernel says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use super::peer::{self, Server};
use super::{Client, PORT, TARGET};
use crate::lab::{self, TAP};
use crate::socket;

/// Kinds of TCP options.
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMPS: u8 = 8;
/// SYN, with and without the request for congestion notification.
const SYN: u8 = 0x02;
const ECN_SETUP_SYN: u8 = 0xc2;

/// A SYN, read without any code of ours.
#[derive(Debug)]
struct Syn {
    ttl: u8,
    dscp: u8,
    flags: u8,
    window: u16,
    options: BTreeMap<u8, Vec<u8>>,
}

impl Syn {
    /// `None` for a frame that is not an IPv4 packet with a SYN and no ACK.
    fn of(frame: &[u8]) -> Option<Syn> {
        let packet = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
        let tcp = packet.get(usize::from(packet[0] & 15) * 4..).filter(|_| packet[9] == 6)?;
        let flags = tcp[13];
        if flags & 0x12 != SYN {
            return None;
        }
        let mut rest = &tcp[20..usize::from(tcp[12] >> 4) * 4];
        let mut options = BTreeMap::new();
        while let Some(kind) = rest.first().copied().filter(|kind| *kind != 0) {
            let len = if kind == 1 { 1 } else { usize::from(rest[1]) };
            if kind != 1 {
                options.insert(kind, rest[2..len].to_vec());
            }
            rest = &rest[len..];
        }
        let window = u16::from_be_bytes([tcp[14], tcp[15]]);
        Some(Syn { ttl: packet[8], dscp: packet[1] >> 2, flags, window, options })
    }

    fn mss(&self) -> u16 {
        let octets = &self.options[&MSS];
        u16::from_be_bytes([octets[0], octets[1]])
    }

    fn has(&self, kind: u8) -> bool {
        self.options.contains_key(&kind)
    }
}

/// The next SYN.
#[track_caller]
fn next_syn(wire: &mut File) -> Syn {
    let mut syn = None;
    lab::wait_until("a SYN", || {
        let mut frame = [0; 2_048];
        // Nothing comes for a while.
        let len = wire.read(&mut frame).unwrap_or(0);
        syn = Syn::of(&frame[..len]).filter(|_| len > 54);
        syn.is_some()
    });
    syn.unwrap()
}

/// One connection with these words: its SYN, and what `ss` says of the kernel's end, where there is one.
#[track_caller]
fn offer(ours: &[&str]) -> (Syn, Option<String>) {
    let server = Server::start(&[PORT], peer::echo);
    let mut wire = socket::frames(TAP);
    let shape = [TARGET, "--talk", "echo", "--duration", "600ms", "--hold"];
    let client = Client::start(&[&shape[..], ours].concat());
    let syn = next_syn(&mut wire);
    lab::wait_until("a connection", || server.level() == 1);
    let seen = lab::try_run("ss -teinH state established");
    client.end().assert_closed(1, &[("fin", 1)]);
    server.stop(0);
    (syn, seen.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Whether `ss` has such a word, alone or before a colon; true where there is no `ss`.
fn said(seen: Option<&String>, word: &str, expected: bool) -> bool {
    let Some(seen) = seen else {
        println!("there is no ss: what the kernel agreed to is not looked at");
        return true;
    };
    seen.split_whitespace().any(|one| one.split(':').next() == Some(word)) == expected
}

#[test]
fn a_syn_offers_what_a_host_of_today_offers() {
    lab::in_namespace("connect::knobs::a_syn_offers_what_a_host_of_today_offers", || {
        super::tap();
        let (syn, seen) = offer(&[]);
        assert_eq!((syn.mss(), syn.flags, syn.ttl, syn.dscp), (1_460, SYN, 64, 0), "{syn:?}");
        assert!(syn.has(SACK_PERMITTED) && syn.has(TIMESTAMPS) && syn.has(WINDOW_SCALE), "{syn:?}");
        for word in ["ts", "sack", "wscale"] {
            assert!(said(seen.as_ref(), word, true), "{word}: {seen:?}");
        }
        assert!(said(seen.as_ref(), "ecn", false), "{seen:?}");
    });
}

#[test]
fn each_knob_shows_in_the_syn_and_the_kernel_heeds_it() {
    lab::in_namespace("connect::knobs::each_knob_shows_in_the_syn_and_the_kernel_heeds_it", || {
        super::tap();
        let (syn, seen) = offer(&["--mss", "700", "--window", "20k", "--wscale", "5"]);
        assert_eq!((syn.mss(), &syn.options[&WINDOW_SCALE][..]), (700, &[5][..]), "{syn:?}");
        // The window of a SYN is never scaled.
        assert_eq!(syn.window, 20 << 10, "{syn:?}");
        // 12 octets of each segment are timestamps.
        assert!(seen.as_ref().is_none_or(|seen| seen.contains(" mss:688 ")), "{seen:?}");
        assert!(seen.as_ref().is_none_or(|seen| seen.contains(" wscale:5,")), "{seen:?}");

        let (syn, seen) = offer(&["--no-timestamps", "--no-sack", "--wscale", "none"]);
        assert!(!syn.has(TIMESTAMPS) && !syn.has(SACK_PERMITTED) && !syn.has(WINDOW_SCALE), "{syn:?}");
        for word in ["ts", "sack", "wscale"] {
            assert!(said(seen.as_ref(), word, false), "{word}: {seen:?}");
        }

        lab::set("net.ipv4.tcp_ecn", "1");
        let (syn, seen) = offer(&["--ecn", "--ttl", "9", "--dscp", "46"]);
        assert_eq!((syn.flags, syn.ttl, syn.dscp), (ECN_SETUP_SYN, 9, 46), "{syn:?}");
        assert!(said(seen.as_ref(), "ecn", true), "{seen:?}");
    });
}
