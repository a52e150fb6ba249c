//! When connections are launched. An open loop has launch times that follow from its rate alone and are kept, however
//! late the launch itself may be, so that a stall shows in the latencies (no coordinated omission); a closed loop
//! holds a number of connections. Both may change in stages, along ramps.

use std::ops::Range;

/// One stage: what it ramps to, and for how long it stays there. At least one of `rate` and `concurrency` is given.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Stage {
    /// Launches a second.
    pub rate: Option<f64>,
    /// Connections at a time. With a rate: as many as there may be, reached at that rate.
    pub concurrency: Option<u32>,
    /// Time to get there from the stage before (from nothing, in the first one); not measured.
    pub ramp_ns: u64,
    /// Time to stay there.
    pub duration_ns: u64,
}

/// A whole run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Schedule {
    /// One after the other; at least one.
    pub stages: Vec<Stage>,
    /// Time at the first stage's level before anything is measured, besides its duration.
    pub warm_up_ns: u64,
    /// Stop after so many launches.
    pub connections: Option<u64>,
}

/// Which of several loops this one is; each takes its share of the launches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// Its number, from 0.
    pub index: u32,
    /// How many there are, from 1.
    pub of: u32,
}

impl Share {
    /// The only loop.
    pub const WHOLE: Share = Share { index: 0, of: 1 };

    /// Its part of a whole number: all parts together are the whole.
    pub fn part(self, all: u64) -> u64 {
        let (index, of) = (u128::from(self.index), u128::from(self.of.max(1)));
        let up_to = |n: u128| (u128::from(all) * n / of) as u64;
        up_to(index + 1) - up_to(index)
    }
}

/// A launch that is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Launch {
    /// Its number among this loop's, from 0.
    pub number: u64,
    /// When it was meant to be; never later than now.
    pub intended_ns: u64,
    /// It falls into a time that is measured.
    pub measured: bool,
}

/// A piece of the schedule along which rate and concurrency change linearly.
#[derive(Clone, Copy, Debug)]
struct Segment {
    from_ns: u64,
    to_ns: u64,
    rate: [f64; 2],
    concurrency: Option<[f64; 2]>,
    open: bool,
    measured: bool,
    /// Launches of all loops before it.
    launches: f64,
}

impl Segment {
    fn len_s(&self) -> f64 {
        (self.to_ns - self.from_ns) as f64 / 1e9
    }

    /// Launches in all of it.
    fn count(&self) -> f64 {
        if self.open { (self.rate[0] + self.rate[1]) / 2.0 * self.len_s() } else { 0.0 }
    }

    /// When the launch with this number among all loops' is due: the launches up to a time are the integral of
    /// the rate.
    fn time_of(&self, number: u64) -> u64 {
        let count = (number as f64 - self.launches).max(0.0);
        let [from, to] = self.rate;
        let seconds = if (to - from).abs() < f64::EPSILON {
            count / from
        } else {
            let slope = (to - from) / self.len_s();
            ((from * from + 2.0 * slope * count).max(0.0).sqrt() - from) / slope
        };
        self.from_ns + (seconds * 1e9) as u64
    }

    /// Launches of all loops that are due at a time in it: the first one at its very beginning.
    fn due(&self, now_ns: u64) -> f64 {
        let seconds = now_ns.saturating_sub(self.from_ns) as f64 / 1e9;
        let [from, to] = self.rate;
        let slope = (to - from) / self.len_s();
        self.launches + (from + slope * seconds / 2.0) * seconds
    }

    /// The level is the same in all of it.
    fn is_level(&self) -> bool {
        self.concurrency.is_none_or(|[from, to]| from.to_bits() == to.to_bits())
    }

    fn covers(&self, at_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }

    fn level(&self, now_ns: u64) -> Option<u64> {
        let [from, to] = self.concurrency?;
        let len = (self.to_ns - self.from_ns).max(1) as f64;
        let done = now_ns.saturating_sub(self.from_ns) as f64 / len;
        Some((from + (to - from) * done.min(1.0)).round() as u64)
    }
}

/// One loop's cap in a segment at a time, and for how long it stays the same. Along a ramp it is asked for again at every
/// time, else once a segment.
#[cold]
fn cap(segment: Option<&Segment>, share: Share, now_ns: u64) -> Cap {
    let level = segment.and_then(|segment| segment.level(now_ns));
    let stays = segment.filter(|segment| segment.covers(now_ns) && segment.is_level());
    let during = stays.map_or(now_ns..now_ns.saturating_add(1), |segment| segment.from_ns..segment.to_ns);
    Cap { during, connections: level.map(|all| share.part(all)) }
}

/// Gives out one loop's launches.
#[derive(Clone, Debug)]
pub struct Launches {
    segments: Vec<Segment>,
    share: Share,
    at: usize,
    number: u64,
    limit: u64,
    /// The number of the next launch among all loops' of open segments.
    next_of_all: u64,
    next_ns: Option<u64>,
    /// By how much the cap on concurrency has put off all further launches.
    put_off_ns: u64,
    stopped: bool,
    cap: Cap,
}

/// How many connections this loop may have at a time, and when that is so: not worked out for each launch.
#[derive(Clone, Debug)]
struct Cap {
    during: Range<u64>,
    connections: Option<u64>,
}

impl Launches {
    /// The launches of one loop, whose clock starts at 0.
    pub fn new(schedule: &Schedule, share: Share) -> Self {
        let mut launches = Launches {
            segments: segments(schedule),
            share,
            at: 0,
            number: 0,
            limit: schedule.connections.map_or(u64::MAX, |all| share.part(all)),
            next_of_all: u64::from(share.index),
            next_ns: None,
            put_off_ns: 0,
            stopped: false,
            cap: Cap { during: 0..0, connections: None },
        };
        launches.next_ns = launches.time_of_next();
        launches
    }

    /// The next launch that is due at `now_ns`, while `level` connections of this loop are open or being opened.
    pub fn next(&mut self, now_ns: u64, level: u32) -> Option<Launch> {
        if self.stopped || self.number >= self.limit {
            return None;
        }
        while self.segments.get(self.at).is_some_and(|segment| now_ns >= segment.to_ns) {
            self.at += 1;
        }
        let here = self.segments.get(self.at);
        if here.is_none() && self.put_off_ns > 0 {
            // What was put off beyond the end is not launched any more.
            self.next_ns = None;
        }
        if !self.cap.during.contains(&now_ns) {
            self.cap = cap(here, self.share, now_ns);
        }
        let has_room = self.cap.connections.is_none_or(|cap| u64::from(level) < cap);
        let intended_ns = match self.next_ns {
            Some(due) if due <= now_ns && has_room => due,
            Some(due) if due <= now_ns => {
                self.put_off_ns += now_ns - due;
                self.next_ns = Some(now_ns);
                return None;
            }
            _ if here.is_some_and(|segment| !segment.open) && has_room => now_ns,
            _ => return None,
        };
        if self.next_ns == Some(intended_ns) {
            self.next_of_all += u64::from(self.share.of);
            self.next_ns = self.time_of_next();
        }
        let measured = match here {
            Some(segment) if segment.covers(intended_ns) => segment.measured,
            _ => self.segments.iter().any(|segment| segment.measured && segment.covers(intended_ns)),
        };
        let launch = Launch { number: self.number, intended_ns, measured };
        self.number += 1;
        Some(launch)
    }

    /// No launch will follow.
    pub fn is_over(&self, now_ns: u64) -> bool {
        let ended = self.segments.last().is_none_or(|last| now_ns >= last.to_ns);
        let nothing_due = self.put_off_ns > 0 || self.next_ns.is_none_or(|due| due > now_ns);
        self.stopped || self.number >= self.limit || (ended && nothing_due)
    }

    /// The end of its last stage.
    pub fn end_ns(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.to_ns)
    }

    /// Ends it before its time.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// A loop that is still behind its rate so long after the end does not catch up any more, so that a run ends when
    /// it says. How many launches were due and never made, told once.
    pub fn give_up(&mut self, now_ns: u64, patience_ns: u64) -> u64 {
        if now_ns < self.end_ns().saturating_add(patience_ns) || self.is_over(now_ns) {
            return 0;
        }
        self.stopped = true;
        let all = self.segments.last().map_or(0.0, |last| last.launches + last.count());
        // As in `time_of_next`.
        let all = (all - 1e-6).ceil().max(0.0) as u64;
        let rest = all.saturating_sub(self.next_of_all).div_ceil(u64::from(self.share.of.max(1)));
        rest.min(self.limit - self.number)
    }

    /// Launches so far.
    pub fn count(&self) -> u64 {
        self.number
    }

    /// When the next launch of an open loop is due.
    pub fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    fn time_of_next(&self) -> Option<u64> {
        let number = self.next_of_all as f64;
        // A hair less than the count, so that rounding does not add one launch at the very end.
        let ends = |s: &&Segment| s.open && number < s.launches + s.count() - 1e-6;
        let segment = self.segments.iter().find(ends)?;
        Some(segment.time_of(self.next_of_all) + self.put_off_ns).filter(|at| {
            let end = self.segments.last().map_or(0, |last| last.to_ns);
            self.put_off_ns == 0 || *at < end
        })
    }
}

/// Counts what is due by an open schedule, for a load that waits for nothing and whose launches need no names; by a
/// schedule with a closed stage everything is due at once.
#[derive(Clone, Debug)]
pub struct Dues {
    segments: Vec<Segment>,
    open: bool,
    limit: u64,
}

impl Dues {
    /// Of all loops together.
    pub fn new(schedule: &Schedule) -> Self {
        Dues {
            segments: segments(schedule),
            open: schedule.rate_max().is_some() && schedule.stages.iter().all(|stage| stage.rate.is_some()),
            limit: schedule.launches().unwrap_or(u64::MAX),
        }
    }

    /// How many launches are due by `now_ns`, those before included.
    pub fn by(&self, now_ns: u64) -> u64 {
        let Some(here) = self.segments.iter().find(|segment| now_ns < segment.to_ns) else {
            return self.limit;
        };
        if self.open { (here.due(now_ns) as u64).saturating_add(1).min(self.limit) } else { self.limit }
    }

    /// Rates say when each launch is due.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// How many will have been due in the end; `u64::MAX` where nothing bounds them.
    pub fn in_all(&self) -> u64 {
        self.limit
    }

    /// Nothing more becomes due.
    pub fn is_over(&self, now_ns: u64) -> bool {
        self.segments.last().is_none_or(|last| now_ns >= last.to_ns)
    }
}

fn segments(schedule: &Schedule) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::with_capacity(3 * schedule.stages.len());
    let (mut rate, mut concurrency) = (0.0, 0.0);
    for (n, stage) in schedule.stages.iter().enumerate() {
        let warm_up_ns = if n == 0 { schedule.warm_up_ns } else { 0 };
        let to = stage.rate.unwrap_or(0.0);
        let level = f64::from(stage.concurrency.unwrap_or(0));
        let pieces = [
            (stage.ramp_ns, [rate, to], [concurrency, level], false),
            (warm_up_ns, [to; 2], [level; 2], false),
            (stage.duration_ns, [to; 2], [level; 2], true),
        ];
        for (len_ns, rate, concurrency, measured) in pieces {
            if len_ns > 0 {
                let before = segments.last();
                let from_ns = before.map_or(0, |last| last.to_ns);
                segments.push(Segment {
                    from_ns,
                    to_ns: from_ns.saturating_add(len_ns),
                    rate,
                    concurrency: stage.concurrency.map(|_| concurrency),
                    open: stage.rate.is_some(),
                    measured,
                    launches: before.map_or(0.0, |last| last.launches + last.count()),
                });
            }
        }
        (rate, concurrency) = (to, level);
    }
    segments
}

impl Schedule {
    /// The times that are measured, in nanoseconds.
    pub fn measured(&self) -> Vec<Range<u64>> {
        segments(self).iter().filter(|s| s.measured).map(|s| s.from_ns..s.to_ns).collect()
    }

    /// The end of the last stage, in nanoseconds.
    pub fn end_ns(&self) -> u64 {
        segments(self).last().map_or(0, |last| last.to_ns)
    }

    /// The highest number of connections that it asks for at a time; `None` where an open loop sets no bound.
    pub fn concurrency_max(&self) -> Option<u32> {
        self.stages
            .iter()
            .map(|stage| stage.concurrency)
            .max()
            .flatten()
            .filter(|_| self.stages.iter().all(|stage| stage.concurrency.is_some()))
    }

    /// The highest rate that it asks for, in launches a second; `None` for a closed loop.
    pub fn rate_max(&self) -> Option<f64> {
        self.stages
            .iter()
            .filter_map(|stage| stage.rate)
            .fold(None, |max, rate| Some(rate.max(max.unwrap_or(0.0))))
    }

    /// How many connections it launches, if nothing holds it back; `None` where only a closed loop's replies can
    /// tell.
    pub fn launches(&self) -> Option<u64> {
        let open = self.stages.iter().all(|stage| stage.rate.is_some());
        let all = open.then(|| segments(self).iter().map(Segment::count).sum::<f64>().ceil() as u64);
        all.into_iter().chain(self.connections).min()
    }
}

#[cfg(test)]
#[path = "schedule/tests.rs"]
mod tests;
