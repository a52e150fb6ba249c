//! The TCP header: one walk in, one walk out (RFC 9293 3.1). Knows bytes and fields, no connection.

use super::checksum::WordSum;
use super::seq::Seq;
use super::tcp_options::{self, Options};
use crate::base::drop_reason::DropReason;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Most bytes of a header with options.
pub const HEADER_LEN_MAX: usize = 60;

/// The control bits (HDR-3).
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgment field counts.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer counts.
    pub const URG: Flags = Flags(0x20);
    /// ECN echo.
    pub const ECE: Flags = Flags(0x40);
    /// Congestion window reduced.
    pub const CWR: Flags = Flags(0x80);

    /// All of `bits` are set.
    pub const fn has(self, bits: Flags) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// Any of `bits` is set.
    pub const fn any(self, bits: Flags) -> bool {
        self.0 & bits.0 != 0
    }

    /// Without `bits`.
    #[must_use]
    pub const fn without(self, bits: Flags) -> Flags {
        Flags(self.0 & !bits.0)
    }

    /// With `bits` too.
    #[must_use]
    pub const fn with(self, bits: Flags) -> Flags {
        Flags(self.0 | bits.0)
    }

    /// `bits` when `condition` holds, none otherwise.
    pub const fn when(condition: bool, bits: Flags) -> Flags {
        if condition { bits } else { Flags(0) }
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.with(other)
    }
}

impl std::fmt::Debug for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
        let set = NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0);
        let names: Vec<_> = set.map(|(_, name)| *name).collect();
        write!(f, "<{}>", names.join(","))
    }
}

/// A segment that has arrived, without its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Segment {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; 0 when the ACK bit is off (HDR-6).
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field as it stands in the header, not scaled.
    pub wnd: u16,
    /// The urgent pointer; 0 when the URG bit is off (HDR-6).
    pub up: u16,
    /// Octets of text.
    pub text_len: u16,
    /// The packet was marked "congestion experienced" (RFC 3168).
    pub congested: bool,
    /// The options that we understand.
    pub options: Options,
}

impl Segment {
    /// SEG.LEN: text plus one for SYN and one for FIN (SEQ-4).
    pub const fn len(&self) -> u32 {
        self.text_len as u32 + self.flags.has(Flags::SYN) as u32 + self.flags.has(Flags::FIN) as u32
    }

    /// The segment takes no sequence number.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number after the segment's last.
    pub fn end(&self) -> Seq {
        self.seq + self.len()
    }
}

/// The ports of a segment: source, destination.
pub type Ports = (u16, u16);

fn be16(bytes: &[u8; HEADER_LEN], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The length that a header says it has, in bytes; it need not be possible.
pub fn header_len(payload: &[u8]) -> Option<usize> {
    payload.get(12).map(|offset| usize::from(offset >> 4) * 4)
}

/// Reads the segment in `payload` (an IP packet's payload, already cut to its length). The checksum is not
/// looked at here. Returns the ports, the segment and where its text begins.
///
/// # Errors
/// The header does not fit (PRE-2), a port is 0 (PRE-7), or a SYN's options cannot be walked (OPT-4).
pub fn parse(payload: &[u8]) -> Result<(Ports, Segment, usize), DropReason> {
    let header: &[u8; HEADER_LEN] = payload.first_chunk().ok_or(DropReason::TcpMalformed)?;
    let header_len = usize::from(header[12] >> 4) * 4;
    let Some((_, text)) = payload.split_at_checked(header_len) else {
        return Err(DropReason::TcpMalformed);
    };
    let option_bytes = payload.get(HEADER_LEN..header_len).ok_or(DropReason::TcpMalformed)?;
    let ports = (be16(header, 0), be16(header, 2));
    if ports.0 == 0 || ports.1 == 0 {
        return Err(DropReason::TcpPortZero);
    }
    let options = tcp_options::parse(option_bytes);
    if options.broken && Flags(header[FLAGS_AT]).has(Flags::SYN) {
        return Err(DropReason::TcpBadOptions);
    }
    let text_len = u16::try_from(text.len()).map_err(|_| DropReason::TcpMalformed)?;
    let flags = Flags(header[FLAGS_AT]);
    let segment = Segment {
        seq: Seq(be32(header, 4)),
        ack: Seq(if flags.has(Flags::ACK) { be32(header, 8) } else { 0 }),
        flags,
        wnd: be16(header, 14),
        up: if flags.has(Flags::URG) { be16(header, 18) } else { 0 },
        text_len,
        congested: false,
        options,
    };
    Ok((ports, segment, header_len))
}

/// The fixed part of a header to be written. Reserved bits are zero.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// Source and destination port.
    pub ports: Ports,
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; must be 0 when the ACK bit is off (HDR-6).
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field.
    pub wnd: u16,
    /// The urgent pointer; must be 0 when the URG bit is off.
    pub up: u16,
}

impl Header {
    /// Writes the fixed part with a checksum of zero. `header_len` is the length with options, in bytes: a multiple of 4
    /// from 20 to 60.
    pub fn emit(&self, to: &mut [u8; HEADER_LEN], header_len: usize) {
        self.emit_summed(to, header_len, |_| 0);
    }

    /// As [`Header::emit`], with the checksum that follows from the sum of all else in it.
    #[inline(always)]
    pub fn emit_summed(
        &self,
        to: &mut [u8; HEADER_LEN],
        header_len: usize,
        checksum: impl FnOnce(WordSum) -> u16,
    ) {
        let offset = (header_len as u32 / 4) << 28;
        let mut words = [
            u32::from(self.ports.0) << 16 | u32::from(self.ports.1),
            self.seq.0,
            self.ack.0,
            offset | u32::from(self.flags.0) << 16 | u32::from(self.wnd),
            u32::from(self.up),
        ]
        .map(u32::to_be);
        words[4] |= (u32::from(checksum(WordSum::of(&words))) << 16).to_be();
        super::put_words(to, &words);
    }
}

/// Where the control bits stand in the header.
pub const FLAGS_AT: usize = 13;

/// Where the checksum field stands in the header.
pub const CHECKSUM_AT: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(data_offset_words: u8, flags: Flags) -> [u8; 24] {
        let mut bytes = [0u8; 24];
        bytes[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
        bytes[12] = data_offset_words << 4;
        bytes[13] = flags.0;
        bytes
    }

    #[test]
    fn a_header_that_does_not_fit_is_malformed() {
        //= PRE-2
        assert_eq!(parse(&[0; 19]), Err(DropReason::TcpMalformed));
        assert_eq!(parse(&header(4, Flags::SYN)), Err(DropReason::TcpMalformed));
        assert_eq!(parse(&header(7, Flags::SYN)), Err(DropReason::TcpMalformed));
        assert!(parse(&header(6, Flags::SYN)).is_ok());
    }

    #[test]
    fn fields_without_their_bit_are_ignored() {
        //= HDR-6
        let mut bytes = header(5, Flags::SYN);
        bytes[8..12].copy_from_slice(&[1, 2, 3, 4]);
        bytes[18..20].copy_from_slice(&[5, 6]);
        let (_, segment, text_at) = parse(&bytes).unwrap();
        assert_eq!((segment.ack, segment.up, text_at, segment.text_len), (Seq(0), 0, 20, 4));
        bytes[13] = (Flags::ACK | Flags::URG).0;
        let (_, segment, _) = parse(&bytes).unwrap();
        assert_eq!((segment.ack, segment.up), (Seq(0x0102_0304), 0x0506));
    }

    #[test]
    fn reserved_bits_are_ignored_and_sent_as_zero() {
        //= X-1
        let mut bytes = header(5, Flags::SYN);
        bytes[12] |= 0x0f;
        assert!(parse(&bytes).is_ok());
        let mut out = [0xff; HEADER_LEN];
        let fields = Header { ports: (1, 2), seq: Seq(3), ack: Seq(0), flags: Flags::SYN, wnd: 5, up: 0 };
        fields.emit(&mut out, 20);
        assert_eq!(out[12], 0x50);
    }

    #[test]
    fn length_counts_syn_and_fin() {
        //= SEQ-4
        let mut segment = Segment { text_len: 10, ..Segment::default() };
        assert_eq!(segment.len(), 10);
        segment.flags = Flags::SYN | Flags::FIN | Flags::ACK | Flags::PSH | Flags::URG | Flags::RST;
        assert_eq!((segment.len(), segment.end()), (12, Seq(12)));
    }

    #[test]
    fn a_port_of_zero_is_refused() {
        //= PRE-7
        let mut bytes = header(5, Flags::SYN);
        bytes[2..4].fill(0);
        assert_eq!(parse(&bytes), Err(DropReason::TcpPortZero));
    }
}
