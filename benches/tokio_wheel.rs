//! A wheel of timers as tokio's is made (tokio/src/runtime/time/wheel, tokio-util's DelayQueue): six levels of 64
//! slots, a word of occupied slots for each level, lists through the entries. Tokio's own only moves when a runtime's
//! timer fires, and so cannot be driven here.

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;
/// What stands behind an entry that is not armed.
const IDLE: u32 = u32::MAX - 1;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    at: u64,
}

/// Entries are numbers; deadlines are milliseconds.
pub struct TokioWheel {
    nodes: Vec<Node>,
    heads: [[u32; SLOTS]; LEVELS],
    occupied: [u64; LEVELS],
    elapsed: u64,
}

impl TokioWheel {
    pub fn new(capacity: u32) -> TokioWheel {
        TokioWheel {
            nodes: vec![Node { next: IDLE, prev: NONE, at: 0 }; capacity as usize],
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            elapsed: 0,
        }
    }

    /// Moves an entry to a deadline, wherever it was.
    pub fn arm(&mut self, index: u32, at: u64) {
        self.cancel(index);
        self.link(index, at.max(self.elapsed + 1), self.elapsed);
    }

    pub fn cancel(&mut self, index: u32) {
        let Node { next, prev, at } = self.nodes[index as usize];
        if next == IDLE {
            return;
        }
        self.nodes[index as usize].next = IDLE;
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NONE {
            self.nodes[prev as usize].next = next;
            return;
        }
        let (level, slot) = home(self.elapsed, at);
        self.heads[level][slot] = next;
        if next == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// An entry that is due, or nothing, when the time has gone on to `now`.
    pub fn pop_due(&mut self, now: u64) -> Option<u32> {
        while let Some((level, slot, deadline)) = self.next_expiration().filter(|next| next.2 <= now) {
            while let Some(index) = self.pop(level, slot) {
                if level == 0 {
                    return Some(index);
                }
                self.link(index, self.nodes[index as usize].at, deadline);
            }
            self.elapsed = deadline;
        }
        self.elapsed = self.elapsed.max(now);
        None
    }

    fn link(&mut self, index: u32, at: u64, elapsed: u64) {
        let (level, slot) = home(elapsed, at);
        let next = std::mem::replace(&mut self.heads[level][slot], index);
        self.nodes[index as usize] = Node { next, prev: NONE, at };
        if next != NONE {
            self.nodes[next as usize].prev = index;
        }
        self.occupied[level] |= 1 << slot;
    }

    fn pop(&mut self, level: usize, slot: usize) -> Option<u32> {
        let index = self.heads[level][slot];
        let node = self.nodes.get_mut(index as usize)?;
        let next = std::mem::replace(&mut node.next, IDLE);
        self.heads[level][slot] = next;
        match self.nodes.get_mut(next as usize) {
            Some(after) => after.prev = NONE,
            None => self.occupied[level] &= !(1 << slot),
        }
        Some(index)
    }

    /// The slot whose time comes next, and when that is.
    fn next_expiration(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|occupied| *occupied != 0)?;
        let shift = 6 * level as u32;
        let at = (self.elapsed >> shift) % SLOTS as u64;
        let ahead = self.occupied[level].rotate_right(at as u32).trailing_zeros();
        let slot = (at + u64::from(ahead)) % SLOTS as u64;
        let range = 1u64 << (shift + 6);
        let mut deadline = (self.elapsed & !(range - 1)) + (slot << shift);
        // Only the highest level goes round.
        if deadline < self.elapsed {
            deadline += range;
        }
        Some((level, slot as usize, deadline))
    }
}

/// Level and slot of a deadline: the level is that of the highest six bits in which it differs from the time.
fn home(elapsed: u64, at: u64) -> (usize, usize) {
    let level = ((63 - ((elapsed ^ at) | 63).leading_zeros()) / 6).min(LEVELS as u32 - 1);
    (level as usize, (at >> (6 * level)) as usize % SLOTS)
}
