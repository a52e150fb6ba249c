//! Sixteen bytes compared at once, where the machine can; a portable version everywhere.

#![allow(unsafe_code)]

/// A bit for each byte that is `wanted`.
#[inline(always)]
pub fn equal_bytes(bytes: &[u8; 16], wanted: u8) -> u32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has SSE2. The load is an unaligned one of 16 bytes, and the array has so many.
    unsafe {
        use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
        let all = _mm_loadu_si128(bytes.as_ptr().cast());
        _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8(wanted as i8))) as u32
    }
    #[cfg(not(target_arch = "x86_64"))]
    one_by_one(bytes, wanted)
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn one_by_one(bytes: &[u8; 16], wanted: u8) -> u32 {
    bytes.iter().enumerate().fold(0, |bits, (at, byte)| bits | u32::from(*byte == wanted) << at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn bytes_compared_at_once_are_equal_as_one_by_one() {
        let mut rng = Rng::new(3);
        for _ in 0..10_000 {
            let few = 1 + rng.below(256);
            let bytes: [u8; 16] = std::array::from_fn(|_| rng.below(few) as u8);
            for wanted in [0, 255, bytes[0], bytes[15], rng.next_u64() as u8] {
                assert_eq!(equal_bytes(&bytes, wanted), one_by_one(&bytes, wanted), "{wanted} in {bytes:?}");
            }
        }
    }
}
