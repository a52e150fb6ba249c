//! The border between the engine and whatever carries frames: bursts of frames in, bursts of frames out. A
//! device implements [`QueuePair`]; the engine knows nothing else about it. What all links have in common is here too, and
//! one in memory, since it needs nothing but this border.

pub mod memory;
pub mod stash;

use crate::base::burst::Burst;

/// What a device says of a received checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verdict {
    /// The device did not look; software must.
    #[default]
    Unknown,
    /// Verified and right.
    Good,
    /// Verified and wrong.
    Bad,
}

/// The device's verdicts on one received frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RxChecksums {
    /// The IPv4 header checksum.
    pub ip: Verdict,
    /// The TCP (layer 4) checksum.
    pub l4: Verdict,
}

/// What the device must still do to a frame that is sent. Only ever asked for within [`Caps`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TxOffload {
    /// Length of the link header in bytes.
    pub l2_len: u8,
    /// Length of the IP header in bytes.
    pub l3_len: u8,
    /// Length of the TCP header in bytes.
    pub l4_len: u8,
    /// Fill in the IPv4 header checksum (the field is zero).
    pub ip_checksum: bool,
    /// Fill in the TCP checksum (the field holds the pseudo-header's sum).
    pub tcp_checksum: bool,
    /// Cut the segment's text into packets of so many octets, the last of which may be shorter; 0 sends it as one
    /// packet. Both checksums are asked for too, and the pseudo-header's sum is that of a segment of length 0.
    pub cut: u16,
    /// The packet is IPv6; IPv4 otherwise.
    pub ipv6: bool,
}

/// How a port cuts large TCP segments into packets (TSO).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tso {
    /// Most octets of text of a segment that it cuts, at most 65,000.
    pub text_max: u16,
    /// Most bytes of a frame that it makes, from the Ethernet header on.
    pub frame_max: u16,
    /// Frames of [`QueuePair::alloc`] that a segment with its headers takes at most.
    pub frames: usize,
}

/// What a port can do and was configured to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caps {
    /// The port's own MAC address.
    pub mac: [u8; 6],
    /// Largest IP packet in bytes.
    pub mtu: u16,
    /// The port sums IPv4 headers of frames sent.
    pub tx_ip_checksum: bool,
    /// The port sums TCP segments sent.
    pub tx_tcp_checksum: bool,
    /// The port verifies checksums of frames received (a verdict may still be `Unknown`).
    pub rx_checksum: bool,
    /// The port cuts large segments, and so takes frames of several buffers; it sums both checksums then.
    pub tso: Option<Tso>,
}

/// A buffer that holds one link frame, contiguous, from the Ethernet header on; only a segment that the device is
/// to cut may go on in further buffers. Dropping it returns it to where it came from, so that a forgotten frame is
/// not a lost one.
pub trait Frame: Sized {
    /// The frame's bytes, of its first buffer.
    fn bytes(&self) -> &[u8];

    /// The frame's bytes, to be changed.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Most bytes that [`Frame::set_len`] can grant.
    fn capacity(&self) -> usize;

    /// Sets the length in bytes; the start stays. Bytes that were not part of the frame before hold anything.
    /// A length beyond the capacity is cut to the capacity.
    fn set_len(&mut self, len: usize);

    /// Puts a frame's bytes behind this one's, in its own buffer; they are one frame from then on. `None`, or the
    /// other frame when there is no room for another buffer.
    fn append(&mut self, next: Self) -> Option<Self>;

    /// Bytes in all buffers.
    fn total_len(&self) -> usize;

    /// Asks for the line in which [`Frame::bytes`] finds where they are. Nothing depends on it.
    fn expect(&self) {}

    /// The device's verdicts on the checksums of a received frame.
    fn rx_checksums(&self) -> RxChecksums;

    /// Forgets everything known of the frame as a received one, so that it can carry an answer: verdicts and
    /// offloads are cleared and the start is where a fresh frame's is.
    fn reset(&mut self);

    /// Asks the device to complete the frame when it is sent.
    fn set_tx_offload(&mut self, offload: TxOffload);
}

/// One receive and one transmit queue of a port, used by one loop.
pub trait QueuePair {
    /// The device's frames.
    type Frame: Frame;

    /// What the port can do.
    fn caps(&self) -> Caps;

    /// Appends at most `limit` received frames (and no more than fit) to `frames`, without waiting.
    fn rx_burst(&mut self, frames: &mut Burst<Self::Frame>, limit: usize);

    /// Hands frames to the device in order. What it takes leaves the front of `frames`; what it does not take
    /// stays there, in order.
    fn tx_burst(&mut self, frames: &mut Burst<Self::Frame>);

    /// Sees that so many frames are at hand, as far as there are any. [`QueuePair::alloc`] will surely give out as many
    /// as it returns, which may be more than were wanted.
    fn stock(&mut self, wanted: usize) -> usize;

    /// A fresh, empty frame; `None` when the pool is exhausted.
    fn alloc(&mut self) -> Option<Self::Frame>;

    /// Takes back a frame that is no longer needed, as likely the next one that [`QueuePair::alloc`] gives out.
    fn recycle(&mut self, frame: Self::Frame);

    /// Takes back all frames of a burst.
    fn recycle_all(&mut self, frames: &mut Burst<Self::Frame>) {
        frames.drain(..).for_each(|frame| self.recycle(frame));
    }
}
