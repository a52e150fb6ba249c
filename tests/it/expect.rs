//! What a test says of frames that came out: only what it is about.

use dpdk_tcp::wire::arp;
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_ARP};
use dpdk_tcp::wire::ipv4;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, Segment};

/// A segment that the stack sent, verified down to its checksums.
#[derive(Clone, Debug)]
pub struct Sent {
    pub source: [u8; 4],
    pub destination: [u8; 4],
    /// Source and destination port.
    pub ports: (u16, u16),
    pub segment: Segment,
    pub text: Vec<u8>,
    pub tos: u8,
    pub ttl: u8,
}

impl Sent {
    #[track_caller]
    pub fn flags(&self, flags: Flags) -> &Self {
        assert_eq!(self.segment.flags, flags, "flags of {:?}", self.segment);
        self
    }

    #[track_caller]
    pub fn seq(&self, seq: Seq) -> &Self {
        assert_eq!(self.segment.seq, seq, "SEG.SEQ of {:?}", self.segment);
        self
    }

    #[track_caller]
    pub fn ack(&self, ack: Seq) -> &Self {
        assert_eq!(self.segment.ack, ack, "SEG.ACK of {:?}", self.segment);
        self
    }

    #[track_caller]
    pub fn text(&self, text: &[u8]) -> &Self {
        assert_eq!(self.text, text, "text of {:?}", self.segment);
        self
    }
}

/// Any frame that the stack sent.
#[derive(Clone, Debug)]
pub enum Out {
    Tcp(Sent),
    /// A sound ARP packet, or an IPv4 packet of another protocol.
    Other,
}

/// Reads a frame that came out; every checksum must be right.
#[track_caller]
pub fn read(frame: &[u8]) -> Out {
    let (header, payload) = ethernet::parse(frame).expect("an Ethernet header");
    if header.ethertype == ETHERTYPE_ARP {
        arp::parse(payload).expect("an ARP packet");
        return Out::Other;
    }
    let packet = ipv4::parse(payload, false).expect("an IPv4 packet with a right checksum");
    if packet.protocol != ipv4::PROTOCOL_TCP {
        return Out::Other;
    }
    let pseudo = pseudo_v4(packet.source, packet.destination, 6, packet.payload.len() as u16);
    assert_eq!((pseudo + Sum::of(packet.payload)).finish(), 0, "the TCP checksum");
    let (ports, segment, text_at) = tcp::parse(packet.payload).expect("a TCP segment");
    assert!(!segment.options.broken, "options can be walked");
    Out::Tcp(Sent {
        source: packet.source,
        destination: packet.destination,
        ports,
        segment,
        text: packet.payload[text_at..].to_vec(),
        tos: packet.tos,
        ttl: packet.ttl,
    })
}
