//! Segments for what is in TIME-WAIT: a record, or a connection that its application still reads from.

use super::admit::Verdict;
use super::api::App;
use super::process::Arrived;
use super::shard::Shard;
use crate::flow::key::Key;
use crate::stats::counters::Counter;
use crate::tcp::Ctx;
use crate::tcp::arrives::listen;
use crate::tcp::outcome::End;
use crate::tcp::time_wait::{self, TimeWait};

impl Shard {
    /// A segment for a TIME-WAIT record.
    pub(super) fn for_record<A: App>(&mut self, app: &mut A, index: u32, arrived: &Arrived) {
        let Some(record) = self.time_wait.get(index) else { return };
        let old = record.rest;
        match old.segment_arrives(&arrived.segment, &self.cfg) {
            time_wait::Disposition::Reopen => {
                //= TMW-5
                //= TMW-7
                let verdict = self.listen_verdict(arrived);
                if !matches!(verdict, Verdict::Listener(_, listen::Disposition::Ignore(_))) {
                    self.drop_record(index);
                    self.count(Counter::TimeWaitReopened);
                }
                self.admit_after(app, arrived, verdict, old);
            }
            time_wait::Disposition::Restart => {
                self.restart_record(index, arrived.hash);
                self.answer_old(arrived.key, old);
            }
            other => self.answer_time_wait(arrived.key, old, other),
        }
    }

    /// A segment for a connection in TIME-WAIT that its application still reads from.
    pub(super) fn in_time_wait_with_slot<A: App>(&mut self, app: &mut A, index: u32, arrived: &Arrived) {
        let Some(old) = self.slots.get_mut(index).map(|slot| slot.tcb.time_wait()) else { return };
        match old.segment_arrives(&arrived.segment, &self.cfg) {
            time_wait::Disposition::Reopen => {
                let verdict = self.listen_verdict(arrived);
                if !matches!(verdict, Verdict::Listener(_, listen::Disposition::Ignore(_))) {
                    // What the application has not read stays for it.
                    let ctx = Ctx { now: self.now, cfg: &self.cfg };
                    if let Some(slot) = self.slots.get_mut(index) {
                        let _ = slot.tcb.abort(ctx);
                    }
                    self.end(app, index, End::Finished);
                }
                self.admit_after(app, arrived, verdict, old);
            }
            time_wait::Disposition::Restart => {
                let ctx = Ctx { now: self.now, cfg: &self.cfg };
                if let Some(slot) = self.slots.get_mut(index) {
                    slot.tcb.restart_time_wait(ctx);
                }
                self.answer_old(arrived.key, old);
            }
            other => self.answer_time_wait(arrived.key, old, other),
        }
    }

    fn answer_time_wait(&mut self, key: Key, old: TimeWait, disposition: time_wait::Disposition) {
        match disposition {
            time_wait::Disposition::Ignore(reason) => self.drop_one(reason),
            time_wait::Disposition::Ack(reason) => {
                self.drop_one(reason);
                self.answer_old(key, old);
            }
            time_wait::Disposition::AckLimited(reason) => {
                self.drop_one(reason);
                if self.challenge_allowed() {
                    self.answer_old(key, old);
                }
            }
            time_wait::Disposition::Restart | time_wait::Disposition::Reopen => {}
        }
    }

    fn answer_old(&mut self, key: Key, old: TimeWait) {
        let offset = self.timestamp_offset(&key);
        self.reply(key, old.ack(offset, self.ctx()), self.cfg.settings.ip);
    }
}
