//! The Internet checksum (RFC 1071) and its update in place (RFC 1624).

use std::ops::Add;

/// A partial sum, not folded: a ones' complement number of 64 bits, so that nothing ever overflows. Sums of pieces add
/// up as long as every piece but the last has an even length.
///
/// The words are added in the machine's own byte order and swapped once, when the sum is folded: RFC 1071 2(B)
/// shows that this gives the same result, and it saves a swap for every word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sum(u64);

/// From so many bytes on, vectors pay.
const LONG: usize = 256;

impl Sum {
    /// The sum of some bytes; an odd last byte counts as if a zero followed.
    #[inline]
    pub fn of(bytes: &[u8]) -> Sum {
        if bytes.len() >= LONG {
            return Sum::of_long(bytes);
        }
        let (words, rest) = bytes.as_chunks::<8>();
        let sum = words.iter().fold(Sum::default(), |sum, word| sum + Sum(u64::from_ne_bytes(*word)));
        sum + Sum::of_rest(rest)
    }

    /// With a text behind what was summed, an even number of bytes: the text behind headers, which most segments do not
    /// have. What sums it is called and not put in place, where it would take registers from what is done with the headers.
    #[inline(always)]
    pub fn with_text(self, text: &[u8]) -> Sum {
        if text.is_empty() { self } else { self + Sum::of_some(text) }
    }

    #[inline(never)]
    fn of_some(bytes: &[u8]) -> Sum {
        Sum::of(bytes)
    }

    /// As [`Sum::of`], for long pieces: words of eight bytes are added as two halves, several such words at once by
    /// what vectors the machine has.
    #[inline(never)]
    fn of_long(bytes: &[u8]) -> Sum {
        let mut sum = Sum::default();
        // So short that the halves cannot overflow.
        for piece in bytes.chunks(1 << 30) {
            let (words, rest) = piece.as_chunks::<8>();
            let halves =
                words.iter().map(|word| u64::from_ne_bytes(*word)).map(|w| (w & 0xffff_ffff) + (w >> 32));
            sum = sum + Sum(halves.sum()) + Sum::of_rest(rest);
        }
        sum
    }

    /// The sum of fewer than eight bytes.
    #[inline]
    fn of_rest(mut rest: &[u8]) -> Sum {
        let mut sum = 0u64;
        if let Some((word, behind)) = rest.split_first_chunk::<4>() {
            sum += u64::from(u32::from_ne_bytes(*word));
            rest = behind;
        }
        if let Some((word, behind)) = rest.split_first_chunk::<2>() {
            sum += u64::from(u16::from_ne_bytes(*word));
            rest = behind;
        }
        if let [last] = *rest {
            sum += u64::from(u16::from_ne_bytes([last, 0]));
        }
        Sum(sum)
    }

    /// The sum of one 16-bit word.
    const fn word(word: u16) -> Sum {
        Sum(word.to_be() as u64)
    }

    /// The sum folded to 16 bits, not complemented.
    #[inline]
    pub fn fold(self) -> u16 {
        // A number and its halves swapped: the upper half of their sum is the sum of both halves with its carry.
        let sum = (self.0.wrapping_add(self.0.rotate_left(32)) >> 32) as u32;
        u16::from_be((sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16)
    }

    /// The checksum: the ones' complement of the folded sum. Over data with a correct checksum it is 0.
    #[inline]
    pub fn finish(self) -> u16 {
        !self.fold()
    }
}

impl Add for Sum {
    type Output = Sum;

    #[inline]
    fn add(self, other: Sum) -> Sum {
        let (sum, carry) = self.0.overflowing_add(other.0);
        Sum(sum + u64::from(carry))
    }
}

/// The sum of some of the 32-bit words of headers, each as it stands in memory: so few that there is no carry to be taken
/// care of. For what is in registers already, or is written from there: to read it back at once would wait for the stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WordSum(u64);

impl WordSum {
    /// The sum of words, fewer than 2^16 of them.
    #[inline(always)]
    pub fn of(words: &[u32]) -> WordSum {
        WordSum(words.iter().map(|word| u64::from(*word)).sum())
    }

    /// As [`pseudo_v4`].
    #[inline(always)]
    pub fn pseudo_v4(source: [u8; 4], destination: [u8; 4], protocol: u8, len: u16) -> WordSum {
        let behind = u32::from(protocol) << 16 | u32::from(len);
        WordSum::of(&[u32::from_ne_bytes(source), u32::from_ne_bytes(destination), behind.to_be()])
    }

    /// The sum as one of bytes.
    #[inline(always)]
    pub fn sum(self) -> Sum {
        Sum(self.0)
    }
}

impl Add for WordSum {
    type Output = WordSum;

    #[inline(always)]
    fn add(self, other: WordSum) -> WordSum {
        WordSum(self.0 + other.0)
    }
}

/// The checksum of some bytes.
pub fn checksum(bytes: &[u8]) -> u16 {
    Sum::of(bytes).finish()
}

/// The sum of the pseudo-header for IPv4 (HDR-4). `len` is header and data of the upper layer.
#[inline]
pub fn pseudo_v4(source: [u8; 4], destination: [u8; 4], protocol: u8, len: u16) -> Sum {
    WordSum::pseudo_v4(source, destination, protocol, len).sum()
}

/// The sum of the pseudo-header for IPv6 (HDR-4, HDR-5: the final destination).
pub fn pseudo_v6(source: [u8; 16], destination: [u8; 16], next_header: u8, len: u32) -> Sum {
    let len = Sum::of(&len.to_be_bytes());
    Sum::of(&source) + Sum::of(&destination) + Sum::word(u16::from(next_header)) + len
}

/// The checksum after a 16-bit word `old` was replaced by `new` (RFC 1624, equation 3).
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    (Sum::word(!checksum) + Sum::word(!old) + Sum::word(new)).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
            .collect()
    }

    #[test]
    fn plain_sums_follow_the_vectors() {
        //= VEC-CK-1..4
        assert_eq!(Sum::of(&hex("0001f203f4f5f6f7")).fold(), 0xddf2);
        assert_eq!(checksum(&hex("0001f203f4f5f6f7")), 0x220d);
        let header = hex("4500007300004000401100 00c0a80001c0a800c7");
        assert_eq!(checksum(&header), 0xb861);
        assert_eq!(Sum::of(&hex("45000073000040004011b861c0a80001c0a800c7")).fold(), 0xffff);
        assert_eq!(checksum(&hex("010203")), 0xfbfd);
        assert_eq!((checksum(&[]), checksum(&[0xff, 0xff])), (0xffff, 0));
        assert_eq!((checksum(&hex("12345678")), checksum(&hex("56781234"))), (0x9753, 0x9753));
    }

    /// Addresses of the IP header if there is one, checksum, TCP segment.
    #[test]
    fn tcp_over_ipv4_follows_the_vectors() {
        //= MUST-2
        //= HDR-4
        //= VEC-CK-5..10
        //= VEC-CK-13
        let a = [192, 168, 1, 116];
        let b = [192, 168, 1, 123];
        let rows = [
            (a, b, "0d091e6cd828aec400000000a002faf012850000020405b40402080a000003e80000000001030307"),
            (b, a, "1e6c0d0967ac0416d828aec56012fffff5b00000020405b4"),
            (a, b, "0d091e6cd828aec567ac0417501001f60b780000"),
            (a, b, "0d091e6cd828aec567ac0417501801f6c798000068656c6c6f"),
            (b, a, "1e6c0d0900000000d828aec550140000792d0000"),
            (a, b, "0d091e6cd828aeca67ac0417501101f60b720000"),
            ([10, 0, 0, 1], [10, 0, 0, 2], "00010002000000030000000450109bc800000000"),
        ];
        for (source, destination, text) in rows {
            let mut segment = hex(text);
            let pseudo = pseudo_v4(source, destination, 6, segment.len() as u16);
            assert_eq!((pseudo + Sum::of(&segment)).finish(), 0, "{text}");
            let stored = u16::from_be_bytes([segment[16], segment[17]]);
            segment[16..18].fill(0);
            assert_eq!((pseudo + Sum::of(&segment)).finish(), stored, "{text}");
        }
        for header in [
            "4500003c000040004006b67cc0a80174c0a8017b",
            "4500002c000040004006b68cc0a8017bc0a80174",
            "45000028000040004006b690c0a80174c0a8017b",
            "4500002d000040004006b68bc0a80174c0a8017b",
        ] {
            assert_eq!(checksum(&hex(header)), 0, "{header}");
        }
    }

    #[test]
    fn ipv6_follows_the_vectors() {
        //= HDR-4
        //= VEC-CK-11..12
        //= VEC-CK-14..16
        // The last as an ICMPv6 request.
        let host = |n: u8| {
            let mut address = [0; 16];
            address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
            address[15] = n;
            address
        };
        let mut group = [0; 16];
        group[..2].copy_from_slice(&[0xff, 2]);
        group[11..].copy_from_slice(&[1, 0xff, 0, 0, 2]);
        let rows = [
            (host(1), host(2), 6, "c00001bb01020304000000006002ffff77040000020405a0"),
            (host(1), host(2), 6, "c00001bb010203050a0b0c0d50180400b0170000616263"),
            (host(1), group, 58, "87001c270000000020010db80000000000000000000000020101020000000001"),
            (host(2), host(1), 58, "88008a716000000020010db80000000000000000000000020201020000000002"),
            (host(1), host(2), 58, "80008075123400016162636465666768"),
        ];
        for (source, destination, next, text) in rows {
            let bytes = hex(text);
            let sum = pseudo_v6(source, destination, next, bytes.len() as u32) + Sum::of(&bytes);
            assert_eq!(sum.finish(), 0, "{text}");
        }
    }

    #[test]
    fn updates_follow_the_vectors() {
        //= VEC-INC-1..4
        let rows = [
            (0xdd2f, 0x5555, 0x3285, 0x0000),
            (0xb861, 0x4011, 0x3f11, 0xb961),
            (0xb861, 0x1234, 0x1234, 0xb861),
            (0x0000, 0x1234, 0x1234, 0x0000),
            (0x5435, 0x0800, 0x0000, 0x5c35),
        ];
        for (before, old, new, after) in rows {
            assert_eq!(update(before, old, new), after);
        }
    }

    fn naive(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0)));
        let mut sum: u32 = words.sum();
        while sum > 0xffff {
            sum = (sum >> 16) + (sum & 0xffff);
        }
        !(sum as u16)
    }

    #[test]
    fn every_length_and_alignment_sums_as_the_naive_way() {
        let bytes: Vec<u8> = (0..1600u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        for start in 0..8 {
            for end in start..=LONG + 50 {
                assert_eq!(checksum(&bytes[start..end]), naive(&bytes[start..end]), "{start}..{end}");
            }
            assert_eq!(checksum(&bytes[start..]), naive(&bytes[start..]), "{start}..");
        }
        let ones = vec![0xff; 65_535];
        assert_eq!(checksum(&ones), naive(&ones), "the longest packet");
        for end in 0..LONG {
            assert_eq!(checksum(&ones[..end]), naive(&ones[..end]), "carries in {end} bytes");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_sum_as_the_naive_way(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), cut in 0usize..200) {
            assert_eq!(checksum(&bytes), naive(&bytes));
            let cut = cut.min(bytes.len()) & !1;
            assert_eq!((Sum::of(&bytes[..cut]) + Sum::of(&bytes[cut..])).finish(), naive(&bytes));
        }

        #[test]
        fn an_update_equals_a_new_sum(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 4..64), new: u16) {
            let even = bytes.len() & !1;
            bytes.truncate(even);
            proptest::prop_assume!(bytes[2..].iter().any(|b| *b != 0) || new != 0);
            let (before, old) = (checksum(&bytes), u16::from_be_bytes([bytes[0], bytes[1]]));
            bytes[..2].copy_from_slice(&new.to_be_bytes());
            let (fresh, updated) = (checksum(&bytes), update(before, old, new));
            assert!(fresh == updated, "{fresh:x} {updated:x}");
        }
    }
}
