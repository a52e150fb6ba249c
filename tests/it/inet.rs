//! What every host answers: ARP, ICMP, and the checks that an IPv4 packet must pass before TCP sees it.

mod arp;
mod fragments;
mod icmp;
mod ipv4;
mod ranges;
mod resolve;

use dpdk_tcp::wire::arp::{self as wire_arp, ArpPacket, Operation};
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, Mac};
use dpdk_tcp::wire::ipv4::{Ipv4Packet, parse};

use crate::reach::{OUR_MAC, OURS, PEER_MAC, PEERS, Setup, World};

const ICMP: u8 = 1;
const UDP: u8 = 17;

/// An IPv4 packet of which every field can be made wrong.
#[derive(Clone)]
struct Packet {
    to_mac: Mac,
    source: [u8; 4],
    destination: [u8; 4],
    protocol: u8,
    /// Flags and fragment offset.
    fragment: u16,
    ttl: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Packet {
    fn new(protocol: u8, payload: &[u8]) -> Packet {
        Packet {
            to_mac: OUR_MAC,
            source: PEERS,
            destination: OURS,
            protocol,
            fragment: 0x4000,
            ttl: 64,
            options: Vec::new(),
            payload: payload.to_vec(),
        }
    }

    /// An echo request with this data.
    fn echo(data: &[u8]) -> Packet {
        Packet::new(ICMP, &icmp_message(8, 0, &[&[0x12, 0x34, 0, 1], data].concat()))
    }

    fn from(self, source: [u8; 4]) -> Packet {
        Packet { source, ..self }
    }

    fn to(self, destination: [u8; 4]) -> Packet {
        Packet { destination, ..self }
    }

    fn frame(&self) -> Vec<u8> {
        let header_len = 20 + self.options.len();
        let mut bytes = vec![0; 14 + header_len];
        ethernet::emit(bytes[..14].first_chunk_mut().unwrap(), self.to_mac, PEER_MAC, ETHERTYPE_IPV4);
        let ip = &mut bytes[14..];
        ip[0] = 0x40 | (header_len / 4) as u8;
        ip[2..4].copy_from_slice(&((header_len + self.payload.len()) as u16).to_be_bytes());
        ip[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        ip[8] = self.ttl;
        ip[9] = self.protocol;
        ip[12..16].copy_from_slice(&self.source);
        ip[16..20].copy_from_slice(&self.destination);
        ip[20..].copy_from_slice(&self.options);
        fix_header(ip, header_len);
        bytes.extend(&self.payload);
        bytes
    }
}

/// Writes the checksum of an IPv4 header.
fn fix_header(ip: &mut [u8], header_len: usize) {
    ip[10..12].fill(0);
    let sum = checksum(&ip[..header_len]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An ICMP message: type, code, and what follows the checksum.
fn icmp_message(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], rest].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// A frame with an ARP packet from `sender_mac`, to everybody.
fn arp_frame(operation: Operation, sender_mac: Mac, sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut bytes = vec![0; 60];
    ethernet::emit(bytes[..14].first_chunk_mut().unwrap(), Mac::BROADCAST, sender_mac, ETHERTYPE_ARP);
    let packet = ArpPacket { operation, sender_mac, sender, target_mac: Mac([0; 6]), target };
    wire_arp::emit(bytes[14..42].first_chunk_mut().unwrap(), &packet);
    bytes
}

pub fn asks(target: [u8; 4]) -> Vec<u8> {
    arp_frame(Operation::Request, PEER_MAC, PEERS, target)
}

pub fn says(sender: [u8; 4], mac: Mac) -> Vec<u8> {
    arp_frame(Operation::Reply, mac, sender, OURS)
}

/// What the stack sent: to which MAC address, and what.
#[derive(Clone, Debug)]
enum Seen {
    Arp(Mac, ArpPacket),
    Ip(Mac, Vec<u8>),
}

impl Seen {
    #[track_caller]
    fn arp(&self) -> (Mac, ArpPacket) {
        let Seen::Arp(to, packet) = self else { panic!("an ARP packet, not {self:?}") };
        (*to, *packet)
    }

    /// The IPv4 packet; its header checksum is right.
    #[track_caller]
    fn ip(&self) -> (Mac, Ipv4Packet<'_>) {
        let Seen::Ip(to, bytes) = self else { panic!("an IPv4 packet, not {self:?}") };
        (*to, parse(bytes, false).unwrap())
    }
}

/// All frames since the last look; each comes from our MAC address.
fn seen(world: &mut World) -> Vec<Seen> {
    let frames = world.drain_frames();
    let see = |frame: &Vec<u8>| {
        let (header, payload) = ethernet::parse(frame).unwrap();
        assert_eq!(header.source, OUR_MAC);
        match header.ethertype {
            ETHERTYPE_ARP => Seen::Arp(header.destination, wire_arp::parse(payload).unwrap()),
            _ => Seen::Ip(header.destination, payload.to_vec()),
        }
    };
    frames.iter().map(see).collect()
}

/// Sends a frame and returns what it drew.
fn ask(world: &mut World, frame: &[u8]) -> Vec<Seen> {
    world.send_frame(frame);
    world.run();
    seen(world)
}

/// A world in which no neighbour is known, and all announcements are over.
fn strangers() -> World {
    let mut world = World::with(Setup { fixed: false, ..Setup::default() });
    world.pass_ms(3_000);
    seen(&mut world);
    world
}
