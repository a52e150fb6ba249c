//! Two connections talk over a bad line; at every event the one that it happens to is also kept in brief, and does the
//! same in the usual way.

use super::*;
use crate::base::burst::Burst;
use crate::base::rng::Rng;
use crate::base::time::Instant;
use crate::tcp::arrives::synchronized::Room;
use crate::tcp::calls::AfterClose;
use crate::tcp::config::Config;
use crate::tcp::congestion::{Congestion, initial_window};
use crate::tcp::mss;
use crate::tcp::outcome::{End, Outcome};
use crate::tcp::output::Budget;
use crate::tcp::segment::SegmentOut;
use crate::tcp::state::State;
use crate::tcp::tcb::{Seed, Tcb};
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::SackBlocks;

/// How often each usual way was taken, so that none of them is tested by never being taken.
#[derive(Default, Debug)]
struct Taken {
    kept: u32,
    arrivals: u32,
    opened: u32,
    texts: u32,
    fins: u32,
    finished: u32,
    outputs: u32,
    texts_out: u32,
    fins_out: u32,
    closes: u32,
    /// Events for one whose deadlines nobody has found out yet.
    just_sent: u32,
}

fn common(cfg: &Config) -> Common<'_> {
    Common { settings: &cfg.settings, ip_header: mss::IPV4_HEADER }
}

/// A TCB without what may be forgotten while nothing usual depends on it.
fn told(tcb: &Tcb, ctx: Ctx<'_>) -> String {
    let mut tcb = tcb.clone();
    let (una, nxt) = (tcb.snd.una, tcb.snd.nxt);
    tcb.ts_recent_at = Instant(tcb.ts_recent_at.0 >> 32 << 32);
    tcb.challenges = 0;
    tcb.challenges_since = ctx.now.tick();
    tcb.out_of_window_at = None;
    tcb.resend = una;
    tcb.urgent_end = tcb.rcv.nxt;
    tcb.cwr_end = una;
    if !tcb.facts.has(fact::TIMING) {
        (tcb.timed_end, tcb.timed_at) = (nxt, Instant::ZERO);
    }
    if !tcb.short_end.after(una) {
        tcb.short_end = una;
    }
    if tcb.timers.waiting == Waiting::Nothing {
        tcb.timers.rto_at = tcb.timers.retransmit_at;
    }
    // When a search that is over would go on.
    format!("{tcb:?}").split("not_before").map(|part| part.split_once(')').map_or(part, |p| p.1)).collect()
}

/// Without the deadline of what does not wait.
fn in_words(brief: &Brief) -> String {
    let mut brief = *brief;
    if !brief.bits.has(Bits::WAITING) {
        brief.retransmit_at = Tick(0);
    }
    format!("{brief:?}")
}

/// In words, once its deadlines are found out, which are none before those that it said.
fn found(brief: &Brief, ctx: Ctx<'_>) -> String {
    let mut brief = *brief;
    let before = brief.deadline();
    brief.find_deadlines(common(ctx.cfg), ctx);
    assert!(before.zip(brief.deadline()).is_none_or(|(before, found)| !found.before(before)), "{brief:?}");
    in_words(&brief)
}

struct Talker {
    tcb: Tcb,
    cfg: Config,
    line: Vec<SegmentOut>,
    /// Where the quick way puts its segments.
    place: SegmentOut,
    /// In brief, as the quick way left it when it had sent something.
    sent: Option<Brief>,
}

impl Talker {
    fn ctx(&self, now: Instant) -> Ctx<'_> {
        Ctx { now, cfg: &self.cfg }
    }

    /// The TCB in brief, after it was seen that nothing is lost by it.
    fn kept(&mut self, now: Instant, taken: &mut Taken) -> Option<Brief> {
        let ctx = self.ctx(now);
        let brief = self.tcb.brief(common(&self.cfg), ctx)?;
        let again = brief.tcb(common(&self.cfg), ctx);
        assert_eq!(told(&again, ctx), told(&self.tcb, ctx));
        assert_eq!(again.deadline(), brief.deadline());
        assert_eq!(
            (again.owes(), again.queued(), again.state()),
            (brief.owes(), brief.queued(), brief.state())
        );
        taken.kept += 1;
        let Some(sent) = self.sent.take() else { return Some(brief) };
        assert_eq!(found(&sent, self.ctx(now)), in_words(&brief));
        taken.just_sent += 1;
        Some(sent)
    }

    fn arrives(&mut self, segment: &Segment, room: Room, now: Instant, taken: &mut Taken) -> Outcome {
        let brief = self.kept(now, taken);
        let ctx = Ctx { now, cfg: &self.cfg };
        let common = common(&self.cfg);
        if let Some(brief) = &brief {
            // What may be forgotten is.
            self.tcb = brief.tcb(common, ctx);
        }
        let out = self.tcb.segment_arrives(segment, room, None, ctx);
        let Some(before) = brief else { return out };
        let mut brief = before;
        let Some(quick) = brief.segment_arrives(segment, room, common, ctx) else {
            assert_eq!(in_words(&brief), in_words(&before), "nothing was done");
            return out;
        };
        taken.arrivals += 1;
        taken.opened += u32::from(quick.opened);
        taken.texts += u32::from(segment.text_len > 0);
        taken.fins += u32::from(quick.peer_closed);
        taken.finished += u32::from(quick.finished);
        let expected = Outcome {
            opened: quick.opened,
            acked: quick.acked,
            peer_closed: quick.peer_closed,
            end: quick.finished.then_some(End::Finished),
            text_len: segment.text_len,
            ..Outcome::default()
        };
        assert_eq!(out, expected, "{segment:?} {before:?}");
        if !quick.finished {
            let general = self.tcb.brief(common, ctx).map(|brief| in_words(&brief));
            assert_eq!(general, Some(found(&brief, ctx)), "{segment:?} {before:?}");
            self.sent = Some(brief).filter(|brief| brief.bits.is_just_sent());
        }
        out
    }

    fn pays(&mut self, now: Instant, taken: &mut Taken) {
        let brief = self.kept(now, taken);
        let ctx = Ctx { now, cfg: &self.cfg };
        let common = common(&self.cfg);
        if let Some(brief) = &brief {
            self.tcb = brief.tcb(common, ctx);
        }
        let mut out = Burst::new();
        self.tcb.output(None, ctx, Budget { segments: 8, text_max: 0 }, &SackBlocks::NONE, &mut out);
        if let Some(before) = brief {
            let (mut brief, mut one) = (before, self.place);
            match brief.output(common, ctx, &mut one) {
                None => assert_eq!(in_words(&brief), in_words(&before), "nothing was done"),
                Some(paid) => {
                    let expected = if paid == Paid::One { vec![one] } else { vec![] };
                    self.place = if one.flags.has(Flags::SYN) { SegmentOut::default() } else { one };
                    assert_eq!(out.as_slice(), expected, "{before:?}");
                    taken.outputs += 1;
                    taken.texts_out += u32::from(one.text_len > 0);
                    taken.fins_out += u32::from(one.flags.has(Flags::FIN));
                    let general = self.tcb.brief(common, ctx).map(|brief| in_words(&brief));
                    assert_eq!(general, Some(found(&brief, ctx)), "{before:?}");
                    self.sent = Some(brief).filter(|brief| brief.bits.is_just_sent());
                }
            }
        }
        self.line.extend(out);
    }

    fn calls(&mut self, octets: Option<u32>, after: AfterClose, now: Instant, taken: &mut Taken) {
        let brief = self.kept(now, taken);
        let ctx = Ctx { now, cfg: &self.cfg };
        let (done, quick) = match octets {
            Some(octets) => (self.tcb.send(octets).is_ok(), brief.map(|mut b| (b.send(octets), b))),
            None => (self.tcb.close(after, ctx).is_ok(), brief.map(|mut b| (b.close(after), b))),
        };
        let Some((true, brief)) = quick else { return };
        assert!(done);
        taken.closes += 1;
        let general = self.tcb.brief(common(&self.cfg), ctx).map(|brief| in_words(&brief));
        assert_eq!(general, Some(found(&brief, ctx)));
        self.sent = Some(brief).filter(|brief| brief.bits.is_just_sent());
    }
}

fn told_of(tcb: &Tcb, cfg: &Config, now: Instant) -> Option<String> {
    tcb.brief(common(cfg), Ctx { now, cfg }).as_ref().map(in_words)
}

fn arriving(out: &SegmentOut) -> Segment {
    Segment {
        seq: out.seq,
        ack: out.ack,
        flags: out.flags,
        wnd: out.wnd,
        up: out.up,
        text_len: out.text_len,
        congested: false,
        options: out.options,
    }
}

fn seed<'a>(rng: &mut Rng, cfg: &'a Config) -> Seed<'a> {
    Seed {
        iss: Seq(rng.next_u64() as u32),
        ts_offset: rng.next_u64() as u32,
        mtu: 1_500,
        path_mtu: if rng.below(20) == 0 { 1_400 } else { 1_500 },
        ip_header: mss::IPV4_HEADER,
        settings: &cfg.settings,
    }
}

fn config(rng: &mut Rng) -> Config {
    let coin = |rng: &mut Rng| rng.below(4) > 0;
    Config {
        timestamps: coin(rng),
        sack: coin(rng),
        window_scale: coin(rng),
        ecn: rng.below(4) == 0,
        ecn_ask: rng.below(8) == 0,
        prediction: coin(rng),
        rto_initial_ms: 1_000,
        receive_buffer: [3_000, 60_000, 262_144][rng.below(3) as usize],
        delayed_ack_ms: 40,
        rto_min_ms: [10, 199, 200, 1_000][rng.below(4) as usize],
        user_timeout_ms: [50, 199, 200, 300, 300_000, 300_000][rng.below(6) as usize],
        ..Config::default()
    }
}

/// A segment that somebody changed, or as it was.
fn twisted(rng: &mut Rng, mut segment: Segment) -> Segment {
    let near = |rng: &mut Rng, seq: Seq| seq + rng.below(5).wrapping_sub(2);
    match rng.below(24) {
        0 => segment.seq = near(rng, segment.seq),
        1 => segment.ack = near(rng, segment.ack),
        2 => segment.flags = Flags(rng.next_u64() as u8 & 0x3b),
        3 => segment.wnd = [0, 1, 500, 65_535][rng.below(4) as usize],
        4 => segment.flags = segment.flags | Flags::FIN,
        5 => segment.text_len = rng.below(40) as u16,
        6 => segment.options.timestamps = None,
        7 if segment.options.timestamps.is_some() => {
            let ts = segment.options.timestamps.as_mut().unwrap();
            ts.val = ts.val.wrapping_sub(rng.below(3));
            ts.ecr = ts.ecr.wrapping_add(rng.below(3));
        }
        8 => segment.congested = true,
        9 => segment.options.window_scale = segment.options.window_scale.map(|_| 15),
        _ => {}
    }
    segment
}

/// In one of two conversations no segment is acknowledged at once for being one of the first.
fn acknowledge_late(rng: &mut Rng, ends: &mut [Talker; 2]) {
    if rng.below(2) == 0 {
        ends.iter_mut().for_each(|end| (end.tcb.quick_acks, end.sent) = (0, None));
    }
}

/// One conversation.
fn converse(rng: &mut Rng, taken: &mut Taken) {
    let mut now = Instant(u64::from(rng.next_u64() as u32) << 8);
    let (a, b) = (config(rng), config(rng));
    let first = seed(rng, &a);
    let opener = Tcb::open_active(first, Ctx { now, cfg: &a });
    let brief = Brief::open_active(&first, Ctx { now, cfg: &a });
    assert_eq!(told_of(&opener, &a, now), Brief::may_open(&first).then(|| in_words(&brief)));
    let mut ends =
        [Talker { tcb: opener, cfg: a, line: vec![], place: SegmentOut::default(), sent: None }, {
            let tcb = Tcb::open_active(seed(rng, &b), Ctx { now, cfg: &b });
            Talker { tcb, cfg: b, line: vec![], place: SegmentOut::default(), sent: None }
        }];
    ends[0].pays(now, taken);
    let syn = arriving(&ends[0].line.pop().unwrap());
    let passive = seed(rng, &ends[1].cfg);
    let syn = twisted(rng, syn);
    ends[1].tcb = Tcb::open_passive(&syn, passive, ends[1].ctx(now));
    let brief = Brief::open_passive(&syn, &passive, ends[1].ctx(now));
    let told = told_of(&ends[1].tcb, &ends[1].cfg, now);
    assert_eq!(told, Brief::may_open(&passive).then(|| in_words(&brief)));
    acknowledge_late(rng, &mut ends);
    for _ in 0..60 {
        let me = rng.below(2) as usize;
        now = now
            + std::time::Duration::from_micros(match rng.below(12) {
                0 => u64::from(rng.below(3_000_000)),
                1..4 => u64::from(rng.below(300_000)),
                _ => u64::from(rng.below(400)),
            });
        if ends[me].tcb.state() == State::Closed {
            return;
        }
        match rng.below(12) {
            0 => {
                let octets = [1, 100, 1_448, 1_460, 5_000][rng.below(5) as usize];
                ends[me].calls(Some(octets), AfterClose::Deliver, now, taken);
            }
            1 => {
                let after =
                    [AfterClose::Deliver, AfterClose::Discard, AfterClose::Reset][rng.below(3) as usize];
                ends[me].calls(None, after, now, taken);
            }
            2 if ends[me].tcb.deadline().is_some_and(|at| at.is_due(now.tick())) => {
                let ctx = Ctx { now, cfg: &ends[me].cfg };
                let _ = ends[me].tcb.clone().timeout(None, ctx);
                ends[me].sent = None;
                let Talker { tcb, cfg, .. } = &mut ends[me];
                let _ = tcb.timeout(None, Ctx { now, cfg });
            }
            3..7 => ends[me].pays(now, taken),
            _ if ends[1 - me].line.is_empty() => {}
            _ => {
                let out = ends[1 - me].line.remove(0);
                if rng.below(20) == 0 {
                    continue;
                }
                let segment = twisted(rng, arriving(&out));
                let room = Room {
                    accept_full: rng.below(10) == 0,
                    octets: [100_000, 50][usize::from(rng.below(12) == 0)],
                };
                let out = ends[me].arrives(&segment, room, now, taken);
                if out.end.is_some() {
                    return;
                }
            }
        }
    }
}

#[test]
fn the_usual_way_is_what_the_machine_does() {
    let mut taken = Taken::default();
    for number in 0..12_000 {
        converse(&mut Rng::new(number), &mut taken);
    }
    let Taken {
        kept,
        arrivals,
        opened,
        texts,
        fins,
        finished,
        outputs,
        texts_out,
        fins_out,
        closes,
        just_sent,
    } = taken;
    let least = [
        kept / 50,
        arrivals / 5,
        opened,
        texts,
        fins,
        finished * 10,
        outputs,
        texts_out,
        fins_out,
        closes,
        just_sent,
    ];
    assert!(least.iter().all(|count| *count > 500), "{least:?}");
}

#[test]
fn a_window_that_has_grown_is_no_measure_after_an_idle_time() {
    //= CC-13
    let (cfg, mut now) = (Config::default(), Instant(1 << 40));
    let (rng, taken) = (&mut Rng::new(1), &mut Taken::default());
    let mut talker = |tcb: fn(&Segment, Seed<'_>, Ctx<'_>) -> Tcb, syn: &Segment| {
        let seed = Seed { path_mtu: 1_500, ..seed(rng, &cfg) };
        let tcb = tcb(syn, seed, Ctx { now, cfg: &cfg });
        Talker { tcb, cfg: cfg.clone(), line: vec![], place: SegmentOut::default(), sent: None }
    };
    let mut opener = talker(|_, seed, ctx| Tcb::open_active(seed, ctx), &Segment::default());
    opener.pays(now, taken);
    let mut other = talker(Tcb::open_passive, &arriving(&opener.line.pop().unwrap()));
    other.pays(now, taken);
    let room = Room { accept_full: false, octets: 100_000 };
    let _ = opener.arrives(&arriving(&other.line.pop().unwrap()), room, now, taken);
    opener.pays(now, taken);
    let grown = 60 * u32::from(opener.tcb.mss);
    opener.tcb.congestion = Congestion::from_brief(grown, true);
    now = now + std::time::Duration::from_secs(10);
    opener.calls(Some(100), AfterClose::Deliver, now, taken);
    let before = taken.outputs;
    // Both ways are compared here.
    opener.pays(now, taken);
    assert_eq!(taken.outputs, before + 1, "the usual way was taken");
    let (cwnd, _) = opener.tcb.congestion.brief().unwrap();
    assert_eq!(cwnd, initial_window(u32::from(opener.tcb.mss)));
}
