//! What connections wait for, and until when. Each kind of wait is equally long for all, so that a list in order of
//! arming is a list in order of expiry: nothing is sorted or searched.

use crate::base::list::IndexList;

/// What a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Wait {
    /// The handshake.
    Connect,
    /// The reply, or the other end's FIN.
    Reply,
    /// The moment of the next request.
    Think,
    /// The moment to close.
    Hold,
}

impl Wait {
    const ALL: [Wait; 4] = [Wait::Connect, Wait::Reply, Wait::Think, Wait::Hold];
}

/// The waits of all connections, each of which has at most one.
pub(super) struct Timers {
    lists: [IndexList; 4],
    delays_ns: [u64; 4],
    deadlines_ns: Vec<u64>,
}

impl Timers {
    /// For connections with numbers below `capacity`; how long each [`Wait`] is, in their order.
    pub(super) fn new(capacity: u32, delays_ns: [u64; 4]) -> Self {
        let lists = std::array::from_fn(|_| IndexList::new(capacity));
        Timers { lists, delays_ns, deadlines_ns: vec![0; capacity as usize] }
    }

    /// From now on a connection waits for this, and for nothing else.
    pub(super) fn set(&mut self, index: u32, wait: Wait, now_ns: u64) {
        self.clear(index);
        let delay_ns = self.delays_ns[wait as usize];
        if let Some(deadline_ns) = self.deadlines_ns.get_mut(index as usize) {
            *deadline_ns = now_ns.saturating_add(delay_ns);
            self.lists[wait as usize].push_back(index);
        }
    }

    /// A connection waits for nothing.
    pub(super) fn clear(&mut self, index: u32) {
        self.lists.iter_mut().for_each(|list| {
            list.remove(index);
        });
    }

    /// Takes a connection whose wait is over.
    pub(super) fn pop_due(&mut self, now_ns: u64) -> Option<(u32, Wait)> {
        let deadlines_ns = &self.deadlines_ns;
        let is_due = |index: &u32| deadlines_ns.get(*index as usize).is_some_and(|at| *at <= now_ns);
        Wait::ALL.into_iter().find_map(|wait| {
            let list = &mut self.lists[wait as usize];
            let index = list.first().filter(is_due)?;
            list.remove(index);
            Some((index, wait))
        })
    }

    /// Takes a connection that waits for this, whether it is due or not.
    pub(super) fn pop(&mut self, wait: Wait) -> Option<u32> {
        self.lists[wait as usize].pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_over_after_its_time_and_in_order() {
        let mut timers = Timers::new(4, [30, 100, 10, 50]);
        timers.set(0, Wait::Reply, 0);
        timers.set(1, Wait::Reply, 5);
        timers.set(2, Wait::Think, 5);
        assert_eq!(timers.pop_due(14), None);
        assert_eq!(timers.pop_due(15), Some((2, Wait::Think)));
        assert_eq!(timers.pop_due(15), None);
        timers.set(0, Wait::Reply, 20);
        assert_eq!(timers.pop_due(119), Some((1, Wait::Reply)));
        assert_eq!(timers.pop_due(119), None);
        assert_eq!(timers.pop_due(120), Some((0, Wait::Reply)));
    }

    #[test]
    fn a_connection_waits_for_one_thing_only() {
        let mut timers = Timers::new(2, [30, 100, 10, 50]);
        timers.set(1, Wait::Connect, 0);
        timers.set(1, Wait::Hold, 0);
        assert_eq!(timers.pop_due(49), None);
        assert_eq!(timers.pop(Wait::Connect), None);
        assert_eq!(timers.pop(Wait::Hold), Some(1));
        timers.set(1, Wait::Hold, 0);
        timers.clear(1);
        assert_eq!(timers.pop_due(u64::MAX), None);
        timers.set(7, Wait::Hold, 0);
        assert_eq!(timers.pop_due(u64::MAX), None, "it does not exist");
    }
}
