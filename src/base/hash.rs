//! Keyed hashes. Each use has a secret of its own (ISN-5), drawn once at start from the operating system.

use siphasher::sip::{SipHasher13, SipHasher24};

use super::aes::Aes;

/// A 128-bit key.
pub type Key = [u8; 16];

/// SipHash-2-4, for what an attacker may see the output of: initial sequence numbers, cookies.
pub fn siphash24(key: &Key, message: &[u8]) -> u64 {
    SipHasher24::new_with_key(key).hash(message)
}

/// A keyed hash of one block: AES-128 where the machine has instructions for it, SipHash-2-4 elsewhere. Nobody can tell
/// either from a random function without the key; see `docs/decisions/0018-aes-for-places.md`.
#[derive(Clone)]
pub enum BlockHash {
    /// AES-128.
    Aes(Aes),
    /// SipHash-2-4.
    Sip(Key),
}

impl BlockHash {
    /// The hash with this key.
    pub fn new(key: &Key) -> BlockHash {
        Aes::new(key).map_or(BlockHash::Sip(*key), BlockHash::Aes)
    }

    /// The hash of a block; shorter messages of one length have zeros behind them.
    #[inline(always)]
    pub fn hash(&self, block: u128) -> u64 {
        match self {
            BlockHash::Aes(aes) => aes.encrypt(block) as u64,
            BlockHash::Sip(key) => siphash24_short(key, &block.to_le_bytes()),
        }
    }
}

/// SipHash-1-3, for what only decides a place in a table.
pub fn siphash13(key: &Key, message: &[u8]) -> u64 {
    SipHasher13::new_with_key(key).hash(message)
}

/// SipHash-2-4 of a short message, as [`siphash24`] has it.
#[inline]
pub fn siphash24_short<const N: usize>(key: &Key, message: &[u8; N]) -> u64 {
    sip_short::<2, 4, N>(key, message)
}

/// SipHash-1-3 of a short message, as [`siphash13`] has it.
#[inline]
pub fn siphash13_short<const N: usize>(key: &Key, message: &[u8; N]) -> u64 {
    sip_short::<1, 3, N>(key, message)
}

/// SipHash-C-D of N bytes, for what is hashed for every segment or every connection: all lengths are known, so that
/// nothing is left of the loop, and there is no buffer.
#[inline(always)]
fn sip_short<const C: usize, const D: usize, const N: usize>(key: &Key, message: &[u8; N]) -> u64 {
    let (words, rest) = message.as_chunks::<8>();
    let mut last_word = [0; 8];
    last_word[..N % 8].copy_from_slice(rest);
    last_word[7] = N as u8;
    let (k0, k1) = (word(key, 0), word(key, 8));
    // The constants of the paper: "somepseudorandomlygeneratedbytes".
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut take = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        state[3] ^= word;
        (0..C).for_each(|_| sip_round(&mut state));
        state[0] ^= word;
    };
    words.iter().for_each(&mut take);
    take(&last_word);
    state[2] ^= 0xff;
    (0..D).for_each(|_| sip_round(&mut state));
    state[0] ^ state[1] ^ state[2] ^ state[3]
}

#[inline(always)]
fn word(key: &Key, at: usize) -> u64 {
    key.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[inline(always)]
const fn sip_round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}

/// The secrets of one process (ISN-4: drawn at each start and kept while it runs).
#[derive(Clone)]
pub struct Secrets {
    /// Initial sequence numbers.
    pub isn: Key,
    /// Timestamp offsets (TS-10).
    pub timestamp: Key,
    /// The connection table's hash (ATK-21).
    pub table: Key,
    /// Source ports (PORT-2).
    pub ports: Key,
    /// SYN cookies (SYNC-3).
    pub cookies: Key,
}

impl Secrets {
    /// Fresh secrets from the operating system's generator.
    ///
    /// # Errors
    /// The operating system could not give random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        //= ISN-2
        //= ISN-4
        //= ISN-5
        let mut bytes = [[0u8; 16]; 5];
        for key in &mut bytes {
            getrandom::fill(key)?;
        }
        Ok(Secrets {
            isn: bytes[0],
            timestamp: bytes[1],
            table: bytes[2],
            ports: bytes[3],
            cookies: bytes[4],
        })
    }

    /// Secrets that follow from a seed, for simulations and tests that must be repeatable.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = super::rng::Rng::new(seed);
        let mut key = || {
            let mut key = [0u8; 16];
            key[..8].copy_from_slice(&rng.next_u64().to_le_bytes());
            key[8..].copy_from_slice(&rng.next_u64().to_le_bytes());
            key
        };
        Secrets { isn: key(), timestamp: key(), table: key(), ports: key(), cookies: key() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree<const N: usize>(rng: &mut crate::base::rng::Rng) {
        for _ in 0..1_000 {
            let mut key = Key::default();
            let mut message = [0; N];
            key.iter_mut().chain(&mut message).for_each(|byte| *byte = rng.next_u64() as u8);
            assert_eq!(siphash13_short(&key, &message), siphash13(&key, &message), "{N} bytes");
            assert_eq!(siphash24_short(&key, &message), siphash24(&key, &message), "{N} bytes");
        }
    }

    #[test]
    fn short_messages_have_the_hash_that_the_general_way_gives_them() {
        let mut rng = crate::base::rng::Rng::new(7);
        agree::<8>(&mut rng);
        agree::<10>(&mut rng);
        agree::<12>(&mut rng);
        agree::<4>(&mut rng);
        agree::<17>(&mut rng);
        agree::<28>(&mut rng);
        agree::<15>(&mut rng);
        agree::<16>(&mut rng);
    }

    #[test]
    fn blocks_are_spread_by_either_hash() {
        //= ATK-21
        let key = [7; 16];
        for hash in [BlockHash::new(&key), BlockHash::Sip(key)] {
            let mut counts = [0u32; 256];
            for block in 0..65_536u128 {
                let value = hash.hash(block << 37);
                counts[value as usize % 256] += 1;
                assert_ne!(value, BlockHash::new(&[8; 16]).hash(block << 37));
            }
            // Five standard deviations to either side.
            assert!(counts.iter().all(|count| (176..=336).contains(count)), "{counts:?}");
        }
    }
}
