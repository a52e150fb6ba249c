//! Packets that come in pieces: they count as if they had come whole, and what never becomes whole goes.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::inet::reassembly::Limits;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::{ICMP, Packet, Seen, UDP, ask, fix_header, icmp_message, seen};
use crate::no_alloc::counted;
use crate::reach::{OURS, PEER_PORT, PEERS, Setup, Told, World, seg};

/// The pieces of a frame's packet, cut at these places of its payload.
fn cut(frame: &[u8], id: u16, places: &[usize]) -> Vec<Vec<u8>> {
    let header_len = usize::from(frame[14] & 15) * 4;
    let (header, payload) = frame.split_at(14 + header_len);
    let starts = std::iter::once(0).chain(places.iter().copied());
    let ends = places.iter().copied().chain([payload.len()]);
    let piece = |(start, end): (usize, usize)| {
        let mut piece = [header, &payload[start..end]].concat();
        let ip = &mut piece[14..];
        let total = (ip.len() as u16).to_be_bytes();
        ip[2..4].copy_from_slice(&total);
        ip[4..6].copy_from_slice(&id.to_be_bytes());
        let place = (start / 8) as u16 | u16::from(end < payload.len()) << 13;
        ip[6..8].copy_from_slice(&place.to_be_bytes());
        fix_header(ip, header_len);
        piece
    };
    starts.zip(ends).map(piece).collect()
}

/// The IPv4 packets among what was sent since the last look.
fn packets(world: &mut World) -> Vec<Seen> {
    seen(world).into_iter().filter(|seen| matches!(seen, Seen::Ip(..))).collect()
}

fn lost(world: &World) -> u64 {
    DropReason::ALL.iter().map(|reason| world.dropped(*reason)).sum()
}

#[test]
fn a_segment_in_pieces_is_delivered_in_its_turn() {
    //= IP4-5
    let mut world = World::new();
    let mut peer = world.establish(PEER_PORT);
    let text: Vec<u8> = (0..4_000u32).map(|i| (i % 253) as u8).collect();
    let before = peer.seg(Flags::ACK).text(&text[..1_000]);
    peer.seq += 1_000;
    let middle = cut(&peer.seg(Flags::ACK).text(&text[1_000..3_500]).frame(), 7, &[1_480]);
    peer.seq += 2_500;
    let after = peer.seg(Flags::ACK).text(&text[3_500..]);
    peer.seq += 500;
    // The pieces stand in one burst with what goes before and after, the last piece first.
    for frame in [&before.frame(), &middle[1], &middle[0], &after.frame()] {
        world.send_frame(frame);
    }
    world.run();
    let told: Vec<u8> = world
        .told()
        .into_iter()
        .flat_map(|told| match told {
            Told::Data(data) => data,
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(told, text);
    assert_eq!(world.sent().last().unwrap().segment.ack, peer.seq);
    assert_eq!((world.count(Counter::Reassembled), lost(&world)), (1, 0));
    assert_eq!(world.count(Counter::OctetsHeld), 0, "nothing came before its turn");
}

#[test]
fn a_connection_opens_and_closes_in_pieces() {
    //= IP4-5
    //= IP4-7
    let mut world = World::new();
    let syn = seg(Flags::SYN, Seq(100), Seq(0)).ts(1, 0).text(&[1; 40]);
    let pieces = cut(&syn.frame(), 1, &[40]);
    world.send_frame(&pieces[1]);
    world.run();
    world.silent();
    world.send_frame(&pieces[0]);
    world.run();
    world.one().flags(Flags::SYN | Flags::ACK).ack(Seq(101));
    assert_eq!(world.worker.datagrams_in_pieces(), 0);
}

#[test]
fn a_damaged_whole_is_dropped_as_a_frame_would_be() {
    //= MUST-3
    let mut world = World::new();
    let mut syn = seg(Flags::SYN, Seq(100), Seq(0)).text(&[1; 100]).frame();
    syn[100] ^= 4;
    for piece in cut(&syn, 1, &[64]) {
        world.send_frame(&piece);
    }
    world.run();
    world.silent();
    assert_eq!((world.dropped(DropReason::TcpChecksum), lost(&world)), (1, 1));
}

#[test]
fn an_echo_in_pieces_is_answered_as_far_as_one_frame_goes() {
    //= ICMP4-1
    //= IP4-5
    for (mtu, size, answered) in
        [(1_500, 3_000, 1_472), (576, 548, 548), (576, 549, 548), (9_000, 8_000, 8_000)]
    {
        let mut world = World::with(Setup { mtu, ..Setup::default() });
        let data: Vec<u8> = (0..size as u32).map(|i| (i * 7 % 256) as u8).collect();
        for piece in cut(&Packet::echo(&data).frame(), 3, &[400, 512]) {
            world.send_frame(&piece);
        }
        world.run();
        let answers = packets(&mut world);
        assert_eq!(answers.len(), 1);
        let (_, packet) = answers[0].ip();
        assert_eq!((packet.protocol, packet.source, packet.destination), (ICMP, OURS, PEERS));
        assert_eq!(checksum(packet.payload), 0);
        assert_eq!(&packet.payload[..8], [0, 0, packet.payload[2], packet.payload[3], 0x12, 0x34, 0, 1]);
        assert_eq!(packet.payload[8..], data[..answered]);
    }
}

#[test]
fn an_unknown_protocol_in_pieces_is_answered_once() {
    //= ICMP4-5
    let mut world = World::new();
    let pieces = cut(&Packet::new(UDP, &[5; 2_000]).frame(), 3, &[1_000]);
    assert!(ask(&mut world, &pieces[1]).is_empty());
    let answers = ask(&mut world, &pieces[0]);
    let (_, packet) = answers[0].ip();
    assert_eq!(packet.payload[..2], [3, 2]);
    assert_eq!((answers.len(), world.dropped(DropReason::IpProtocol)), (1, 1));
}

#[test]
fn a_sender_is_told_when_its_first_fragment_waited_in_vain() {
    //= IP4-5
    //= ICMP4-6
    let mut world = World::new();
    let pieces = cut(&Packet::new(UDP, &[5; 2_000]).frame(), 3, &[1_000]);
    let echo = cut(&Packet::echo(&[1; 100]).frame(), 4, &[48]);
    let error = icmp_message(3, 1, &[0; 100]);
    let error = cut(&Packet::new(ICMP, &error).frame(), 5, &[48]);
    for piece in [&pieces[0], &echo[0], &echo[1], &error[0]] {
        world.send_frame(piece);
    }
    world.send_frame(&cut(&Packet::new(UDP, &[5; 2_000]).frame(), 6, &[1_000])[1]);
    world.run();
    assert_eq!(packets(&mut world).len(), 1, "the echo reply");
    world.pass_ms(59_990);
    assert!(packets(&mut world).is_empty());
    assert_eq!(world.worker.datagrams_in_pieces(), 3);
    world.pass_ms(20);
    let told = packets(&mut world);
    assert_eq!(told.len(), 1, "{told:?}");
    let (_, packet) = told[0].ip();
    assert_eq!((packet.protocol, packet.source, packet.destination), (ICMP, OURS, PEERS));
    assert_eq!(checksum(packet.payload), 0);
    assert_eq!(packet.payload[..2], [11, 1]);
    assert_eq!(
        packet.payload[4..],
        [&[0; 4], &pieces[0][14..42]].concat(),
        "header and 8 bytes, as they came"
    );
    assert_eq!((world.dropped(DropReason::FragmentExpired), lost(&world)), (3, 3));
    assert_eq!(world.count(Counter::ReassemblyTimedOut), 1);
    world.assert_quiet();
}

#[test]
fn errors_about_missing_fragments_are_limited() {
    //= ICMP4-7
    //= ATK-22
    let mut world = World::new();
    for id in 0..200 {
        world.send_frame(&cut(&Packet::new(UDP, &[5; 64]).frame(), id, &[32])[0]);
        world.run();
    }
    world.pass_ms(60_001);
    assert_eq!(packets(&mut world).len(), 50);
    assert_eq!(world.dropped(DropReason::IcmpRateLimited), 150);
    world.assert_quiet();
}

#[test]
fn overlaps_and_floods_cost_nobody_else_anything() {
    //= IP4-7
    //= LIM-9
    //= ATK-33
    let mut setup = Setup::default();
    setup.limits.reassembly = Limits { datagrams: 16, ..Limits::default() };
    let mut world = World::with(setup);
    let mut peer = world.establish(PEER_PORT);
    let mut rng = Rng::new(5);
    for id in 0..500 {
        let whole = Packet::new(UDP, &[id as u8; 256]).frame();
        let at = 8 * (2 + rng.below(29) as usize);
        world.send_frame(&cut(&whole, id, &[at])[0]);
        if id % 4 == 0 {
            // A piece that begins eight bytes before the other's end.
            world.send_frame(&cut(&whole, id, &[at - 8])[1]);
        }
        let (_, allocations) = counted(|| world.worker.pass(world.clock.now()));
        assert_eq!(allocations, 0);
        assert!(world.worker.datagrams_in_pieces() <= 16);
    }
    world.inject(&[peer.seg(Flags::ACK).text(b"still here")]);
    peer.seq += 10;
    assert_eq!(world.told(), [Told::Data(b"still here".to_vec())]);
    assert!(world.dropped(DropReason::FragmentsContradict) >= 100);
    assert!(world.dropped(DropReason::FragmentEvicted) >= 300);
    assert_eq!(packets(&mut world).len(), 1, "the acknowledgment and nothing else");
}

#[test]
fn fragments_for_others_or_to_everybody_are_not_kept() {
    //= IP4-3
    //= MUST-57
    let mut world = World::new();
    let to = |destination| cut(&Packet::new(UDP, &[0; 64]).to(destination).frame(), 1, &[32]).remove(0);
    let from = |source| cut(&Packet::new(UDP, &[0; 64]).from(source).frame(), 1, &[32]).remove(0);
    let cases = [
        (to([198, 18, 0, 9]), DropReason::IpNotOurs),
        (to([198, 18, 0, 255]), DropReason::IpGroupDestination),
        (to([255; 4]), DropReason::IpGroupDestination),
        (from([224, 0, 0, 1]), DropReason::IpInvalidSource),
    ];
    for (frame, reason) in cases {
        assert!(ask(&mut world, &frame).is_empty());
        assert_eq!(world.dropped(reason), 1 + u64::from(frame[33] == 255 && frame[30] == 255), "{reason:?}");
    }
    assert_eq!(world.worker.datagrams_in_pieces(), 0);
}
