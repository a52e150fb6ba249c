//! ARP: answers, questions, ageing, and whose an address is.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::arp::{ArpPacket, Operation};
use dpdk_tcp::wire::ethernet::Mac;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::{Packet, Seen, arp_frame, ask, asks, says, seen, strangers};
use crate::reach::{OUR_MAC, OURS, PEER_MAC, PEER_PORT, PEERS, Setup, World, seg};

const OTHER: [u8; 4] = [198, 18, 0, 9];
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
const GATEWAY: [u8; 4] = [198, 18, 0, 254];

/// The stack asks everybody on the link for `target`.
#[track_caller]
fn is_broadcast_request(seen: &Seen, target: [u8; 4]) {
    let (to, packet) = seen.arp();
    let expected = ArpPacket {
        operation: Operation::Request,
        sender_mac: OUR_MAC,
        sender: OURS,
        target_mac: Mac([0; 6]),
        target,
    };
    assert_eq!((to, packet), (Mac::BROADCAST, expected));
}

#[test]
fn a_request_for_each_owned_address_is_answered_by_unicast() {
    //= ARP-2
    let mut world = World::with(Setup { addrs: vec![OURS, OTHER], ..Setup::default() });
    for own in [OURS, OTHER] {
        let replies = ask(&mut world, &asks(own));
        assert_eq!(replies.len(), 1);
        let expected = ArpPacket {
            operation: Operation::Reply,
            sender_mac: OUR_MAC,
            sender: own,
            target_mac: PEER_MAC,
            target: PEERS,
        };
        assert_eq!(replies[0].arp(), (PEER_MAC, expected));
    }
    assert_eq!(world.count(Counter::ArpRequestsAnswered), 2);
}

#[test]
fn requests_for_others_and_malformed_packets_draw_nothing() {
    //= ARP-1
    //= ARP-2
    let mut world = World::new();
    assert!(ask(&mut world, &asks(OTHER)).is_empty());
    assert_eq!(world.dropped(DropReason::ArpNotOurs), 1);
    let mut wrong_type = asks(OURS);
    wrong_type[15] = 6;
    let truncated = &asks(OURS)[..41];
    assert!(ask(&mut world, &wrong_type).is_empty());
    assert!(ask(&mut world, truncated).is_empty());
    assert_eq!(world.dropped(DropReason::ArpMalformed), 2);
}

#[test]
fn an_answer_to_a_stranger_waits_until_its_address_is_known() {
    //= ARP-4
    let mut world = strangers();
    world.inject(&[seg(Flags::SYN, Seq(100), Seq(0))]);
    world.pass_ms(1);
    let frames = seen(&mut world);
    assert_eq!(frames.len(), 1, "only a request: {frames:?}");
    is_broadcast_request(&frames[0], PEERS);
    let frames = ask(&mut world, &says(PEERS, PEER_MAC));
    assert_eq!(frames.len(), 1);
    let (to, packet) = frames[0].ip();
    assert_eq!((to, packet.protocol, packet.destination), (PEER_MAC, 6, PEERS));
    let peer = seg(Flags::ACK, Seq(101), Seq(0));
    let ack = u32::from_be_bytes(packet.payload[4..8].try_into().unwrap());
    world.inject(&[third_segment(peer, ack)]);
    assert_eq!(world.told(), [crate::reach::Told::Open]);
}

/// The third segment of the handshake, for our ISS.
fn third_segment(mut segment: crate::reach::Seg, iss: u32) -> crate::reach::Seg {
    segment.ack = Seq(iss) + 1;
    segment.from_port(PEER_PORT)
}

#[test]
fn a_silent_neighbour_is_asked_three_times_a_second_apart_and_given_up() {
    //= ARP-3
    let mut world = strangers();
    let start = world.clock.now().millis();
    world.send_frame(&Packet::echo(b"x").frame());
    let mut requests = Vec::new();
    for _ in 0..10_000 {
        world.pass_ms(1);
        for frame in seen(&mut world) {
            is_broadcast_request(&frame, PEERS);
            requests.push(world.clock.now().millis() - start);
        }
    }
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(requests.windows(2).all(|pair| pair[1] - pair[0] >= 1_000), "{requests:?}");
    assert_eq!(world.dropped(DropReason::NeighbourUnresolved), 1);
    world.assert_quiet();
}

#[test]
fn the_three_latest_frames_wait_for_a_neighbour() {
    //= ARP-4
    let mut world = strangers();
    for n in 0..5u8 {
        world.send_frame(&Packet::echo(&[n]).frame());
    }
    world.run();
    assert_eq!(world.dropped(DropReason::NeighbourQueueFull), 2);
    let frames = ask(&mut world, &says(PEERS, PEER_MAC));
    let data: Vec<u8> = frames.iter().map(|frame| *frame.ip().1.payload.last().unwrap()).collect();
    assert_eq!(data, [2, 3, 4]);
    world.assert_quiet();
}

#[test]
fn peers_beyond_the_link_are_reached_through_the_gateway() {
    let far = [198, 19, 7, 7];
    let gateway_mac = Mac([2, 0, 0, 0, 0, 0xfe]);
    let mut world = World::with(Setup { gateway: Some(GATEWAY), ..Setup::default() });
    world.send_frame(&Packet::echo(b"far").from(far).frame());
    world.pass_ms(2);
    let frames = seen(&mut world);
    assert_eq!(frames.len(), 1);
    is_broadcast_request(&frames[0], GATEWAY);
    let frames = ask(&mut world, &says(GATEWAY, gateway_mac));
    let (to, packet) = frames[0].ip();
    assert_eq!((frames.len(), to, packet.destination), (1, gateway_mac, far));
    let near = ask(&mut world, &Packet::echo(b"near").frame());
    assert_eq!(near[0].ip().0, PEER_MAC);
}

#[test]
fn without_a_gateway_there_is_no_way_beyond_the_link() {
    let mut world = World::new();
    assert!(ask(&mut world, &Packet::echo(b"far").from([198, 19, 7, 7]).frame()).is_empty());
    assert_eq!(world.dropped(DropReason::NoRoute), 1);
    world.assert_quiet();
}

#[test]
fn an_old_entry_is_polled_by_unicast_and_used_meanwhile() {
    //= ARP-3
    let mut world = strangers();
    ask(&mut world, &asks(OURS));
    world.pass_ms(59_000);
    assert_eq!(ask(&mut world, &Packet::echo(b"a").frame())[0].ip().0, PEER_MAC);
    world.pass_ms(2_000);
    assert!(seen(&mut world).is_empty(), "nobody is asked without need");
    assert_eq!(ask(&mut world, &Packet::echo(b"b").frame())[0].ip().0, PEER_MAC);
    world.pass_ms(1);
    let frames = seen(&mut world);
    let (to, packet) = frames[0].arp();
    assert_eq!((frames.len(), to, packet.target), (1, PEER_MAC, PEERS));
    ask(&mut world, &says(PEERS, OTHER_MAC));
    assert_eq!(ask(&mut world, &Packet::echo(b"c").frame())[0].ip().0, OTHER_MAC, "the answer is believed");
    world.pass_ms(10_000);
    assert!(seen(&mut world).is_empty(), "one request was enough");
}

#[test]
fn an_old_entry_that_does_not_answer_is_forgotten() {
    //= ARP-3
    let mut world = strangers();
    ask(&mut world, &asks(OURS));
    world.pass_ms(61_000);
    ask(&mut world, &Packet::echo(b"a").frame());
    world.pass_ms(5_000);
    let polls = seen(&mut world);
    assert!(polls.len() == 3 && polls.iter().all(|poll| poll.arp().0 == PEER_MAC), "{polls:?}");
    world.send_frame(&Packet::echo(b"b").frame());
    world.pass_ms(2);
    let frames = seen(&mut world);
    assert_eq!(frames.len(), 1);
    is_broadcast_request(&frames[0], PEERS);
}

#[test]
fn progress_of_a_connection_confirms_its_neighbour() {
    //= ARP-8
    let mut world = strangers();
    ask(&mut world, &asks(OURS));
    let mut peer = world.establish(PEER_PORT);
    for _ in 0..20 {
        world.pass_ms(10_000);
        world.call(|conn| assert_eq!(conn.send(b"tick"), 4));
        peer.ack += 4;
        world.inject(&[peer.seg(Flags::ACK)]);
        let frames = seen(&mut world);
        assert!(matches!(frames[..], [Seen::Ip(PEER_MAC, _)]), "no ARP: {frames:?}");
    }
}

#[test]
fn connections_that_only_open_confirm_no_neighbour() {
    //= ARP-8
    let mut world = strangers();
    ask(&mut world, &asks(OURS));
    world.pass_ms(61_000);
    // Each of these is younger than a minute, and none of them gets anywhere.
    let mut polls = vec![];
    for port in 0..6 {
        world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(PEER_PORT + port)]);
        world.pass_ms(1_000);
        polls.extend(seen(&mut world).into_iter().filter(|frame| matches!(frame, Seen::Arp(..))));
    }
    let (known, lost) = polls.split_at_checked(3).unwrap_or_else(|| panic!("{polls:?}"));
    assert!(known.iter().all(|poll| poll.arp().0 == PEER_MAC), "{polls:?}");
    assert!(!lost.is_empty());
    lost.iter().for_each(|request| is_broadcast_request(request, PEERS));
}

#[test]
fn an_unsolicited_reply_makes_no_entry() {
    //= ARP-6
    let mut world = strangers();
    assert!(ask(&mut world, &says(PEERS, OTHER_MAC)).is_empty());
    assert_eq!(world.dropped(DropReason::ArpUnsolicited), 1);
    world.send_frame(&Packet::echo(b"x").frame());
    world.pass_ms(2);
    is_broadcast_request(&seen(&mut world)[0], PEERS);
}

#[test]
fn a_fixed_neighbour_is_never_changed() {
    let mut world = World::new();
    ask(&mut world, &arp_frame(Operation::Request, OTHER_MAC, PEERS, OURS));
    ask(&mut world, &says(PEERS, OTHER_MAC));
    assert_eq!(ask(&mut world, &Packet::echo(b"x").frame())[0].ip().0, PEER_MAC);
}

#[test]
fn a_group_address_is_nobodys() {
    //= ARP-5
    let mut world = strangers();
    let group = Mac([3, 0, 0, 0, 0, 1]);
    assert!(ask(&mut world, &arp_frame(Operation::Request, group, PEERS, OURS)).is_empty());
    assert_eq!(world.dropped(DropReason::ArpMalformed), 1);
    let nobodys = [[198, 18, 0, 255], [255; 4], [224, 0, 0, 5]];
    for sender in nobodys {
        assert!(ask(&mut world, &arp_frame(Operation::Request, PEER_MAC, sender, OURS)).is_empty());
    }
    assert_eq!(world.dropped(DropReason::ArpMalformed), 1 + nobodys.len() as u64);
    world.send_frame(&Packet::echo(b"x").frame());
    world.pass_ms(2);
    is_broadcast_request(&seen(&mut world)[0], PEERS);
}

#[test]
fn each_address_is_announced_twice_from_the_first_pass_on() {
    //= ARP-7
    let mut world = World::cold(Setup { addrs: vec![OURS, OTHER], ..Setup::default() });
    let start = world.clock.now().millis();
    let mut said = Vec::new();
    world.run();
    for _ in 0..10_000 {
        for frame in seen(&mut world) {
            let (to, packet) = frame.arp();
            assert_eq!(
                (to, packet.operation, packet.sender),
                (Mac::BROADCAST, Operation::Request, packet.target)
            );
            said.push((packet.sender, world.clock.now().millis() - start));
        }
        world.pass_ms(1);
    }
    assert_eq!(said, [(OURS, 0), (OTHER, 0), (OURS, 2_000), (OTHER, 2_000)]);
    assert!(world.control.is_ready());
}

#[test]
fn another_claim_to_our_address_is_counted_and_answered_every_ten_seconds() {
    //= ARP-5
    //= ARP-7
    let mut world = World::new();
    world.pass_ms(5_000);
    seen(&mut world);
    let claim = arp_frame(Operation::Request, OTHER_MAC, OURS, OURS);
    let defence = ask(&mut world, &claim);
    assert_eq!(defence.len(), 1);
    is_broadcast_request(&defence[0], OURS);
    world.pass_ms(9_000);
    assert!(ask(&mut world, &claim).is_empty(), "once in ten seconds");
    world.pass_ms(1_001);
    assert_eq!(ask(&mut world, &claim).len(), 1);
    assert_eq!(world.dropped(DropReason::ArpConflict), 3);
    assert_eq!(ask(&mut world, &asks(OURS)).len(), 1, "the address stays ours");
}

#[test]
fn a_probe_for_an_address_of_ours_is_answered() {
    //= ARP-7
    let mut world = strangers();
    let probe = arp_frame(Operation::Request, OTHER_MAC, [0; 4], OURS);
    let (to, packet) = ask(&mut world, &probe)[0].arp();
    assert_eq!((to, packet.operation, packet.sender), (OTHER_MAC, Operation::Reply, OURS));
}

fn probing() -> World {
    World::cold(Setup { probe_first: true, ..Setup::in_bursts() })
}

#[test]
fn with_probing_an_address_is_used_only_when_nobody_objected() {
    //= ARP-7
    let mut world = probing();
    let mut probes = 0;
    while !world.control.is_ready() {
        world.pass_ms(1);
        assert!(world.clock.now().millis() < 1_010_000, "ready within 10 s");
        for frame in seen(&mut world) {
            let (to, packet) = frame.arp();
            assert_eq!((to, packet.operation), (Mac::BROADCAST, Operation::Request));
            assert_eq!(packet.target, OURS);
            probes += usize::from(packet.sender == [0; 4]);
        }
        if !world.control.is_ready() {
            for frame in [asks(OURS), Packet::echo(b"x").frame(), seg(Flags::SYN, Seq(1), Seq(0)).frame()] {
                world.send_frame(&frame);
            }
        }
    }
    assert_eq!(probes, 3);
    assert_eq!(world.told(), []);
    assert_eq!(world.worker.shard().connections(), 0);
    assert_eq!(world.count(Counter::ArpRequestsAnswered) + world.count(Counter::EchoAnswered), 0);
    world.run();
    seen(&mut world);
    assert_eq!(ask(&mut world, &Packet::echo(b"x").frame()).len(), 1);
}

#[test]
fn an_address_that_another_host_has_is_not_used() {
    //= ARP-7
    let theirs = arp_frame(Operation::Reply, OTHER_MAC, OURS, [0; 4]);
    let probe_too = arp_frame(Operation::Request, OTHER_MAC, [0; 4], OURS);
    for objection in [theirs, probe_too] {
        let mut world = probing();
        world.pass_ms(100);
        world.send_frame(&objection);
        world.pass_ms(20_000);
        assert_eq!(world.dropped(DropReason::ArpConflict), 1);
        let frames = seen(&mut world);
        assert!(frames.iter().all(|frame| frame.arp().1.sender == [0; 4]), "no announcement: {frames:?}");
        for frame in [asks(OURS), Packet::echo(b"x").frame(), seg(Flags::SYN, Seq(1), Seq(0)).frame()] {
            assert!(ask(&mut world, &frame).is_empty(), "no answer");
        }
        assert_eq!(world.dropped(DropReason::IpNotOurs), 2);
        world.assert_quiet();
    }
}
