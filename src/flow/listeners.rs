//! Who listens where: an exact local address first, any address after it (PRE-9).

use thiserror::Error;

use crate::base::ids::LocalIdx;

/// Why a listener cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ListenError {
    /// The same address and port is taken.
    #[error("port {0} has a listener already; give each port one service")]
    InUse(u16),
    /// Port 0 cannot be listened on.
    #[error("port 0 cannot be listened on; choose one from 1 to 65535")]
    PortZero,
}

/// The listeners of a shard. Found by port through an array, so that a SYN flood costs one load.
pub struct Listeners {
    /// For each port 0, or 1 + the number of the first entry for it.
    by_port: Vec<u16>,
    entries: Vec<Entry>,
}

struct Entry {
    local: Option<LocalIdx>,
    /// 0, or 1 + the number of another entry for the same port.
    next: u16,
}

impl Default for Listeners {
    fn default() -> Self {
        Listeners { by_port: vec![0; 1 << 16], entries: Vec::new() }
    }
}

impl Listeners {
    /// Adds a listener on one address or (`None`) on all; returns its number, counted from 0.
    ///
    /// # Errors
    /// The same endpoint is taken, or the port is 0.
    pub fn add(&mut self, local: Option<LocalIdx>, port: u16) -> Result<u16, ListenError> {
        if port == 0 {
            return Err(ListenError::PortZero);
        }
        if self.entries_for(port).any(|(_, entry)| entry.local == local) {
            return Err(ListenError::InUse(port));
        }
        let number = self.entries.len() as u16;
        let first = &mut self.by_port[usize::from(port)];
        self.entries.push(Entry { local, next: *first });
        *first = number + 1;
        Ok(number)
    }

    fn entries_for(&self, port: u16) -> impl Iterator<Item = (u16, &Entry)> {
        let mut cursor = self.by_port.get(usize::from(port)).copied().unwrap_or(0);
        std::iter::from_fn(move || {
            let number = cursor.checked_sub(1)?;
            let entry = self.entries.get(usize::from(number))?;
            cursor = entry.next;
            Some((number, entry))
        })
    }

    /// The listener for a segment to this address and port.
    pub fn find(&self, local: LocalIdx, port: u16) -> Option<u16> {
        //= PRE-9
        let mut any = None;
        for (number, entry) in self.entries_for(port) {
            match entry.local {
                Some(own) if own == local => return Some(number),
                None => any = Some(number),
                Some(_) => {}
            }
        }
        any
    }

    /// Listeners in all.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// There is no listener.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_address_comes_before_any() {
        //= PRE-9
        //= MUST-42
        let mut listeners = Listeners::default();
        let (a, b) = (LocalIdx(0), LocalIdx(1));
        let any = listeners.add(None, 80).unwrap();
        let exact = listeners.add(Some(b), 80).unwrap();
        assert_eq!((listeners.find(a, 80), listeners.find(b, 80)), (Some(any), Some(exact)));
        assert_eq!(listeners.find(a, 81), None);
        assert_eq!(listeners.add(Some(b), 80), Err(ListenError::InUse(80)));
        assert_eq!(listeners.add(None, 0), Err(ListenError::PortZero));
    }
}
