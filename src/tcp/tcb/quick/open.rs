//! OPEN in brief, and the usual answer to our SYN.

use super::super::brief::{Bits, Brief, Common};
use super::super::{Facts, Owed, Seed, Shifts, fact};
use super::arrives::Quick;
use crate::base::time::Tick;
use crate::tcp::config::QUICK_ACKS;
use crate::tcp::congestion::{Congestion, initial_window};
use crate::tcp::path::Path;
use crate::tcp::rto::RttEstimator;
use crate::tcp::state::State;
use crate::tcp::{Ctx, mss, output, path_mtu, window};
use crate::wire::tcp::{Flags, Segment};

/// The segment size that is assumed until the peer's SYN has come.
const ASSUMED: u32 = 536;

impl Brief {
    /// Connections can be opened in brief with what the tables say: the path is not known to be narrower than the link.
    pub fn may_open(seed: &Seed<'_>) -> bool {
        seed.path_mtu >= seed.mtu
    }

    /// As [`super::super::Tcb::open_passive`], where [`Brief::may_open`] says so.
    #[inline(always)]
    pub fn open_passive(syn: &Segment, seed: &Seed<'_>, ctx: Ctx<'_>) -> Brief {
        let mut brief = Brief::open(State::Listen, seed, ctx);
        let common = Common { settings: seed.settings, ip_header: seed.ip_header };
        brief.take_syn(syn, seed.mtu, common, ctx);
        brief.enter(State::SynReceived);
        brief
    }

    /// As [`super::super::Tcb::open_active`], where [`Brief::may_open`] says so.
    #[inline(always)]
    pub fn open_active(seed: &Seed<'_>, ctx: Ctx<'_>) -> Brief {
        let mut brief = Brief::open(State::Closed, seed, ctx);
        brief.facts.set(fact::ACTIVE);
        if ctx.cfg.ecn_ask {
            brief.facts.set(fact::ECN);
        }
        brief.enter(State::SynSent);
        brief
    }

    #[inline(always)]
    fn open(state: State, seed: &Seed<'_>, ctx: Ctx<'_>) -> Brief {
        let now = ctx.now.tick();
        let mut facts = Facts(fact::TIMING);
        if seed.settings.nodelay {
            facts.set(fact::NODELAY);
        }
        let mut brief = Brief::in_state(state);
        brief.una = seed.iss;
        brief.nxt = seed.iss + 1;
        brief.end = seed.iss + 1;
        brief.ts_offset = seed.ts_offset;
        brief.retransmit_at = Tick::after_ms(ctx.now, ctx.cfg.rto_initial_ms);
        brief.sent_at = ctx.now.0 as u32;
        brief.heard_at = now;
        brief.rtt = RttEstimator::starting_at(0);
        brief.cwnd = initial_window(ASSUMED);
        brief.ack_floor = seed.iss + 1;
        brief.opened_at = now;
        brief.progress_at = now;
        brief.facts = facts;
        brief.mss = seed.mtu;
        brief.ts_recent_at = (ctx.now.0 >> 32) as u16;
        brief.mss_sent = mss::announced(seed.mtu, seed.ip_header, ctx.cfg);
        brief.max_acked = path_mtu::MTU_MIN;
        brief.owed = Owed(Owed::SYN);
        brief.bits = Bits::opened();
        brief.acks = QUICK_ACKS;
        brief.path = Path::from(state);
        brief
    }

    /// What the peer's SYN says. `mtu` is that of the path.
    #[inline(always)]
    fn take_syn(&mut self, syn: &Segment, mtu: u16, common: Common<'_>, ctx: Ctx<'_>) {
        self.rcv_nxt = syn.seq + 1;
        //= WS-3
        self.wnd = u32::from(syn.wnd);
        self.wl1 = syn.seq;
        self.max_snd_wnd = self.wnd;
        let mut option_bytes = 0;
        if let Some(timestamps) = syn.options.timestamps.filter(|_| ctx.cfg.timestamps) {
            //= TS-1
            self.facts.set(fact::TIMESTAMPS | fact::TS_RECENT);
            self.ts_recent = timestamps.val;
            self.ts_recent_at = (ctx.now.0 >> 32) as u16;
            option_bytes = output::TIMESTAMPS_LEN;
        }
        let mut buffer = common.settings.receive_buffer(ctx.cfg);
        if let Some(shift) = syn.options.window_scale.filter(|_| ctx.cfg.window_scale) {
            //= WS-1
            //= WS-5
            self.facts.set(fact::SCALED);
            let ours = window::shift_of(buffer, ctx.cfg);
            self.shifts = Shifts::new(shift.min(window::SHIFT_MAX), ours);
        }
        buffer = window::within(buffer, self.shifts.rcv());
        if syn.options.sack_permitted && ctx.cfg.sack {
            //= SACK-1
            self.facts.set(fact::SACK);
        }
        self.edge = self.rcv_nxt + buffer.min(0xffff);
        //= ECN-1
        let bits = Flags(syn.flags.0 & (Flags::ECE | Flags::CWR).0);
        if !syn.flags.has(Flags::ACK) && ctx.cfg.ecn && bits == Flags::ECE | Flags::CWR {
            self.facts.set(fact::ECN);
        }
        //= MSS-2
        self.mss = mss::effective(mtu, common.ip_header, syn.options.mss, option_bytes, ctx.cfg);
    }

    /// The usual answer to our SYN: the peer's, and the acknowledgment of ours.
    #[inline(always)]
    pub(super) fn answered(&mut self, seg: &Segment, common: Common<'_>, ctx: Ctx<'_>) -> Option<Quick> {
        let usual = seg.flags == Flags::SYN | Flags::ACK
            && seg.ack == self.nxt
            && seg.text_len == 0
            && seg.wnd > 0
            && self.owed.0 == 0
            && self.end == self.nxt
            && !self.facts.has(fact::ECN | fact::FIN_QUEUED | fact::DEAF | fact::DISCARDS)
            && common.settings.keep_alive.is_none()
            && self.bits.other() == 0;
        if !usual {
            return None;
        }
        //= SYS-7
        let mtu = self.mss;
        self.take_syn(seg, mtu, common, ctx);
        self.cwnd = Congestion::new(u32::from(self.mss), self.expiries).cwnd;
        self.bits.set(Bits::USED);
        self.enter(State::Established);
        self.acknowledge(seg, true, ctx);
        self.owed.0 |= Owed::ACK;
        Some(Quick { opened: true, acked: 0, peer_closed: false, finished: false })
    }
}
