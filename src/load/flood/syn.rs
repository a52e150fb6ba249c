//! The SYN of a flood: headers written once, and sums of all that does not change, so that a SYN costs a copy of 74
//! bytes and a few additions.

use super::walk::Walk;
use super::{Sources, Target, sequence};
use crate::base::burst::Burst;
use crate::link::{Caps, Frame, QueuePair, TxOffload};
use crate::wire::checksum::{self, Sum};
use crate::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use crate::wire::ipv4::{self, Ipv4Fields};
use crate::wire::seq::Seq;
use crate::wire::tcp::{self, Flags, Header};
use crate::wire::tcp_options::{self, Options, Timestamps};

/// Where the headers begin, and the fields that change.
const IP: usize = ethernet::HEADER_LEN;
const TCP: usize = IP + ipv4::HEADER_LEN;
const IP_CHECKSUM: usize = IP + 10;
const SOURCE: usize = IP + 12;
const PORT: usize = TCP;
const SEQ: usize = TCP + 4;
const TCP_CHECKSUM: usize = TCP + tcp::CHECKSUM_AT;
/// MSS in four bytes, SACK permitted in two, and the timestamps option's kind and length (OPT-7).
const TIME: usize = TCP + tcp::HEADER_LEN + 8;
/// MSS, SACK permitted, timestamps, window scale.
const OPTIONS_LEN: usize = 20;
const TCP_LEN: usize = tcp::HEADER_LEN + OPTIONS_LEN;
/// Bytes of the whole frame.
pub(super) const LEN: usize = TCP + TCP_LEN;

/// What a usual client says.
const WINDOW: u16 = 64_240;
const WINDOW_SCALE: u8 = 7;

/// What the IP header of a segment of so many bytes says.
pub(super) fn ip_fields(source: [u8; 4], destination: [u8; 4], segment_len: usize) -> Ipv4Fields {
    Ipv4Fields {
        source,
        destination,
        protocol: ipv4::PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        payload_len: segment_len as u16,
        id: 0,
        dont_fragment: true,
    }
}

/// A SYN that lacks its source, its number and its time.
pub(super) struct Template {
    bytes: [u8; LEN],
    /// The sum of the IP header, and that of the segment with its pseudo-header, without what lacks.
    ip: Sum,
    tcp: Sum,
    /// The pseudo-header's alone, without the source.
    pseudo: Sum,
    /// `tcp` with the time that is set.
    tcp_now: Sum,
    caps: Caps,
    offload: TxOffload,
}

impl Template {
    /// A SYN to `target` from the port with these `caps`.
    pub fn new(target: &Target, caps: &Caps) -> Template {
        let mut bytes = [0; LEN];
        let options = Options {
            mss: Some(caps.mtu - (ipv4::HEADER_LEN + tcp::HEADER_LEN) as u16),
            window_scale: Some(WINDOW_SCALE),
            sack_permitted: true,
            timestamps: Some(Timestamps::default()),
            ..Options::default()
        };
        let fields = ip_fields([0; 4], target.address, TCP_LEN);
        let header = Header {
            ports: (0, target.port),
            seq: Seq(0),
            ack: Seq(0),
            flags: Flags::SYN,
            wnd: WINDOW,
            up: 0,
        };
        let mut written = [0; tcp_options::LEN_MAX];
        tcp_options::emit(&options, &mut written);
        let mut fixed = ([0; IP], [0; ipv4::HEADER_LEN], [0; tcp::HEADER_LEN]);
        ethernet::emit(&mut fixed.0, target.mac, Mac(caps.mac), ETHERTYPE_IPV4);
        ipv4::emit(&mut fixed.1, &fields, false);
        header.emit(&mut fixed.2, TCP_LEN);
        bytes[..IP].copy_from_slice(&fixed.0);
        bytes[IP..TCP].copy_from_slice(&fixed.1);
        bytes[TCP..TCP + tcp::HEADER_LEN].copy_from_slice(&fixed.2);
        bytes[TCP + tcp::HEADER_LEN..].copy_from_slice(&written[..OPTIONS_LEN]);
        let pseudo = checksum::pseudo_v4([0; 4], target.address, ipv4::PROTOCOL_TCP, TCP_LEN as u16);
        let tcp = pseudo + Sum::of(&bytes[TCP..]);
        let offload = TxOffload {
            l2_len: ethernet::HEADER_LEN as u8,
            l3_len: ipv4::HEADER_LEN as u8,
            l4_len: TCP_LEN as u8,
            ip_checksum: caps.tx_ip_checksum,
            tcp_checksum: caps.tx_tcp_checksum,
            cut: 0,
            ipv6: false,
        };
        Template { ip: Sum::of(&bytes[IP..TCP]), bytes, tcp, pseudo, tcp_now: tcp, caps: *caps, offload }
    }

    /// Sets the client's clock, in milliseconds, for the SYNs to come.
    pub fn set_time(&mut self, ms: u32) {
        let time = ms.to_be_bytes();
        self.bytes[TIME..TIME + 4].copy_from_slice(&time);
        self.tcp_now = self.tcp + Sum::of(&time);
    }

    /// Makes a fresh frame a SYN.
    pub fn write(&self, frame: &mut impl Frame, source: u32, port: u16, seq: Seq) {
        let (source, port, seq) = (source.to_be_bytes(), port.to_be_bytes(), seq.0.to_be_bytes());
        frame.set_len(LEN);
        let Some(to) = frame.bytes_mut().first_chunk_mut::<LEN>() else { return };
        *to = self.bytes;
        to[SOURCE..SOURCE + 4].copy_from_slice(&source);
        to[PORT..PORT + 2].copy_from_slice(&port);
        to[SEQ..SEQ + 4].copy_from_slice(&seq);
        let source = Sum::of(&source);
        if !self.caps.tx_ip_checksum {
            to[IP_CHECKSUM..IP_CHECKSUM + 2].copy_from_slice(&(self.ip + source).finish().to_be_bytes());
        }
        //= OFF-1
        let sum = if self.caps.tx_tcp_checksum {
            (self.pseudo + source).fold()
        } else {
            (self.tcp_now + source + Sum::of(&port) + Sum::of(&seq)).finish()
        };
        to[TCP_CHECKSUM..TCP_CHECKSUM + 2].copy_from_slice(&sum.to_be_bytes());
        if self.caps.tx_ip_checksum || self.caps.tx_tcp_checksum {
            frame.set_tx_offload(self.offload);
        }
    }
}

/// SYNs to one port, from each of many tuples in turn.
pub(super) struct Series {
    template: Template,
    walk: Walk,
    first: u32,
    seed: u64,
    built: u64,
}

impl Series {
    /// `seed` says where it begins, and what the sequence numbers follow from.
    pub fn new(target: &Target, sources: &Sources, seed: u64, caps: &Caps) -> Series {
        Series {
            template: Template::new(target, caps),
            walk: Walk::new(sources.addresses, sources.ports.clone(), seed),
            first: u32::from_be_bytes(sources.first),
            seed,
            built: 0,
        }
    }

    /// SYNs that were built so far.
    pub fn built(&self) -> u64 {
        self.built
    }

    /// Builds so many more, as far as there are frames and room for them.
    pub fn build<Q: QueuePair>(
        &mut self,
        queue: &mut Q,
        to: &mut Burst<Q::Frame>,
        count: usize,
        now_ns: u64,
    ) {
        let count = count.min(to.remaining_capacity());
        if count == 0 {
            return;
        }
        self.template.set_time((now_ns / 1_000_000) as u32);
        for _ in 0..count {
            let Some(mut frame) = queue.alloc() else { return };
            let (number, port) = self.walk.step();
            let seq = sequence(self.seed, number, port);
            self.template.write(&mut frame, self.first + number, port, seq);
            self.built += 1;
            if let Err(refused) = to.try_push(frame) {
                queue.recycle(refused.element());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory::{Plan, pair};
    use crate::link::{QueuePair, RxChecksums};

    const TARGET: Target = Target { address: [198, 18, 0, 1], port: 443, mac: Mac([2, 0, 0, 0, 0, 9]) };

    proptest::proptest! {
        #[test]
        fn any_syn_is_a_clients_with_right_sums(source: u32, port in 1..=u16::MAX, seq: u32, ms: u32) {
            proptest::prop_assume!(ipv4::may_be_a_source(source.to_be_bytes()));
            let (mut a, _b) = pair(Plan { frames: 1, ..Plan::default() });
            let mut template = Template::new(&TARGET, &a.caps());
            let mut frame = a.alloc().unwrap();
            template.set_time(!ms);
            template.set_time(ms);
            template.write(&mut frame, source, port, Seq(seq));
            let (header, payload) = ethernet::parse(frame.bytes()).unwrap();
            assert_eq!((header.destination, header.source), (TARGET.mac, Mac(a.caps().mac)));
            let packet = ipv4::parse(payload, false).unwrap();
            assert_eq!((packet.source, packet.destination), (source.to_be_bytes(), TARGET.address));
            let pseudo = checksum::pseudo_v4(packet.source, packet.destination, 6, TCP_LEN as u16);
            assert_eq!((pseudo + Sum::of(packet.payload)).finish(), 0);
            let (ports, segment, _) = tcp::parse(packet.payload).unwrap();
            assert_eq!((ports, segment.seq, segment.flags), ((port, 443), Seq(seq), Flags::SYN));
            let Options { mss, window_scale, sack_permitted, timestamps, .. } = segment.options;
            assert_eq!((mss, window_scale, sack_permitted), (Some(1_460), Some(7), true));
            assert_eq!(timestamps, Some(Timestamps { val: ms, ecr: 0 }));
            assert_eq!(frame.rx_checksums(), RxChecksums::default());
        }
    }

    #[test]
    fn a_port_that_sums_is_asked_to_and_given_the_pseudo_headers_sum() {
        //= OFF-1
        let (mut a, _b) = pair(Plan { frames: 2, ..Plan::default() });
        let sums = Caps { tx_ip_checksum: true, tx_tcp_checksum: true, ..a.caps() };
        let [software, device] = [a.caps(), sums].map(|caps| {
            let mut frame = a.alloc().unwrap();
            Template::new(&TARGET, &caps).write(&mut frame, 0x0a00_0001, 5, Seq(6));
            frame
        });
        let bytes = device.bytes();
        assert_eq!(bytes[IP_CHECKSUM..IP_CHECKSUM + 2], [0, 0]);
        let pseudo = checksum::pseudo_v4([10, 0, 0, 1], TARGET.address, 6, TCP_LEN as u16).fold();
        assert_eq!(bytes[TCP_CHECKSUM..TCP_CHECKSUM + 2], pseudo.to_be_bytes());
        // What the device does then.
        let (ip, tcp) = (checksum::checksum(&bytes[IP..TCP]), checksum::checksum(&bytes[TCP..]));
        assert_eq!(software.bytes()[IP_CHECKSUM..IP_CHECKSUM + 2], ip.to_be_bytes());
        assert_eq!(software.bytes()[TCP_CHECKSUM..TCP_CHECKSUM + 2], tcp.to_be_bytes());
    }
}
