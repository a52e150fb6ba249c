//! OPEN (RFC 9293 3.10.1): a new TCB, for a SYN that came or for one that is to go, and what both sides agree to.

use super::{Facts, Owed, ReceiveSpace, Seed, SendSpace, Shifts, Tcb, Timers, Waiting, fact};
use crate::tcp::config::QUICK_ACKS;
use crate::tcp::congestion::Congestion;
use crate::tcp::cork::Cork;
use crate::tcp::path::Path;
use crate::tcp::path_mtu::PathMtu;
use crate::tcp::rto::RttEstimator;
use crate::tcp::state::State;
use crate::tcp::{Ctx, mss, output, window};
use crate::wire::seq::Seq;
use crate::wire::tcp::{Flags, Segment};

impl Tcb {
    /// A half-open connection for a SYN that a listener takes (LIS-4): SYN-RECEIVED, the SYN-ACK owed. Text
    /// and FIN of the SYN are not remembered (LIS-5, LIS-6).
    pub fn open_passive(syn: &Segment, seed: Seed<'_>, ctx: Ctx<'_>) -> Tcb {
        let mut tcb = Tcb::new(State::Listen, seed, ctx);
        tcb.take_syn(syn, ctx);
        tcb.enter(State::SynReceived);
        tcb
    }

    /// The SYN-ACK has left already, as a cookie: it is neither owed nor repeated nor measured, and its window
    /// stands.
    pub(in crate::tcp) fn syn_ack_was_sent(&mut self) {
        self.owed = Owed::default();
        self.facts.clear(fact::TIMING);
        self.rcv.edge = self.rcv.nxt + self.receive_buffer.min(0xffff);
    }

    /// An active OPEN (CALL-2): SYN-SENT, the SYN owed.
    pub fn open_active(seed: Seed<'_>, ctx: Ctx<'_>) -> Tcb {
        //= CALL-2
        //= MUST-11
        let mut tcb = Tcb::new(State::Closed, seed, ctx);
        tcb.facts.set(fact::ACTIVE);
        if ctx.cfg.ecn_ask {
            tcb.facts.set(fact::ECN);
        }
        tcb.enter(State::SynSent);
        tcb
    }

    /// A TCB that knows nothing of its peer: our SYN or SYN-ACK is owed, its timer runs, its round trip is
    /// measured.
    fn new(state: State, seed: Seed<'_>, ctx: Ctx<'_>) -> Tcb {
        let now = ctx.now.tick();
        let nobody = Seq(0);
        let (una, nxt) = (seed.iss, seed.iss + 1);
        let mut tcb = Tcb {
            snd: SendSpace { una, nxt, wnd: 0, wl1: nobody, wl2: seed.iss, end: nxt },
            rcv: ReceiveSpace { nxt: nobody, edge: nobody, acked: nobody },
            ts_recent: 0,
            facts: Facts::default(),
            mss: 0,
            state,
            owed: Owed(Owed::SYN),
            duplicates_owed: 0,
            shifts: Shifts::default(),
            mss_sent: mss::announced(seed.mtu, seed.ip_header, ctx.cfg),
            path_mtu: PathMtu::new(seed.mtu, seed.path_mtu, seed.ip_header, ctx.now),
            soft_error: None,
            urgent_end: nobody,
            ts_recent_at: ctx.now,
            ts_offset: seed.ts_offset,
            ack_floor: nxt,
            max_snd_wnd: 0,
            short_end: seed.iss,
            resend: seed.iss,
            cwr_end: seed.iss,
            timed_end: nxt,
            timed_at: ctx.now,
            sent_at: ctx.now,
            rtt: RttEstimator::default(),
            congestion: Congestion::new(536, 0),
            timers: Timers {
                waiting: Waiting::Nothing,
                retransmit_at: now,
                rto_at: now,
                ack_at: None,
                pace_at: None,
                life_at: None,
                expiries: 0,
                kept: 0,
            },
            opened_at: now,
            progress_at: now,
            duplicate: None,
            unacked_segments: 0,
            quick_acks: QUICK_ACKS,
            challenges: 0,
            challenges_since: now,
            out_of_window_at: None,
            held: 0,
            receive_buffer: seed.settings.receive_buffer(ctx.cfg),
            urgent_out: None,
            heard_at: now,
            cork: Cork::Off,
            settings: *seed.settings,
            path: Path::from(state),
        };
        tcb.facts.set(fact::TIMING);
        if seed.settings.nodelay {
            tcb.facts.set(fact::NODELAY);
        }
        tcb.wait_for(Waiting::Retransmit, ctx.cfg.rto_initial_ms, ctx);
        tcb
    }

    /// The peer's SYN: where its numbers begin, and what it offers. What it offers counts only where we offer
    /// or would offer it too (SYS-12).
    pub(in crate::tcp) fn take_syn(&mut self, syn: &Segment, ctx: Ctx<'_>) {
        self.rcv.nxt = syn.seq + 1;
        self.rcv.acked = self.rcv.nxt;
        self.urgent_end = self.rcv.nxt;
        //= WS-3
        self.snd.wnd = u32::from(syn.wnd);
        self.snd.wl1 = syn.seq;
        self.max_snd_wnd = self.snd.wnd;
        let offered = &syn.options;
        let mut option_bytes = 0;
        if let Some(timestamps) = offered.timestamps.filter(|_| ctx.cfg.timestamps) {
            //= TS-1
            //= PAWS-7
            self.facts.set(fact::TIMESTAMPS | fact::TS_RECENT);
            self.ts_recent = timestamps.val;
            self.ts_recent_at = ctx.now;
            option_bytes = output::TIMESTAMPS_LEN;
        }
        if let Some(shift) = offered.window_scale.filter(|_| ctx.cfg.window_scale) {
            //= WS-1
            //= WS-2
            //= WS-5
            self.facts.set(fact::SCALED);
            let ours = window::shift_of(self.receive_buffer, ctx.cfg);
            self.shifts = Shifts::new(shift.min(window::SHIFT_MAX), ours);
        }
        self.receive_buffer = window::within(self.receive_buffer, self.shifts.rcv());
        if offered.sack_permitted && ctx.cfg.sack {
            //= SACK-1
            self.facts.set(fact::SACK);
        }
        // What our SYN offers holds from now on, also for what shares a burst with the peer's SYN.
        self.rcv.edge = self.rcv.nxt + self.receive_buffer.min(0xffff);
        self.agree_on_ecn(syn, ctx);
        //= MSS-2
        self.path_mtu.agree(offered.mss, option_bytes, ctx.now, ctx.cfg);
        self.mss = self.path_mtu.text();
    }

    /// A SYN with ECE and CWR asks for ECN, a SYN-ACK with ECE alone agrees to it; anything else is no (ECN-1).
    fn agree_on_ecn(&mut self, syn: &Segment, ctx: Ctx<'_>) {
        //= ECN-1
        let bits = Flags(syn.flags.0 & (Flags::ECE | Flags::CWR).0);
        let agreed = if syn.flags.has(Flags::ACK) {
            self.facts.has(fact::ECN) && bits == Flags::ECE
        } else {
            ctx.cfg.ecn && bits == Flags::ECE | Flags::CWR
        };
        self.facts.clear(fact::ECN);
        if agreed {
            self.facts.set(fact::ECN);
        }
    }
}
