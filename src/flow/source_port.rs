//! Ephemeral ports by double hashing (RFC 6056 3.3.4, algorithm 4): for each destination they count up from a
//! place that others cannot guess, so that a port comes back as late as possible.

use crate::base::hash::{Key as Secret, siphash24};

/// The range (PORT-1).
const FIRST: u16 = 1_024;
const COUNT: u32 = 65_536 - FIRST as u32;
/// Counters that destinations share.
const COUNTERS: usize = 256;

/// Chooses source ports.
pub struct SourcePorts {
    secret: Secret,
    counters: Box<[u32; COUNTERS]>,
}

impl SourcePorts {
    /// A chooser with a secret of its own.
    pub fn new(secret: Secret) -> Self {
        SourcePorts { secret, counters: Box::new([0; COUNTERS]) }
    }

    /// All ports towards `remote`, in the order in which they are to be tried. `local` and `remote` are addresses
    /// as bytes.
    pub fn sequence(&self, local: &[u8], remote: &[u8], remote_port: u16) -> Sequence {
        //= PORT-2
        //= PORT-3
        let mut bytes = arrayvec::ArrayVec::<u8, 34>::new();
        bytes.extend(local.iter().chain(remote).copied().take(32));
        bytes.extend(remote_port.to_be_bytes());
        let hashed = siphash24(&self.secret, &bytes);
        let counter = (hashed >> 32) as usize % COUNTERS;
        let begin = (hashed as u32 % COUNT + self.counters.get(counter).copied().unwrap_or(0)) % COUNT;
        Sequence { counter, next: begin, left: COUNT }
    }

    /// The first `tried` ports of a sequence were tried; the next sequence begins behind them.
    pub fn used(&mut self, sequence: &Sequence, tried: u32) {
        if let Some(counter) = self.counters.get_mut(sequence.counter) {
            *counter = (*counter + tried) % COUNT;
        }
    }
}

/// Ports to be tried, each once.
#[derive(Clone, Debug)]
pub struct Sequence {
    counter: usize,
    next: u32,
    left: u32,
}

impl Iterator for Sequence {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        self.left = self.left.checked_sub(1)?;
        let port = FIRST + self.next as u16;
        self.next = (self.next + 1) % COUNT;
        Some(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: [u8; 4] = [198, 18, 0, 1];

    #[test]
    fn every_port_comes_once_before_any_comes_again() {
        //= PORT-1
        //= PORT-3
        //= LIM-16
        let mut ports = SourcePorts::new([3; 16]);
        let mut seen = vec![false; 65_536];
        for _ in 0..COUNT {
            let sequence = ports.sequence(&LOCAL, &[198, 18, 0, 2], 80);
            ports.used(&sequence, 1);
            let port = sequence.clone().next().unwrap();
            assert!(port >= FIRST && !std::mem::replace(&mut seen[usize::from(port)], true));
        }
        assert_eq!(ports.sequence(&LOCAL, &[198, 18, 0, 2], 80).count(), COUNT as usize);
    }

    #[test]
    fn destinations_begin_at_unrelated_places() {
        //= PORT-2
        let ports = SourcePorts::new([3; 16]);
        let first = |n: u8| ports.sequence(&LOCAL, &[198, 18, 0, n], 80).next().unwrap();
        let firsts: Vec<_> = (2..12).map(first).collect();
        let mut sorted = firsts.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() > 8 && !firsts.is_sorted());
    }
}
