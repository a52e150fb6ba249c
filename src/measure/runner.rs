//! Drives a side turn by turn: reads the clock once a turn, tells busy turns from idle ones, times the stages of
//! some, and hands an interval over at each mark.

use std::sync::Arc;

use super::side::{Now, Side};
use crate::base::cycles::Cycles;
use crate::engine::meter::{Meter, Stage};
use crate::stats::interval::{Interval, Mailbox, Work};

/// One turn in so many is timed stage by stage: reading the counter eight times would distort each.
const TIMED_EVERY: u64 = 32;

/// How long the last interval may wait for the reporter, in microseconds.
const PATIENCE_US: u64 = 2_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// The laps of one turn.
#[derive(Clone, Debug)]
pub struct Laps {
    clock: Cycles,
    timed: bool,
    last: u64,
    stages: [u64; Stage::ALL.len()],
}

impl Meter for Laps {
    #[inline]
    fn lap(&mut self, stage: Stage) {
        if self.timed {
            let now = self.clock.now();
            self.stages[stage as usize] += now.wrapping_sub(self.last);
            self.last = now;
        }
    }
}

/// The moments at which counts are wanted: each whole second, and each end of what is measured.
#[derive(Clone, Debug)]
struct Marks {
    /// Ends of measured times, rising.
    ends: Vec<u64>,
    last: u64,
}

impl Marks {
    fn new(ends: &[u64]) -> Marks {
        let mut ends = ends.to_vec();
        ends.sort_unstable();
        Marks { ends, last: 0 }
    }

    /// The next mark behind the last one.
    fn next(&self) -> u64 {
        let second = (self.last / SECOND_NS + 1) * SECOND_NS;
        self.ends.iter().copied().find(|end| *end > self.last).map_or(second, |end| end.min(second))
    }
}

/// A side that is driven.
pub struct Runner<S: Side> {
    side: S,
    clock: Cycles,
    /// The counter when the run began.
    origin: Option<u64>,
    laps: Laps,
    turns: u64,
    work: Work,
    marks: Marks,
    next_mark_ns: u64,
    mailbox: Arc<Mailbox>,
    reported: bool,
    /// After a turn in which nothing was to be done.
    pauses: bool,
    current: Box<Interval>,
}

impl<S: Side> Runner<S> {
    /// `ends` are the ends of the measured times, in nanoseconds of the run.
    pub fn new(side: S, clock: Cycles, ends: &[u64], mailbox: Arc<Mailbox>) -> Self {
        let laps = Laps { clock: clock.clone(), timed: false, last: 0, stages: [0; Stage::ALL.len()] };
        let marks = Marks::new(ends);
        Runner {
            side,
            clock,
            origin: None,
            laps,
            turns: 0,
            work: Work::default(),
            next_mark_ns: marks.next(),
            marks,
            mailbox,
            reported: true,
            pauses: false,
            current: Box::default(),
        }
    }

    /// Hands nothing over: nobody reports.
    #[must_use]
    pub fn unreported(mut self) -> Self {
        self.reported = false;
        self
    }

    /// Has a core for itself, so that a turn in which nothing was to be done may end with a pause (x86's `PAUSE`, some tens
    /// of cycles): another thread of the same physical core gets what this one would spend on looking again.
    #[must_use]
    pub fn pausing(mut self) -> Self {
        self.pauses = true;
        self
    }

    /// The side.
    pub fn side(&mut self) -> &mut S {
        &mut self.side
    }

    /// Begins the run: its clock stands at 0 when the counter stands at `origin`. Hands over what was counted before,
    /// with mark 0; cycles are forgotten.
    pub fn begin(&mut self, origin: u64) {
        if self.origin.is_none() {
            self.origin = Some(origin);
            self.work = Work::default();
            if self.reported {
                let first = std::mem::replace(&mut self.next_mark_ns, 0);
                self.post(0);
                self.next_mark_ns = first;
            }
        }
    }

    /// The run has begun.
    pub fn has_begun(&self) -> bool {
        self.origin.is_some()
    }

    /// One turn, from the moment at which the counter stood at `from`. Returns the counter at its end.
    pub fn turn(&mut self, from: u64) -> u64 {
        let scale = self.clock.scale();
        let run_ns = self.origin.map(|origin| scale.to_ns(from.saturating_sub(origin)));
        let now = Now { instant: scale.at(from), run_ns };
        self.turns += 1;
        let timed = self.turns.is_multiple_of(TIMED_EVERY);
        if timed {
            (self.laps.timed, self.laps.last, self.laps.stages) = (true, from, [0; Stage::ALL.len()]);
        }
        let busy = self.side.pass(now, &mut self.laps);
        if let Some(ns) = run_ns.filter(|ns| self.reported && *ns >= self.next_mark_ns) {
            self.mark(ns);
        }
        if !busy && self.pauses {
            std::hint::spin_loop();
        }
        let to = self.clock.now();
        self.account(to.saturating_sub(from), busy, timed);
        to
    }

    fn account(&mut self, cycles: u64, busy: bool, timed: bool) {
        if busy {
            self.work.busy_cycles += cycles;
            self.work.busy_passes += 1;
        } else {
            self.work.idle_cycles += cycles;
            self.work.idle_passes += 1;
        }
        if timed {
            self.laps.timed = false;
            if busy {
                self.work.timed_cycles += cycles;
                self.work.stages.iter_mut().zip(self.laps.stages).for_each(|(sum, lap)| *sum += lap);
            }
        }
    }

    /// Hands over what there is, if the last one was fetched; otherwise in a later turn.
    fn mark(&mut self, now_ns: u64) -> bool {
        if !self.post(now_ns) {
            return false;
        }
        self.marks.last = self.next_mark_ns;
        while self.marks.next() <= now_ns {
            self.marks.last = self.marks.next();
        }
        self.next_mark_ns = self.marks.next();
        true
    }

    fn post(&mut self, now_ns: u64) -> bool {
        // Only an empty interval may be filled, and the mailbox has none to give before the last one is back.
        if !self.mailbox.is_free() {
            return false;
        }
        self.current.mark_ns = self.next_mark_ns;
        self.current.to_ns = now_ns;
        self.current.work = self.work;
        self.side.fill(&mut self.current);
        if !self.mailbox.post(&mut self.current) {
            // The reporter is at it: the latencies go back to where they came from.
            self.side.fill(&mut self.current);
            return false;
        }
        self.current.from_ns = now_ns;
        true
    }

    /// Hands over what is left at the end of the run: a mark that was passed and that the reporter had no time for, and
    /// then the rest. False while the reporter has not fetched the last one. To be called until it is true.
    pub fn finish(&mut self) -> bool {
        let Some(origin) = self.origin.filter(|_| self.reported) else { return true };
        let now_ns = self.clock.scale().to_ns(self.clock.now().saturating_sub(origin));
        if self.next_mark_ns <= now_ns && !self.mark(now_ns) {
            return false;
        }
        self.next_mark_ns = u64::MAX;
        self.post(now_ns)
    }

    /// Hands over the last interval, when the reporter has fetched the one before; gives up on one that has not for
    /// two seconds.
    pub fn hand_over(&mut self) {
        let scale = self.clock.scale();
        let began = self.clock.now();
        while !self.finish() && scale.to_us(self.clock.now().saturating_sub(began)) < PATIENCE_US {
            std::thread::yield_now();
        }
    }

    /// The side, when all is over.
    pub fn into_side(self) -> S {
        self.side
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_whole_seconds_and_the_ends_of_what_is_measured() {
        let mut marks = Marks::new(&[2_500_000_000, 500_000_000, 2_000_000_000]);
        let mut seen = Vec::new();
        for _ in 0..6 {
            marks.last = marks.next();
            seen.push(marks.last / 100_000_000);
        }
        assert_eq!(seen, [5, 10, 20, 25, 30, 40]);
    }

    /// Does something in every second turn, and counts what it was told.
    struct Clockwork {
        turns: u64,
        begun: u64,
    }

    impl Side for Clockwork {
        fn pass(&mut self, now: Now, laps: &mut Laps) -> bool {
            self.turns += 1;
            self.begun += u64::from(now.run_ns.is_some());
            laps.lap(Stage::Process);
            self.turns.is_multiple_of(2)
        }

        fn fill(&mut self, interval: &mut Interval) {
            interval.account.attempted = self.begun;
        }

        fn is_done(&self) -> bool {
            true
        }

        fn stop(&mut self) {}
    }

    #[test]
    fn turns_are_told_apart_and_marks_handed_over() {
        let (clock, mailbox) = (Cycles::start(), Arc::new(Mailbox::new()));
        let side = Clockwork { turns: 0, begun: 0 };
        // A pause is a part of the turn that found nothing.
        let mut runner = Runner::new(side, clock.clone(), &[1_000], mailbox.clone()).pausing();
        let mut at = runner.turn(clock.now());
        assert!(mailbox.fetch().is_none());
        runner.begin(at);
        let before = mailbox.fetch().unwrap();
        assert_eq!((before.mark_ns, before.account.attempted), (0, 0));
        mailbox.give_back(before);
        while !mailbox.is_full() {
            at = runner.turn(at);
        }
        let first = mailbox.fetch().unwrap();
        assert_eq!(first.mark_ns, 1_000);
        assert!(first.to_ns >= 1_000 && first.account.attempted > 0);
        let work = first.work;
        assert!(work.busy_passes.abs_diff(work.idle_passes) <= 2, "{work:?}");
        assert!(!runner.finish(), "there is no clean interval");
        mailbox.give_back(first);
        for _ in 0..TIMED_EVERY {
            at = runner.turn(at);
        }
        assert!(runner.finish());
        let last = mailbox.fetch().unwrap();
        assert!(last.account.attempted > 1 && last.work.timed_cycles > 0, "{:?}", last.work);
        assert!(last.work.stages[Stage::Process as usize] > 0);
        assert_eq!(last.mark_ns, u64::MAX);
    }

    #[test]
    fn a_mark_for_which_the_reporter_had_no_time_is_handed_over_in_the_end() {
        let (clock, mailbox) = (Cycles::start(), Arc::new(Mailbox::new()));
        let side = Clockwork { turns: 0, begun: 0 };
        let mut runner = Runner::new(side, clock.clone(), &[1_000, 1_001], mailbox.clone());
        let origin = clock.now();
        runner.begin(origin);
        let before = mailbox.fetch().unwrap();
        while clock.scale().to_ns(clock.now() - origin) < 100_000 {}
        let mut at = clock.now();
        for _ in 0..10 {
            at = runner.turn(at);
        }
        let mut marks = vec![before.mark_ns];
        mailbox.give_back(before);
        while !runner.finish() {
            let Some(interval) = mailbox.fetch() else { continue };
            marks.push(interval.mark_ns);
            mailbox.give_back(interval);
        }
        marks.push(mailbox.fetch().unwrap().mark_ns);
        assert_eq!(marks, [0, 1_000, u64::MAX]);
    }
}
