//! The records of loss recovery: a bounded number, lent to connections that have more than one segment in flight.
//! One that has nothing in flight keeps its record until somebody else needs it, because it remembers the path.

use crate::base::list::IndexList;
use crate::tcp::Ctx;
use crate::tcp::recovery::Recovery;
use crate::tcp::tcb::Tcb;

/// A record and who has it.
struct Lent {
    record: Recovery,
    /// The connection's slot.
    to: u32,
}

/// All records of a shard.
pub(super) struct Recoveries {
    records: Vec<Lent>,
    free: IndexList,
    /// Lent to connections with nothing in flight, the longest idle first.
    idle: IndexList,
}

impl Recoveries {
    /// `count` records; all memory is taken now.
    pub fn new(count: u32) -> Self {
        let mut free = IndexList::new(count);
        (0..count).for_each(|number| free.push_back(number));
        let records = (0..count).map(|_| Lent { record: Recovery::default(), to: 0 }).collect();
        Recoveries { records, free, idle: IndexList::new(count) }
    }

    /// Bytes a record.
    pub const fn record_bytes() -> usize {
        size_of::<Lent>() + 2 * IndexList::link_bytes()
    }

    /// Records that are lent.
    pub fn lent(&self) -> usize {
        self.records.len() - self.free.len()
    }

    /// A record for the connection in slot `to`, and from which other slot it was taken, if from one.
    pub fn lend(&mut self, to: u32, tcb: &Tcb, ctx: Ctx<'_>) -> Option<(u32, Option<u32>)> {
        //= ATK-11
        let fresh = self.free.pop_front();
        let number = fresh.or_else(|| self.idle.pop_front())?;
        let lent = self.records.get_mut(number as usize)?;
        let from = fresh.is_none().then_some(lent.to);
        lent.to = to;
        lent.record.attach(tcb, ctx);
        Some((number, from))
    }

    /// The record that a connection has.
    pub fn get_mut(&mut self, number: Option<u32>) -> Option<&mut Recovery> {
        self.records.get_mut(number? as usize).map(|lent| &mut lent.record)
    }

    /// The record that a connection has.
    pub fn get(&self, number: Option<u32>) -> Option<&Recovery> {
        self.records.get(number? as usize).map(|lent| &lent.record)
    }

    /// The connection has nothing in flight, or has again.
    pub fn set_idle(&mut self, number: u32, idle: bool) {
        if idle {
            self.idle.push_back(number);
        } else {
            self.idle.remove(number);
        }
    }

    /// The connection gives its record back.
    pub fn give_back(&mut self, number: Option<u32>) {
        if let Some(number) = number {
            self.idle.remove(number);
            self.free.push_front(number);
        }
    }
}
