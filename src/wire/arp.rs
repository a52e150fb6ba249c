//! ARP for Ethernet and IPv4 (RFC 826): 28 bytes.

use super::ethernet::Mac;
use crate::base::drop_reason::DropReason;

/// Bytes of a packet.
pub const PACKET_LEN: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, and their address lengths (ARP-1).
const PREFIX: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// What a packet is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// A packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArpPacket {
    /// Request or reply.
    pub operation: Operation,
    /// The sender's MAC address.
    pub sender_mac: Mac,
    /// The sender's address; 0.0.0.0 in a probe (RFC 5227).
    pub sender: [u8; 4],
    /// The target's MAC address; anything in a request.
    pub target_mac: Mac,
    /// The target's address.
    pub target: [u8; 4],
}

/// Reads a packet; what follows it is padding.
///
/// # Errors
/// It is too short, not for Ethernet and IPv4, neither request nor reply, or its sender is a group address
/// (ARP-5).
pub fn parse(bytes: &[u8]) -> Result<ArpPacket, DropReason> {
    let bytes: &[u8; PACKET_LEN] = bytes.first_chunk().ok_or(DropReason::ArpMalformed)?;
    let mac = |at: usize| Mac(std::array::from_fn(|i| bytes[at + i]));
    let address = |at: usize| std::array::from_fn(|i| bytes[at + i]);
    //= ARP-1
    let operation = match (bytes.starts_with(&PREFIX), bytes[6], bytes[7]) {
        (true, 0, 1) => Operation::Request,
        (true, 0, 2) => Operation::Reply,
        _ => return Err(DropReason::ArpMalformed),
    };
    //= ARP-5
    if mac(8).is_group() || mac(8).is_zero() {
        return Err(DropReason::ArpMalformed);
    }
    Ok(ArpPacket {
        operation,
        sender_mac: mac(8),
        sender: address(14),
        target_mac: mac(18),
        target: address(24),
    })
}

/// Writes a packet.
pub fn emit(to: &mut [u8; PACKET_LEN], packet: &ArpPacket) {
    to[..6].copy_from_slice(&PREFIX);
    to[6..8].copy_from_slice(&match packet.operation {
        Operation::Request => [0, 1],
        Operation::Reply => [0, 2],
    });
    to[8..14].copy_from_slice(&packet.sender_mac.0);
    to[14..18].copy_from_slice(&packet.sender);
    to[18..24].copy_from_slice(&packet.target_mac.0);
    to[24..28].copy_from_slice(&packet.target);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_as_it_was_written() {
        //= ARP-1
        let packet = ArpPacket {
            operation: Operation::Request,
            sender_mac: Mac([2, 0, 0, 0, 0, 1]),
            sender: [198, 18, 0, 1],
            target_mac: Mac([0; 6]),
            target: [198, 18, 0, 2],
        };
        for operation in [Operation::Request, Operation::Reply] {
            let mut bytes = [0; PACKET_LEN];
            emit(&mut bytes, &ArpPacket { operation, ..packet });
            assert_eq!(parse(&bytes), Ok(ArpPacket { operation, ..packet }));
            assert_eq!(parse(&bytes[..27]), Err(DropReason::ArpMalformed));
            for (at, wrong) in [(1, 6), (2, 9), (4, 8), (5, 16), (7, 3), (6, 1), (8, 1)] {
                let mut broken = bytes;
                broken[at] = wrong;
                assert_eq!(parse(&broken), Err(DropReason::ArpMalformed), "byte {at}");
            }
        }
    }
}
