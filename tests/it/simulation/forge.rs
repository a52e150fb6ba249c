//! Frames that no host of ours would send: strays, malformed ones, forged ICMP and ARP.

use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::ethernet::ETHERTYPE_ARP;
use dpdk_tcp::wire::tcp::Flags;

use super::actor::address;
use super::fleet::mac;
use super::hostile::OWN_NUMBER;
use crate::reach::Seg;

const ACK: Flags = Flags::ACK;

/// A sound segment without a connection.
pub fn stray(kind: u32, mut blind: Seg) -> Seg {
    match kind {
        0 => blind.flags = ACK,
        1 => blind.flags = Flags::RST,
        2 => blind.flags = Flags::FIN,
        3 => blind.ports.1 = 9,
        4 => (blind.flags, blind.ports.1) = (Flags::RST | ACK, 9),
        5 => (blind.flags, blind.ports.1) = (ACK, 0),
        6 => (blind.source, blind.ports.0) = (blind.destination, blind.ports.1),
        7 => blind.source = [127, 0, 0, 1],
        8 => blind.destination = [224, 0, 0, 1],
        9 => blind.destination = address(OWN_NUMBER + 9),
        _ => {}
    }
    blind
}

/// A frame that is not what it seems.
pub fn malformed(kind: u32, mut frame: Vec<u8>, number: u32) -> Vec<u8> {
    match kind {
        11 => wrong_header(frame, 20, &[0x20]),
        12 => source_routed(frame),
        13 => wrong_header(frame, 23, &[132]),
        14 => echo_request(frame, number & 1 == 0, number & 2 == 0),
        15 => wrong_header(frame, 46, &[0x10]),
        16 => wrong_header(frame, 12, &[0x88, 0xb5]),
        17 => wrong_header(frame, 14, &[0x65]),
        18 => wrong_header(frame, 16, &[0xff]),
        19 => {
            frame[24] ^= 1;
            frame
        }
        _ => {
            frame.truncate(10);
            frame
        }
    }
}

/// Puts octets somewhere into a frame and makes the IP header's sum right again.
pub fn wrong_header(mut frame: Vec<u8>, at: usize, octets: &[u8]) -> Vec<u8> {
    frame[at..at + octets.len()].copy_from_slice(octets);
    let header = 14..34;
    frame[24..26].fill(0);
    let sum = checksum(&frame[header]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// A loose source route in an IP header that is longer by it.
pub fn source_routed(mut frame: Vec<u8>) -> Vec<u8> {
    let route = [131, 7, 4, 198, 18, 0, 1, 0];
    frame.splice(34..34, route);
    let total = (frame.len() - 14) as u16;
    frame[14] = 0x47;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[24..26].fill(0);
    let sum = checksum(&frame[14..42]);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    frame
}

/// An echo request, or what only looks like ICMP.
pub fn echo_request(frame: Vec<u8>, asks: bool, sound: bool) -> Vec<u8> {
    let mut frame = wrong_header(frame, 23, &[1]);
    let kind = if asks { 8 } else { 13 };
    frame[34..38].copy_from_slice(&[kind, 0, 0, 0]);
    let sum = checksum(&frame[34..]);
    frame[36..38].copy_from_slice(&sum.to_be_bytes());
    frame[36] ^= u8::from(!sound);
    frame
}

/// A SYN whose options cannot be walked.
pub fn broken_options(mut syn: Seg, to: [u8; 6]) -> Vec<u8> {
    syn.options.mss = Some(1_460);
    let mut frame = syn.frame();
    frame[..6].copy_from_slice(&to);
    // The length of the option says that it has no end; the sum is made right by the urgent pointer.
    let (before, after) = (frame[55], 60);
    frame[55] = after;
    let difference = u16::from(before).wrapping_sub(u16::from(after));
    let sum = u32::from(u16::from_be_bytes([frame[50], frame[51]]));
    let fixed = sum + u32::from(difference) + u32::from(before < after).wrapping_mul(0xffff);
    let folded = ((fixed & 0xffff) + (fixed >> 16)) as u16;
    frame[50..52].copy_from_slice(&folded.to_be_bytes());
    frame
}

/// ARP that is malformed, for somebody else, unasked for, an echo, or a claim to the host's own address.
pub fn arp_frame(kind: u32, host: usize, own: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0; 42];
    frame[..6].copy_from_slice(&mac(host));
    frame[6..12].copy_from_slice(&mac(OWN_NUMBER));
    frame[12..14].copy_from_slice(&ETHERTYPE_ARP.to_be_bytes());
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
    frame[22..28].copy_from_slice(&mac(OWN_NUMBER));
    frame[28..32].copy_from_slice(&own);
    frame[32..38].copy_from_slice(&mac(host));
    frame[38..42].copy_from_slice(&address(host));
    match (kind, own[3] % 4) {
        (22, _) => frame[14] = 9,
        (23, 0) => frame[28..32].copy_from_slice(&address(host)),
        (23, 1) => {
            frame[28..32].copy_from_slice(&address(host));
            frame[22..28].copy_from_slice(&mac(host));
        }
        (23, _) => {
            frame[21] = 1;
            frame[38..42].copy_from_slice(&address(OWN_NUMBER + 8));
        }
        _ => {}
    }
    frame
}

/// An ICMP error about a packet that was seen, or one that was not: from a router, about what its host may have
/// sent.
pub fn icmp_error(kind: u32, seen: &[u8], router: [u8; 4]) -> Vec<u8> {
    let mut quote = seen[14..seen.len().min(14 + 40)].to_vec();
    let (mut code, mut rest) = ([3, 1], [0; 4]);
    match kind {
        0 => code = [4, 0],
        1 => quote.truncate(24),
        2 => quote[12..16].copy_from_slice(&address(OWN_NUMBER + 7)),
        3 => quote[20..22].copy_from_slice(&[1, 1]),
        4 => quote[24] ^= 0x40,
        5 => (code, rest) = ([3, 4], [0, 0, 0x27, 0x10]),
        7 => (code, rest) = ([3, 4], [0, 0, 0x02, 0xbc]),
        _ => {}
    }
    quote[10..12].fill(0);
    let sum = checksum(&quote[..20]);
    quote[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut message = [&code[..], &[0, 0], &rest, &quote].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let total = (20 + message.len()) as u16;
    let mut frame = seen[..34].to_vec();
    let (to, source) = (seen[6..12].to_vec(), seen[26..30].to_vec());
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&mac(OWN_NUMBER));
    frame[15] = 0;
    frame[16..18].copy_from_slice(&total.to_be_bytes());
    frame[26..30].copy_from_slice(&router);
    frame[30..34].copy_from_slice(&source);
    frame.extend(message);
    wrong_header(frame, 23, &[1])
}
