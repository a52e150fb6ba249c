//! Initial sequence numbers (RFC 6528) and timestamp offsets (RFC 7323 5.4). Pure: time and secret are
//! arguments.

use std::net::{IpAddr, Ipv4Addr};

use crate::base::hash::{BlockHash, Key, siphash24, siphash24_short};
use crate::base::time::Instant;
use crate::wire::seq::Seq;

/// The keyed hash of both addresses and both ports in wire order: 12 bytes for IPv4, 36 for IPv6.
#[inline]
fn hashed(key: &Key, local: (IpAddr, u16), remote: (IpAddr, u16)) -> u32 {
    match (local.0, remote.0) {
        (IpAddr::V4(from), IpAddr::V4(to)) => hashed_v4(key, (from, local.1), (to, remote.1)),
        _ => hashed_long(key, local, remote),
    }
}

fn hashed_long(key: &Key, local: (IpAddr, u16), remote: (IpAddr, u16)) -> u32 {
    let mut bytes = arrayvec::ArrayVec::<u8, 36>::new();
    for address in [local.0, remote.0] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    bytes.extend(local.1.to_be_bytes().into_iter().chain(remote.1.to_be_bytes()));
    siphash24(key, &bytes) as u32
}

#[inline]
fn hashed_v4(key: &Key, local: (Ipv4Addr, u16), remote: (Ipv4Addr, u16)) -> u32 {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&local.0.octets());
    bytes[4..8].copy_from_slice(&remote.0.octets());
    bytes[8..10].copy_from_slice(&local.1.to_be_bytes());
    bytes[10..].copy_from_slice(&remote.1.to_be_bytes());
    siphash24_short(key, &bytes) as u32
}

/// ISN = M + F(local, remote, secret) mod 2^32; M steps each 4 microseconds (MUST-8, SHLD-1, ISN-1, ISN-3).
#[inline]
pub fn initial(key: &Key, now: Instant, local: (IpAddr, u16), remote: (IpAddr, u16)) -> Seq {
    //= MUST-8
    //= MUST-9
    //= SHLD-1
    Seq(hashed(key, local, remote).wrapping_add((now.micros() / 4) as u32))
}

/// The offset added to the clock in TSval: the same for all connections between two hosts, so that it is
/// monotone over them (TS-10), and unknown to others (ATK-28).
pub fn timestamp_offset(secret: &BlockHash, local: Ipv4Addr, remote: Ipv4Addr) -> u32 {
    //= TS-10
    secret.hash(u128::from(local.to_bits()) << 32 | u128::from(remote.to_bits())) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    #[test]
    fn the_number_is_clock_plus_keyed_hash() {
        //= MUST-8
        //= MUST-9
        //= SHLD-1
        //= ISN-1
        //= ISN-3
        //= VEC-ISN-1..6
        let local = (IpAddr::V4(Ipv4Addr::new(192, 168, 1, 123)), 7788);
        let remote = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 116));
        let rows = [
            (3337, 0, 0x48a9_950c),
            (3337, 4, 0x48a9_950d),
            (3337, 1_000_000, 0x48ad_659c),
            (3337, 17_179_869_180, 0x48a9_950b),
            (3337, 17_179_869_184, 0x48a9_950c),
            (3338, 0, 0xb6a9_28fc),
        ];
        for (port, clock_us, isn) in rows {
            assert_eq!(
                initial(&KEY, Instant(clock_us), local, (remote, port)),
                Seq(isn),
                "{port} {clock_us}"
            );
        }
    }

    #[test]
    fn the_timestamp_offset_does_not_depend_on_ports() {
        //= TS-10
        let (a, b) = (Ipv4Addr::new(198, 18, 0, 1), Ipv4Addr::new(198, 18, 0, 2));
        let (one, other) = (BlockHash::new(&KEY), BlockHash::new(&[9; 16]));
        assert_ne!(timestamp_offset(&one, a, b), timestamp_offset(&one, b, a));
        assert_ne!(timestamp_offset(&one, a, b), timestamp_offset(&other, a, b));
    }
}
