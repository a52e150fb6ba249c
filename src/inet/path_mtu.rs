//! Path MTUs by destination, so that the next connection to a host begins with what the last one found out (RFC
//! 1191 6.3). A few thousand places, each for whoever came last; what is old is forgotten.

use crate::base::hash::{Key, siphash13_short};
use crate::base::time::{Instant, Tick};

/// Places; a power of two.
const PLACES: usize = 1_024;
/// How long a path's MTU is remembered (PMTU-3), in milliseconds.
const AGE_MS: u32 = 600_000;

#[derive(Clone, Copy, Debug)]
struct Entry {
    remote: u32,
    mtu: u16,
    until: Tick,
}

/// The path MTUs that are smaller than their links'.
#[derive(Debug)]
pub struct PathMtus {
    secret: Key,
    places: Box<[Option<Entry>]>,
    /// Nothing was ever noted: the usual case costs nothing.
    empty: bool,
}

impl PathMtus {
    /// An empty memory. The secret keeps others from choosing who shares a place (ATK-21).
    pub fn new(secret: Key) -> Self {
        PathMtus { secret, places: vec![None; PLACES].into_boxed_slice(), empty: true }
    }

    fn place(&self, remote: u32) -> usize {
        siphash13_short(&self.secret, &remote.to_le_bytes()) as usize % PLACES
    }

    /// The path to `remote` has this MTU, in bytes.
    pub fn note(&mut self, remote: u32, mtu: u16, now: Instant) {
        let place = self.place(remote);
        self.empty = false;
        if let Some(entry) = self.places.get_mut(place) {
            *entry = Some(Entry { remote, mtu, until: Tick::after_ms(now, AGE_MS) });
        }
    }

    /// The MTU of the path to `remote`, in bytes, where one was noted in the last ten minutes.
    pub fn get(&self, remote: u32, now: Instant) -> Option<u16> {
        if self.empty {
            return None;
        }
        let entry = self.places.get(self.place(remote)).copied().flatten()?;
        (entry.remote == remote && !entry.until.is_due(now.tick())).then_some(entry.mtu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_remembered_for_ten_minutes() {
        //= PMTU-3
        let mut paths = PathMtus::new([7; 16]);
        let start = Instant::from_millis(5_000);
        assert_eq!(paths.get(1, start), None);
        paths.note(1, 1_280, start);
        paths.note(2, 1_400, start);
        paths.note(1, 1_300, start);
        assert_eq!(
            (paths.get(1, start), paths.get(2, start), paths.get(3, start)),
            (Some(1_300), Some(1_400), None)
        );
        assert_eq!(paths.get(1, Instant::from_millis(604_999)), Some(1_300));
        assert_eq!(paths.get(1, Instant::from_millis(605_000)), None);
    }

    #[test]
    fn any_number_of_hosts_share_the_places() {
        let mut paths = PathMtus::new([7; 16]);
        let hosts = 4 * PLACES as u32;
        (0..hosts).for_each(|host| paths.note(host, 1_000 + (host % 100) as u16, Instant::ZERO));
        let known = |host: &u32| match paths.get(*host, Instant::ZERO) {
            Some(mtu) => mtu == 1_000 + (*host % 100) as u16,
            None => false,
        };
        let found = (0..hosts).filter(known).count();
        assert!(found > PLACES / 2 && found <= PLACES, "{found}");
        assert_eq!(paths.get(hosts - 1, Instant::ZERO), Some(1_000 + ((hosts - 1) % 100) as u16));
    }
}
