//! ICMP: echo, errors, and their limit.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::ethernet::Mac;

use super::{ICMP, Packet, Seen, UDP, ask, icmp_message, seen};
use crate::reach::{OURS, PEER_MAC, PEERS, Setup, World};

const OTHER: [u8; 4] = [198, 18, 0, 9];
const TIMESTAMP: u8 = 13;
const REDIRECT: u8 = 5;
const SOURCE_QUENCH: u8 = 4;

/// The one ICMP message that was sent to the peer, from `source`.
#[track_caller]
fn message(frames: &[Seen], source: [u8; 4]) -> Vec<u8> {
    assert_eq!(frames.len(), 1, "one message, not {frames:?}");
    let (to, packet) = frames[0].ip();
    assert_eq!((to, packet.protocol), (PEER_MAC, ICMP));
    assert_eq!((packet.source, packet.destination), (source, PEERS));
    assert_eq!(packet.ttl, 64);
    assert_eq!(checksum(packet.payload), 0, "the ICMP checksum");
    packet.payload.to_vec()
}

#[test]
fn an_echo_of_any_size_returns_the_same_data() {
    //= ICMP4-1
    //= ICMP4-2
    //= IP4-4
    let mut world = World::with(Setup { addrs: vec![OURS, OTHER], ..Setup::default() });
    for (n, size) in [0, 1, 7, 56, 999, 1_472].into_iter().enumerate() {
        let data: Vec<u8> = (0..size).map(|i| (i * 7 + n) as u8).collect();
        for own in [OURS, OTHER] {
            let reply = message(&ask(&mut world, &Packet::echo(&data).to(own).frame()), own);
            assert_eq!(&reply[..2], [0, 0]);
            assert_eq!(&reply[4..8], [0x12, 0x34, 0, 1]);
            assert_eq!(&reply[8..], data);
        }
    }
    assert_eq!(world.count(Counter::EchoAnswered), 12);
    world.assert_quiet();
}

#[test]
fn echo_requests_to_everybody_are_ignored() {
    //= ICMP4-1
    //= MUST-57
    let mut world = World::new();
    let to_all = |destination| {
        let packet = Packet::echo(b"x").to(destination);
        [Packet { to_mac: Mac::BROADCAST, ..packet.clone() }, packet]
    };
    for destination in [[198, 18, 0, 255], [255; 4], [224, 0, 0, 1]] {
        for packet in to_all(destination) {
            assert!(ask(&mut world, &packet.frame()).is_empty(), "{destination:?}");
        }
    }
    let link_only = Packet { to_mac: Mac::BROADCAST, ..Packet::echo(b"x") };
    assert!(ask(&mut world, &link_only.frame()).is_empty());
    assert_eq!(world.dropped(DropReason::IpGroupDestination), 7);
}

#[test]
fn a_damaged_message_is_counted() {
    let mut world = World::new();
    let mut damaged = Packet::echo(b"data");
    damaged.payload[9] ^= 4;
    let short = Packet::new(ICMP, &[8, 0, 0xf7, 0xff]);
    for packet in [damaged, short] {
        assert!(ask(&mut world, &packet.frame()).is_empty());
    }
    assert_eq!(world.dropped(DropReason::IcmpMalformed), 2);
}

#[test]
fn other_messages_are_dropped_in_silence() {
    //= ICMP4-3
    //= ICMP4-4
    //= ICMP4-8
    //= MUST-55
    //= ICMPR-6
    //= ATK-27
    let mut world = World::new();
    let quoted = Packet::new(6, &[0; 20]).from(OURS).to(PEERS).frame();
    let mut send = |kind, code| {
        let rest = [&[0; 4], &quoted[14..]].concat();
        let packet = Packet::new(ICMP, &icmp_message(kind, code, &rest));
        assert!(ask(&mut world, &packet.frame()).is_empty(), "type {kind}");
    };
    let kinds = [(0, 0), (3, 16), (REDIRECT, 1), (11, 2), (TIMESTAMP, 0), (17, 0), (42, 0), (255, 0)];
    kinds.into_iter().for_each(|(kind, code)| send(kind, code));
    (0..16).for_each(|code| send(3, code));
    for (kind, code) in [(11, 0), (11, 1), (12, 0), (12, 1), (12, 2), (SOURCE_QUENCH, 0)] {
        send(kind, code);
    }
    assert_eq!(world.dropped(DropReason::IcmpIgnored), kinds.len() as u64);
    assert_eq!(world.dropped(DropReason::IcmpNoConnection), 16 + 5);
    assert_eq!(world.dropped(DropReason::IcmpSourceQuench), 1);
}

#[test]
fn an_unknown_protocol_is_answered_with_the_start_of_its_packet() {
    //= ICMP4-5
    //= ICMP4-6
    let mut world = World::new();
    let router_alert = vec![148, 4, 0, 0];
    for (protocol, len, options) in
        [(UDP, 8, vec![]), (132, 0, vec![]), (UDP, 500, vec![]), (47, 500, router_alert)]
    {
        let packet = Packet { options, ..Packet::new(protocol, &vec![0xab; len]) };
        let sent = packet.frame();
        let answer = message(&ask(&mut world, &sent), OURS);
        assert_eq!(&answer[..8], [3, 2, answer[2], answer[3], 0, 0, 0, 0]);
        let quote = &answer[8..];
        let header = 20 + packet.options.len();
        assert!(quote.len() >= header + len.min(8) && quote.len() <= sent.len() - 14);
        assert_eq!(quote, &sent[14..14 + quote.len()], "unchanged");
    }
    assert_eq!(world.dropped(DropReason::IpProtocol), 4);
}

#[test]
fn no_error_is_sent_about_what_went_to_everybody() {
    //= ICMP4-3
    let mut world = World::new();
    let to_all = Packet { to_mac: Mac::BROADCAST, ..Packet::new(UDP, b"12345678").to([198, 18, 0, 255]) };
    let from_all = Packet::new(UDP, b"12345678").from([198, 18, 0, 255]);
    for packet in [to_all, from_all] {
        assert!(ask(&mut world, &packet.frame()).is_empty());
    }
}

#[test]
fn all_messages_together_are_limited() {
    //= ICMP4-7
    let mut world = World::new();
    for n in 0..60u8 {
        let packet = if n % 2 == 0 { Packet::echo(&[n]) } else { Packet::new(UDP, &[n; 8]) };
        world.send_frame(&packet.frame());
    }
    world.run();
    assert_eq!(seen(&mut world).len(), 50);
    assert_eq!(world.dropped(DropReason::IcmpRateLimited), 10);
    world.pass_ms(1_000);
    assert_eq!(ask(&mut world, &Packet::echo(b"later").frame()).len(), 1);
}
