//! IPv4: what is dropped, under which name, and what is taken all the same.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::wire::ethernet::Mac;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::{Packet, ask, fix_header};
use crate::reach::{OURS, PEERS, Seg, World, seg};

fn syn() -> Seg {
    seg(Flags::SYN, Seq(100), Seq(0))
}

/// The frame draws nothing, changes nothing, and is counted under this name.
#[track_caller]
fn is_dropped(frame: &[u8], reason: DropReason) {
    let mut world = World::new();
    let answers = ask(&mut world, frame);
    assert!(answers.is_empty(), "silence, not {answers:?}");
    assert_eq!(world.dropped(reason), 1, "counted as {reason:?}");
    let all: u64 = DropReason::ALL.iter().map(|reason| world.dropped(*reason)).sum();
    assert_eq!(all, 1, "counted once");
    assert_eq!(world.worker.shard().connections(), 0);
    world.assert_quiet();
}

#[test]
fn a_damaged_header_is_dropped_and_counted() {
    //= IP4-1
    //= PRE-1
    let mut frame = syn().frame();
    frame[24] ^= 1;
    is_dropped(&frame, DropReason::IpChecksum);
    let mut frame = syn().frame();
    frame[14] = 0x65;
    fix_header(&mut frame[14..], 20);
    is_dropped(&frame, DropReason::IpVersion);
}

#[test]
fn lengths_that_cannot_be_are_dropped() {
    //= IP4-2
    //= PRE-1
    for (at, value) in [(14, 0x44), (14, 0x4f), (17, 19), (16, 0x40)] {
        let mut frame = syn().frame();
        frame[at] = value;
        let header_len = usize::from(frame[14] & 0xf) * 4;
        if (20..=40).contains(&header_len) {
            fix_header(&mut frame[14..], header_len);
        }
        is_dropped(&frame, DropReason::IpTruncated);
    }
    is_dropped(&syn().frame()[..33], DropReason::IpTruncated);
    is_dropped(&syn().frame()[..13], DropReason::FrameTooShort);
    is_dropped(&[], DropReason::FrameTooShort);
}

#[test]
fn what_follows_the_packet_is_padding() {
    //= PRE-8
    let mut world = World::new();
    let mut echo = Packet::echo(b"").frame();
    echo.resize(60, 0xee);
    let answers = ask(&mut world, &echo);
    assert_eq!(answers[0].ip().1.payload.len(), 8);
    let mut padded = syn().frame();
    padded.resize(60, 0xee);
    world.send_frame(&padded);
    world.run();
    world.one().flags(Flags::SYN | Flags::ACK).ack(Seq(101));
}

#[test]
fn options_are_skipped_but_for_source_routes() {
    //= IP4-8
    //= IP4-11
    //= MUST-50
    let mut world = World::new();
    let skipped: [&[u8]; 5] = [
        &[148, 4, 0, 0],
        &[1, 1, 1, 0],
        &[68, 8, 5, 0, 0, 0, 0, 0],
        &[0, 131, 7, 4],
        // An option without a length, and one that is longer than the header.
        &[99, 0, 131, 4],
    ];
    for options in skipped {
        let packet = Packet { options: options.to_vec(), ..Packet::echo(b"x") };
        assert_eq!(ask(&mut world, &packet.frame()).len(), 1, "{options:?}");
    }
    let segment = syn().frame();
    let packet = Packet { options: vec![148, 4, 0, 0], ..Packet::new(6, &segment[34..]) };
    world.send_frame(&packet.frame());
    world.run();
    world.one().flags(Flags::SYN | Flags::ACK).ack(Seq(101));
    for options in [[131, 7, 4, 198, 18, 0, 9, 0], [1, 137, 7, 4, 198, 18, 0, 9]] {
        let packet = Packet { options: options.to_vec(), ..Packet::new(6, &segment[34..]) };
        is_dropped(&packet.frame(), DropReason::IpSourceRoute);
    }
}

#[test]
fn frames_and_packets_for_others_are_dropped() {
    //= IP4-3
    //= PRE-4
    let other_mac = Packet { to_mac: Mac([2, 0, 0, 0, 0, 7]), ..Packet::echo(b"x") };
    is_dropped(&other_mac.frame(), DropReason::EtherNotOurs);
    is_dropped(&Packet::echo(b"x").to([198, 18, 0, 9]).frame(), DropReason::IpNotOurs);
}

#[test]
fn other_ethertypes_are_counted() {
    for ethertype in [[0x86, 0xdd], [0x81, 0x00], [0x88, 0xcc]] {
        let mut frame = Packet::echo(b"x").frame();
        frame[12..14].copy_from_slice(&ethertype);
        is_dropped(&frame, DropReason::EtherType);
    }
}

#[test]
fn sources_that_can_be_no_hosts_are_dropped() {
    //= IP4-6
    //= PRE-5
    //= MUST-63
    let sources =
        [[0; 4], [0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [239, 9, 9, 9], [240, 0, 0, 1], [255; 4]];
    for source in sources.into_iter().chain([[198, 18, 0, 255], OURS]) {
        let segment = Seg { source, ..syn() };
        is_dropped(&segment.frame(), DropReason::IpInvalidSource);
    }
}

#[test]
fn segments_to_everybody_are_dropped() {
    //= MUST-57
    //= PRE-4
    for flags in [Flags::SYN, Flags::ACK, Flags::RST, Flags::FIN] {
        for destination in [[198, 18, 0, 255], [255; 4], [224, 0, 0, 1]] {
            let segment = Seg { destination, ..seg(flags, Seq(1), Seq(1)) };
            is_dropped(&segment.frame(), DropReason::IpGroupDestination);
        }
        let mut frame = seg(flags, Seq(1), Seq(1)).frame();
        frame[..6].fill(0xff);
        is_dropped(&frame, DropReason::IpGroupDestination);
    }
}

#[test]
fn segments_that_cannot_be_are_dropped() {
    //= PRE-2
    //= PRE-3
    //= PRE-6
    //= PRE-7
    //= MUST-3
    is_dropped(&Packet::new(6, &[0; 19]).frame(), DropReason::TcpMalformed);
    for offset in [0x40, 0x60, 0xf0] {
        let mut segment = syn().frame()[34..].to_vec();
        segment[12] = offset;
        is_dropped(&Packet::new(6, &segment).frame(), DropReason::TcpMalformed);
    }
    let mut damaged = syn().text(b"data").frame();
    damaged[56] ^= 0x10;
    is_dropped(&damaged, DropReason::TcpChecksum);
    let unsummed = {
        let mut frame = syn().frame();
        frame[50..52].fill(0);
        frame
    };
    is_dropped(&unsummed, DropReason::TcpChecksum);
    for ports in [(0, 80), (40_000, 0)] {
        is_dropped(&Seg { ports, ..syn() }.frame(), DropReason::TcpPortZero);
    }
    let land = Seg { source: OURS, ports: (80, 80), ..syn() };
    is_dropped(&land.frame(), DropReason::TcpLand);
}

#[test]
fn a_packet_on_its_last_hop_is_taken() {
    //= IP4-9
    let mut world = World::new();
    for ttl in [1, 0] {
        let answers = ask(&mut world, &Packet { ttl, ..Packet::echo(b"x") }.frame());
        assert_eq!((answers.len(), answers[0].ip().1.ttl, answers[0].ip().1.destination), (1, 64, PEERS));
    }
}
