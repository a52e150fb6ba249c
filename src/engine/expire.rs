//! Time passes: timers of connections, TIME-WAIT records, and the end of the shard's life. A bounded amount of
//! work each pass (LIM-13); the rest comes next time.

use arrayvec::ArrayVec;

use super::api::App;
use super::limits::{CLOSING_MS, EXPIRE_BURST, EXPIRE_MAX, FEED_MAX, MOVES_MAX, STUCK_MS, TIDY_MAX};
use super::shard::Shard;
use super::slot::Owner;
use crate::base::bytes::CHUNK;
use crate::base::time::Tick;
use crate::stats::counters::Counter;
use crate::tcp::Ctx;

impl Shard {
    /// Lets happen what is due. Returns how many things did.
    pub(super) fn expire<A: App>(&mut self, app: &mut A) -> usize {
        //= ATK-44
        let now = self.now.tick();
        let (mut count, mut moves) = (0, MOVES_MAX);
        // Where few more can be awake, timers wait: what arrives comes first.
        while count < EXPIRE_MAX && !self.slots.are_short() {
            let limit = EXPIRE_BURST.min(EXPIRE_MAX - count);
            let mut due = ArrayVec::<_, EXPIRE_BURST>::new();
            while due.len() < limit
                && let Some(index) = self.timers.pop_due(now, &mut moves)
            {
                self.slots.prefetch(index);
                due.push(index);
            }
            due.iter().for_each(|index| self.timer_expired(app, *index));
            count += due.len();
            if due.len() < limit {
                break;
            }
        }
        count += self.expire_records(now);
        self.offer_waiting(app);
        count + self.feed(app) + self.thin_out(app) + self.make_room_to_wake(app)
    }

    /// Where too many are awake, those that need not be are laid down, and forget for it what can be done without. Who has
    /// more to remember and nothing under way, or has not got forward for long, is reset, since any connection that
    /// there is may have to wake; the others will soon be able to rest.
    fn make_room_to_wake<A: App>(&mut self, app: &mut A) -> usize {
        let mut count = 0;
        for _ in 0..TIDY_MAX {
            if !self.slots.are_short() {
                break;
            }
            let Some(slot) = self.slots.next_awake() else { continue };
            let (index, idle) = (slot.index, slot.tcb.flight() == 0 && !slot.tcb.owes());
            if self.slots.lay_down(index) {
                continue;
            }
            if idle && self.forget(index) {
                self.count(Counter::AwakeForgot);
            } else if idle || !self.slots.progressed_within(index, STUCK_MS) {
                self.count(Counter::AwakeReset);
                self.abort(app, index);
                count += 1;
            }
        }
        count
    }

    /// An idle connection forgets what can be done without, and is laid down. False where more is left.
    fn forget(&mut self, index: u32) -> bool {
        let Some(slot) = self.slots.get_mut(index) else { return false };
        if slot.held.is_some() || slot.unread || !slot.incoming.is_empty() {
            return false;
        }
        slot.tcb.forget();
        let record = slot.recovery.take();
        self.recoveries.give_back(record);
        self.slots.lay_down(index)
    }

    /// Records whose time is over leave, a burst at a time: their places in the index are asked for first, since
    /// nobody has been there for long. Returns how many did.
    fn expire_records(&mut self, now: Tick) -> usize {
        //= TMW-10
        let mut count = 0;
        while count < EXPIRE_MAX {
            let limit = EXPIRE_BURST.min(EXPIRE_MAX - count);
            let due: ArrayVec<_, EXPIRE_BURST> = self
                .time_wait
                .due(now)
                .take(limit)
                .map(|(index, key)| (index, self.hash(&key)))
                .inspect(|(_, hash)| self.table.prefetch(*hash))
                .collect();
            for (index, hash) in &due {
                // None of the others gets another number thereby: the oldest goes.
                self.expire_record(*index, *hash);
            }
            self.counters.add(Counter::TimeWaitExpired, due.len() as u64);
            count += due.len();
            if due.len() < limit {
                break;
            }
        }
        count
    }

    /// Calls the application back for the connections that it wants to be called for, a burst at a time: their lines are
    /// asked for first, since nothing has arrived for them just now. Returns how many it named.
    pub(super) fn call_due<A: App>(&mut self, app: &mut A) -> usize {
        let mut count = 0;
        while count < EXPIRE_MAX {
            let limit = EXPIRE_BURST.min(EXPIRE_MAX - count);
            let mut due = ArrayVec::<_, EXPIRE_BURST>::new();
            while due.len() < limit
                && let Some(id) = app.next_due(self.now)
            {
                self.prefetch(id.index);
                due.push(id);
            }
            for id in &due {
                if self.slots.generation(id.index) == Some(id.generation) {
                    app.on_due(&mut self.conn(id.index));
                    self.after_callbacks(app, id.index);
                }
            }
            count += due.len();
            if due.len() < limit {
                break;
            }
        }
        count
    }

    /// Where places for connections run out, those that only wait for their peers to close may have so many of them
    /// (LIM-8); beyond, the oldest are reset. As long as there are places they harm nobody, and may still be
    /// delivering what their applications sent; and one that got forward a moment ago will soon go by itself.
    fn thin_out<A: App>(&mut self, app: &mut A) -> usize {
        //= LIM-8
        //= ATK-14
        let opened = self.slots.len().saturating_sub(self.half_open);
        if opened < self.limits.crowded() || !self.limits.closing_limited {
            return 0;
        }
        let surplus = self.closing.len().saturating_sub(self.limits.closing() as usize).min(EXPIRE_MAX);
        let mut count = 0;
        while count < surplus
            && let Some(index) = self.closing.front()
            && !self.slots.seen(index).is_some_and(|slot| slot.tcb.progressed_within(CLOSING_MS, self.ctx()))
        {
            count += 1;
            self.count(Counter::ClosingReset);
            self.closing.remove(index);
            self.abort(app, index);
        }
        count
    }

    /// Connections that found no memory try again while there is some.
    fn feed<A: App>(&mut self, app: &mut A) -> usize {
        let mut count = 0;
        for _ in 0..FEED_MAX.min(self.starved.len()) {
            if self.pool.free_chunks() == 0 {
                break;
            }
            let Some(index) = self.starved.pop_front() else { break };
            let queued = self.slots.outgoing(index).copied();
            if self.share_left(queued) < CHUNK {
                self.starved.push_back(index);
                continue;
            }
            let Some(mut form) = self.slots.form(index) else { continue };
            if form.hears() {
                form.set_resume(true);
                app.on_writable(&mut self.conn(index));
                self.after_callbacks(app, index);
                count += 1;
            }
        }
        count
    }

    /// A timer came up; the connection may have moved its deadline since.
    fn timer_expired<A: App>(&mut self, app: &mut A, index: u32) {
        let mut deadline = self.slots.deadline(index);
        if deadline.is_some_and(|at| at.is_due(self.now.tick())) {
            deadline = self.slots.find_deadline(index);
        }
        if deadline.is_some_and(|at| at.is_due(self.now.tick())) {
            let Some(slot) = self.slots.get_mut(index) else {
                return self.timers.arm(index, self.now.tick().plus(1));
            };
            if slot.recovery.is_none() && slot.tcb.wants_recovery_on_timeout() {
                self.lend_recovery(index);
            }
            let ctx = Ctx { now: self.now, cfg: &self.cfg };
            let Some(slot) = self.slots.get_mut(index) else { return };
            let key = slot.key;
            let out = slot.tcb.timeout(self.recoveries.get_mut(slot.recovery), ctx);
            self.carry_out(app, index, key, &out, &[]);
        } else if let Some(at) = deadline {
            self.timers.look_again(index, at);
        }
    }

    /// No listener takes a connection any more: its ports are closed, and a SYN is answered by a reset.
    pub fn stop_listening(&mut self) {
        for listening in &mut self.listening {
            listening.queues.open = false;
        }
    }

    /// Tells the application of up to `limit` connections from slot `from` on that the program ends, and ends
    /// those it does not have. Returns where to go on, `None` at the end.
    pub fn drain<A: App>(&mut self, app: &mut A, from: u32, limit: usize) -> Option<u32> {
        self.walk(from, limit, |shard, index, owner| {
            if owner == Owner::Taken {
                app.on_drain(&mut shard.conn(index));
                shard.after_callbacks(app, index);
            } else if owner != Owner::Finished {
                shard.abort(app, index);
            }
        })
    }

    /// Resets up to `limit` connections from slot `from` on. Returns where to go on, `None` at the end.
    pub fn abort_all<A: App>(&mut self, app: &mut A, from: u32, limit: usize) -> Option<u32> {
        self.walk(from, limit, |shard, index, _| shard.abort(app, index))
    }

    fn walk(&mut self, from: u32, limit: usize, mut each: impl FnMut(&mut Shard, u32, Owner)) -> Option<u32> {
        let mut at = from;
        for _ in 0..limit {
            let index = self.slots.next_used(at)?;
            at = index + 1;
            if let Some(owner) = self.slots.owner(index) {
                each(self, index, owner);
            }
        }
        Some(at)
    }

    fn abort<A: App>(&mut self, app: &mut A, index: u32) {
        let ctx = Ctx { now: self.now, cfg: &self.cfg };
        let Some(slot) = self.slots.get_mut_to_end(index) else { return };
        self.pool.clear(&mut slot.incoming);
        slot.peer_closed = false;
        let (key, ip) = (slot.key, slot.tcb.settings().ip);
        let (reset, out) = slot.tcb.abort(ctx);
        if let Some(reset) = reset {
            self.tell(key, reset, ip);
        }
        self.carry_out(app, index, key, &out, &[]);
    }
}
