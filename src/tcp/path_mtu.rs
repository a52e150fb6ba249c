//! The path's MTU as one connection knows it: lowered by reports that can be believed (RFC 1191, RFC 5927 7.2) or
//! by a black hole, raised by probes made of real data (RFC 4821). All sizes are whole packets in bytes, IP header
//! included. What a change means for what is in flight is decided elsewhere.

use std::num::NonZeroU16;

use super::config::{Config, PATH_MTU_BASE};
use super::mss;
use crate::base::time::{Instant, Tick};
use crate::wire::seq::Seq;

/// Plateaus of RFC 1191 7: MTUs that are common, for routers that do not tell theirs.
const PLATEAUS: [u16; 11] = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68];
/// The least MTU that any IPv4 link has (RFC 791): taken as acknowledged before anything was.
pub(in crate::tcp) const MTU_MIN: u16 = 68;
/// A search that has come so near to its end is over.
const NEAR: u16 = 8;

/// The next lower plateau (PMTU-4).
fn plateau_below(len: u16) -> u16 {
    //= PMTU-4
    PLATEAUS.into_iter().find(|plateau| *plateau < len).unwrap_or(MTU_MIN)
}

/// Where the search for a larger MTU stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Search {
    /// Nothing larger could be had.
    Over,
    /// Not before its time; then everything up to the ceiling may be tried.
    Rest,
    /// The upper end itself may work: after a report that names it, or after an outage.
    Top,
    /// The upper end has failed, or is one below what has failed.
    Middle,
}

/// The largest packet in flight: it, or what is larger than the path's MTU so far (then it is a probe).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark {
    end: Seq,
    len: NonZeroU16,
}

/// A report that is believed when its segment has timed out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Held {
    seq: Seq,
    mtu: NonZeroU16,
}

/// A report that a packet was too big.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    /// The next hop's MTU; 0 where it is not told.
    pub mtu: u16,
    /// The packet's sequence number.
    pub seq: Seq,
    /// The packet's length.
    pub len: u16,
    /// The segment has timed out already.
    pub timed_out: bool,
}

/// What a report or a timeout changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Change {
    /// Nothing: a report is stale, impossible, or tells what is known.
    Nothing,
    /// A report waits until its segment times out.
    Held,
    /// The probe was too big: its text must go again, and it is no sign of congestion.
    ProbeFailed,
    /// A report lowered the MTU: what is larger must go again, and that is no sign of congestion.
    Reported,
    /// Nothing got through for so long that the path may swallow large packets (PLPMTUD-6).
    BlackHole,
}

/// A path that was never in doubt.
#[derive(Clone, Copy)]
pub(in crate::tcp) struct Brief {
    pub ceiling: u16,
    pub max_sent: u16,
    pub max_acked: u16,
    /// A packet of the largest size ends at SND.NXT and waits for its acknowledgment.
    pub marked: bool,
}

//= TS-16
/// The state of path MTU discovery.
#[derive(Clone, Copy, Debug)]
pub struct PathMtu {
    /// The path's MTU, as far as is known (eff_pmtu).
    current: u16,
    /// What the link and the peer would take.
    ceiling: u16,
    /// Bytes of a full packet that are not text.
    overhead: u16,
    /// The largest packet that the search may still try.
    high: u16,
    /// maxsizesent and maxsizeacked of RFC 5927 7.2.
    max_sent: u16,
    max_acked: u16,
    mark: Option<Mark>,
    held: Option<Held>,
    /// The next probe leaves at this time or later.
    not_before: Tick,
    search: Search,
    /// Only one segment at a time until an acknowledgment comes (PMTU-5).
    creeps: bool,
}

impl PathMtu {
    /// Over a link with this MTU; `known` is the path's where another connection has found it out.
    pub fn new(link: u16, known: u16, ip_header: u16, now: Instant) -> Self {
        PathMtu {
            current: known.min(link),
            ceiling: link,
            overhead: ip_header,
            high: link,
            max_sent: 0,
            max_acked: MTU_MIN,
            mark: None,
            held: None,
            not_before: now.tick(),
            search: Search::Over,
            creeps: false,
        }
    }

    /// The peer's SYN tells its MSS, and the options that each segment will carry are known.
    pub fn agree(&mut self, peer: Option<u16>, option_bytes: u16, now: Instant, cfg: &Config) {
        //= PLPMTUD-2
        let text = mss::effective(self.ceiling, self.overhead, peer, option_bytes, cfg);
        self.overhead += mss::TCP_HEADER + option_bytes;
        self.ceiling = text + self.overhead;
        self.current = self.current.min(self.ceiling);
        self.high = self.current;
        if self.current < self.ceiling {
            self.rest(now, cfg);
        }
    }

    /// All that a connection knows that has never had a reason to doubt its path: what it sent and got through, in few
    /// bytes. `None` when there is more to remember.
    pub(in crate::tcp) fn brief(&self, nxt: Seq) -> Option<Brief> {
        let plain = self.current == self.ceiling
            && self.high == self.ceiling
            && self.held.is_none()
            && self.search == Search::Over
            && !self.creeps;
        let mark = NonZeroU16::new(self.max_sent).map(|len| Mark { end: nxt, len });
        let marked = self.mark.is_some();
        let brief =
            Brief { ceiling: self.ceiling, max_sent: self.max_sent, max_acked: self.max_acked, marked };
        (plain && (!marked || self.mark == mark)).then_some(brief)
    }

    /// Forgets what there is no room for: the MTU of now is never raised again. Nothing must be in flight.
    pub(in crate::tcp) fn forget(&mut self) {
        self.ceiling = self.current;
        self.high = self.current;
        (self.mark, self.held, self.search, self.creeps) = (None, None, Search::Over, false);
    }

    /// What [`PathMtu::brief`] told; `overhead` bytes of a packet are no text.
    pub(in crate::tcp) fn from_brief(brief: Brief, overhead: u16, nxt: Seq, now: Instant) -> PathMtu {
        let Brief { ceiling, max_sent, max_acked, marked } = brief;
        let mark = NonZeroU16::new(max_sent).filter(|_| marked).map(|len| Mark { end: nxt, len });
        let fresh = PathMtu::new(ceiling, ceiling, overhead, now);
        PathMtu { max_sent, max_acked, mark, ..fresh }
    }

    /// Bytes of a packet that are no text.
    pub(in crate::tcp) const fn overhead(&self) -> u16 {
        self.overhead
    }

    /// The path's MTU now.
    pub fn current(&self) -> u16 {
        self.current
    }

    /// Text of a full segment.
    pub fn text(&self) -> u16 {
        self.current.saturating_sub(self.overhead).max(mss::TEXT_MIN)
    }

    /// Only one segment may be in flight until an acknowledgment comes.
    pub fn creeps(&self) -> bool {
        self.creeps
    }

    /// A segment with so much text left for the first time.
    pub fn sent(&mut self, end: Seq, text_len: u16) {
        let len = text_len.saturating_add(self.overhead);
        self.max_sent = self.max_sent.max(len);
        let is_probe = len > self.current;
        if is_probe || (len > self.max_acked && self.mark.is_none()) {
            self.mark = NonZeroU16::new(len).map(|len| Mark { end, len });
        }
    }

    /// Everything below `una` was acknowledged. True when that raised the path's MTU.
    pub fn acknowledged(&mut self, una: Seq, now: Instant, cfg: &Config) -> bool {
        self.creeps = false;
        //= PMTU-7
        self.held = self.held.filter(|held| !una.after(held.seq));
        let Some(mark) = self.mark.filter(|mark| una.at_or_after(mark.end)) else { return false };
        self.mark = None;
        let len = mark.len.get();
        self.max_acked = self.max_acked.max(len);
        let raised = len > self.current;
        if raised {
            //= PLPMTUD-1
            self.current = len;
            self.high = self.high.max(self.current);
            //= PMTU-3
            self.not_before = Tick::after_ms(now, cfg.path_mtu_step_ms);
            self.close_in(now, cfg);
        }
        raised
    }

    /// A router says that a packet was too big.
    pub fn reported(&mut self, report: Report, now: Instant, cfg: &Config) -> Change {
        let told = if report.mtu == 0 { plateau_below(report.len.min(self.max_sent)) } else { report.mtu };
        //= PMTU-2
        let told = told.max(cfg.path_mtu_min);
        if let Some(probe) = self.probe_at(report.seq)
            && told >= self.current
            && told < probe.len.get()
        {
            //= PMTU-1
            self.mark = None;
            self.high = told;
            self.search = Search::Top;
            self.not_before = Tick::after_ms(now, cfg.path_mtu_step_ms);
            self.close_in(now, cfg);
            return Change::ProbeFailed;
        }
        //= PMTU-1
        //= PMTU-7
        if told >= self.current || told > self.max_sent {
            return Change::Nothing;
        }
        // What was sent before the last report is spoken for.
        if self.creeps && report.len > self.current {
            //= PMTU-5
            return Change::Nothing;
        }
        if told < self.max_acked && !report.timed_out {
            //= PMTU-7
            //= ATK-25
            self.held = NonZeroU16::new(told).map(|mtu| Held { seq: report.seq, mtu });
            return Change::Held;
        }
        self.lower(told, now, cfg);
        Change::Reported
    }

    /// The retransmission timer expired for the `expiries`th time in a row; the segment at `una` would leave
    /// with `text` octets again.
    pub fn timed_out(&mut self, una: Seq, text: u32, expiries: u8, now: Instant, cfg: &Config) -> Change {
        //= PMTU-7
        if let Some(held) = self.held.filter(|held| held.seq.since(una) < text) {
            self.lower(held.mtu.get(), now, cfg);
            return Change::Reported;
        }
        let stuck = text + u32::from(self.overhead);
        let base = PATH_MTU_BASE.max(cfg.path_mtu_min);
        let lower = if self.current > base { base } else { (self.current / 2).max(cfg.path_mtu_min) };
        // Where nothing larger than the base ever left, there is nothing to suspect.
        let suspect = self.ceiling > base && lower < self.current && stuck > u32::from(lower);
        if expiries < cfg.r1_repeats || !suspect {
            return Change::Nothing;
        }
        //= PLPMTUD-6
        let high = self.high.max(self.current);
        self.lower(lower, now, cfg);
        self.high = high;
        self.search = Search::Top;
        self.not_before = now.tick();
        Change::BlackHole
    }

    /// How much text the next probe carries, if it is time for one.
    pub fn probe_text(&mut self, now: Instant, cfg: &Config) -> Option<u16> {
        //= PLPMTUD-3
        let waits = self.search == Search::Over || self.probe().is_some();
        if waits || !self.not_before.is_due(now.tick()) {
            return None;
        }
        if self.search == Search::Rest {
            //= PMTU-3
            //= PLPMTUD-7
            self.high = self.ceiling;
            self.search = Search::Top;
        }
        let len = match self.search {
            Search::Middle => self.current + (self.high - self.current).div_ceil(2),
            _ => self.high,
        };
        self.close_in(now, cfg);
        (self.search != Search::Over && self.search != Search::Rest && len > self.current)
            .then(|| len.saturating_sub(self.overhead))
    }

    /// The first octet of the probe in flight, and how many it carries.
    pub fn probe_in_flight(&self) -> Option<(Seq, u16)> {
        let probe = self.probe()?;
        let text = probe.len.get().saturating_sub(self.overhead);
        Some((probe.end - u32::from(text), text))
    }

    /// The probe was lost: so much is too much, at least for now. The next one waits `pause_ms`.
    pub fn probe_lost(&mut self, pause_ms: u32, now: Instant, cfg: &Config) {
        //= PLPMTUD-4
        if let Some(probe) = self.probe() {
            self.mark = None;
            self.high = probe.len.get() - 1;
            self.search = Search::Middle;
            self.not_before = Tick::after_ms(now, pause_ms);
            self.close_in(now, cfg);
        }
    }

    /// The probe was lost, but so were others: that says nothing about its size.
    pub fn probe_inconclusive(&mut self, pause_ms: u32, now: Instant) {
        //= PLPMTUD-5
        if self.probe().is_some() {
            self.mark = None;
            self.not_before = Tick::after_ms(now, pause_ms);
        }
    }

    fn probe(&self) -> Option<Mark> {
        self.mark.filter(|mark| mark.len.get() > self.current)
    }

    /// The probe in flight, if it is the packet with this number.
    fn probe_at(&self, seq: Seq) -> Option<Mark> {
        self.probe().filter(|_| self.probe_in_flight().is_some_and(|(start, _)| start == seq))
    }

    /// Packets are smaller from now on.
    fn lower(&mut self, mtu: u16, now: Instant, cfg: &Config) {
        self.current = mtu;
        self.high = mtu;
        self.max_sent = self.max_sent.min(mtu);
        self.max_acked = self.max_acked.min(mtu);
        self.mark = None;
        self.held = None;
        //= PMTU-5
        self.creeps = true;
        self.rest(now, cfg);
    }

    /// The search ends where there is nothing left to be found; what is still above is tried much later.
    fn close_in(&mut self, now: Instant, cfg: &Config) {
        let over = match self.search {
            Search::Over | Search::Rest => false,
            Search::Top => self.high <= self.current,
            Search::Middle => self.high < self.current.saturating_add(NEAR),
        };
        if self.current >= self.ceiling {
            self.search = Search::Over;
        } else if over {
            self.rest(now, cfg);
        }
    }

    fn rest(&mut self, now: Instant, cfg: &Config) {
        //= PMTU-3
        //= PLPMTUD-7
        self.search = Search::Rest;
        self.not_before = Tick::after_ms(now, cfg.path_mtu_raise_ms);
    }
}

#[cfg(test)]
mod tests;
