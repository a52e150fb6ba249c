//! Who listens where: an exact local address first, any address after it (PRE-9).

use std::net::IpAddr;

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
    /// The local address is none of ours.
    #[error("{0} is not an address of ours; listen on one that is, or on all")]
    NotOurs(IpAddr),
    /// Memory was taken for so many listeners, and all are in use.
    #[error("insufficient resources: every listener that memory was taken for is in use")]
    NoRoom,
}

/// The listeners of a shard. Found by port through an array, so that a SYN flood costs one load.
pub struct Listeners {
    /// For each port 0, or 1 + the number of the first entry for it.
    by_port: Vec<u16>,
    entries: Vec<Entry>,
    max: u16,
}

struct Entry {
    port: u16,
    local: Option<LocalIdx>,
    /// 0, or 1 + the number of another entry for the same port.
    next: u16,
}

impl Listeners {
    /// No listener yet, and memory for `count` of them.
    pub fn new(count: u16) -> Self {
        Listeners { by_port: vec![0; 1 << 16], entries: Vec::with_capacity(usize::from(count)), max: count }
    }

    /// Adds a listener on one address or (`None`) on all; returns its number, counted from 0. `reused` is the number of
    /// one that was removed and that nobody remembers.
    ///
    /// # Errors
    /// The same endpoint is taken, the port is 0, or there is no memory for one more.
    pub fn add(
        &mut self,
        local: Option<LocalIdx>,
        port: u16,
        reused: Option<u16>,
    ) -> Result<u16, ListenError> {
        if port == 0 {
            return Err(ListenError::PortZero);
        }
        if self.entries_for(port).any(|(_, entry)| entry.local == local) {
            return Err(ListenError::InUse(port));
        }
        let number = reused.unwrap_or(self.entries.len() as u16);
        if number >= self.max {
            return Err(ListenError::NoRoom);
        }
        let first = &mut self.by_port[usize::from(port)];
        let entry = Entry { port, local, next: *first };
        match self.entries.get_mut(usize::from(number)) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        *first = number + 1;
        Ok(number)
    }

    /// Takes a listener away; its port may be listened on again.
    pub fn remove(&mut self, number: u16) {
        let Some(entry) = self.entries.get(usize::from(number)) else { return };
        let (port, next) = (entry.port, entry.next);
        let before = self.entries_for(port).find(|(_, entry)| entry.next == number + 1).map(|(at, _)| at);
        match before.and_then(|at| self.entries.get_mut(usize::from(at))) {
            Some(before) => before.next = next,
            None if self.by_port[usize::from(port)] == number + 1 => self.by_port[usize::from(port)] = next,
            None => {}
        }
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
        let mut listeners = Listeners::new(3);
        let (a, b) = (LocalIdx(0), LocalIdx(1));
        let any = listeners.add(None, 80, None).unwrap();
        let exact = listeners.add(Some(b), 80, None).unwrap();
        assert_eq!((listeners.find(a, 80), listeners.find(b, 80)), (Some(any), Some(exact)));
        assert_eq!(listeners.find(a, 81), None);
        assert_eq!(listeners.add(Some(b), 80, None), Err(ListenError::InUse(80)));
        assert_eq!(listeners.add(None, 0, None), Err(ListenError::PortZero));
    }

    #[test]
    fn one_that_is_removed_leaves_the_others_and_its_place() {
        //= CALL-5
        let locals = [None, Some(LocalIdx(0)), Some(LocalIdx(1))];
        for gone in 0..3u16 {
            let mut listeners = Listeners::new(3);
            for local in locals {
                listeners.add(local, 80, None).unwrap();
            }
            assert_eq!(listeners.add(None, 81, None), Err(ListenError::NoRoom));
            listeners.remove(gone);
            for local in [LocalIdx(0), LocalIdx(1), LocalIdx(2)] {
                let exact = (0..3).find(|n| *n != gone && locals[usize::from(*n)] == Some(local));
                let any = (gone != 0).then_some(0);
                assert_eq!(listeners.find(local, 80), exact.or(any), "{gone} is gone");
            }
            listeners.remove(gone);
            assert_eq!(listeners.add(None, 81, Some(gone)), Ok(gone));
            assert_eq!(listeners.find(LocalIdx(7), 81), Some(gone));
        }
    }
}
