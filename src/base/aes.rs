//! AES-128 of one block (FIPS 197), by the machine's instructions for it. There is no other version: who finds no such
//! instructions takes another function.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128i, _mm_aesenc_si128, _mm_aesenclast_si128, _mm_aeskeygenassist_si128, _mm_cvtsi128_si64,
    _mm_loadu_si128, _mm_set_epi64x, _mm_setzero_si128, _mm_shuffle_epi32, _mm_slli_si128, _mm_storeu_si128,
    _mm_unpackhi_epi64, _mm_xor_si128,
};

const ROUNDS: usize = 10;

/// The round keys of a secret. There is one only where the machine has the instructions.
#[derive(Clone)]
#[repr(align(16))]
pub struct Aes([[u8; 16]; ROUNDS + 1]);

impl Aes {
    /// The round keys; `None` where the machine has no instructions for AES.
    pub fn new(key: &[u8; 16]) -> Option<Aes> {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("aes") {
            // SAFETY: the machine has the instructions.
            return Some(unsafe { expand(key) });
        }
        let _ = key;
        None
    }

    /// The block under the key, both as numbers of which the lowest byte comes first.
    #[inline]
    pub fn encrypt(&self, block: u128) -> u128 {
        // SAFETY: there is a value of this type only on machines with the instructions.
        #[cfg(target_arch = "x86_64")]
        return unsafe { encrypt(self, block) };
        #[cfg(not(target_arch = "x86_64"))]
        {
            let _ = &self.0;
            block
        }
    }
}

/// The key schedule.
///
/// # Safety
/// The machine has AES instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes")]
unsafe fn expand(key: &[u8; 16]) -> Aes {
    let mut keys = [_mm_setzero_si128(); ROUNDS + 1];
    // SAFETY: an unaligned load of the 16 bytes that there are.
    keys[0] = unsafe { _mm_loadu_si128(key.as_ptr().cast()) };
    macro_rules! round {
        ($($number:literal $constant:literal),*) => {
            $(keys[$number] = next(keys[$number - 1], _mm_aeskeygenassist_si128::<$constant>(keys[$number - 1]));)*
        };
    }
    round!(1 0x01, 2 0x02, 3 0x04, 4 0x08, 5 0x10, 6 0x20, 7 0x40, 8 0x80, 9 0x1b, 10 0x36);
    Aes(keys.map(|key| {
        let mut bytes = [0; 16];
        // SAFETY: an unaligned store to the 16 bytes that there are.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), key) };
        bytes
    }))
}

/// The round key that follows `key`: each word is the sum of all before it in `key` and of the one that the S-box made.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes")]
fn next(key: __m128i, assist: __m128i) -> __m128i {
    let mut sum = key;
    for _ in 0..3 {
        sum = _mm_xor_si128(key, _mm_slli_si128::<4>(sum));
    }
    _mm_xor_si128(sum, _mm_shuffle_epi32::<0xff>(assist))
}

/// One block.
///
/// # Safety
/// The machine has AES instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "aes")]
unsafe fn encrypt(Aes(keys): &Aes, block: u128) -> u128 {
    // SAFETY: an unaligned load of the 16 bytes of a round key.
    let round_key = |number: usize| unsafe { _mm_loadu_si128(keys[number].as_ptr().cast()) };
    let mut state = _mm_xor_si128(_mm_set_epi64x((block >> 64) as i64, block as i64), round_key(0));
    for number in 1..ROUNDS {
        state = _mm_aesenc_si128(state, round_key(number));
    }
    state = _mm_aesenclast_si128(state, round_key(ROUNDS));
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(state, state)) as u64;
    u128::from(high) << 64 | u128::from(_mm_cvtsi128_si64(state) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_those_of_the_standard() {
        // FIPS 197, appendices B and C.1.
        let rows = [
            (
                0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128,
                0x3243_f6a8_885a_308d_3131_98a2_e037_0734,
                0x3925_841d_02dc_09fb_dc11_8597_196a_0b32_u128,
            ),
            (
                0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f,
                0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
                0x69c4_e0d8_6a7b_0430_d8cd_b780_70b4_c55a,
            ),
        ];
        for (key, plain, cipher) in rows {
            let Some(aes) = Aes::new(&key.to_be_bytes()) else { return };
            let plain: u128 = plain;
            assert_eq!(aes.encrypt(plain.swap_bytes()).swap_bytes(), cipher, "{plain:x}");
        }
    }
}
