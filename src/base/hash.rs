//! Keyed hashes. Each use has a secret of its own (ISN-5), drawn once at start from the operating system.

use siphasher::sip::{SipHasher13, SipHasher24};

/// A 128-bit key.
pub type Key = [u8; 16];

/// SipHash-2-4, for what an attacker may see the output of: initial sequence numbers, cookies.
pub fn siphash24(key: &Key, message: &[u8]) -> u64 {
    SipHasher24::new_with_key(key).hash(message)
}

/// SipHash-1-3, for what only decides a place in a table.
pub fn siphash13(key: &Key, message: &[u8]) -> u64 {
    SipHasher13::new_with_key(key).hash(message)
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
