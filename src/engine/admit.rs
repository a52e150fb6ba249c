//! Segments for which there is no connection: whether a listener opens one, with or without remembering it, or
//! CLOSED answers. Also where every new connection gets its slot.

use std::net::IpAddr;

use super::api::{App, ConnId, ListenerId};
use super::process::Arrived;
use super::shard::Shard;
use super::slot::{Origin, Owner, Slot, Syn};
use super::slots::Known;
use super::timers;
use crate::base::bytes::Queue;
use crate::base::drop_reason::DropReason;
use crate::base::ids::NeighbourIdx;
use crate::base::time::Tick;
use crate::flow::key::Key;
use crate::flow::table::Place;
use crate::stats::counters::Counter;
use crate::tcp::arrives::{closed, listen};
use crate::tcp::segment::{SegmentOut, reset_for};
use crate::tcp::settings::Settings;
use crate::tcp::syn_cookie::Proof;
use crate::tcp::tcb::brief::Brief;
use crate::tcp::tcb::{Seed, Tcb};
use crate::tcp::time_wait::TimeWait;
use crate::tcp::{isn, mss, syn_cookie, timestamps};
use crate::wire::seq::Seq;

/// What every IPv4 host takes (RFC 791).
const MTU_MIN: u16 = 576;

/// Who answers a segment without a connection.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    /// A listener, so.
    Listener(ListenerId, listen::Disposition),
    /// CLOSED.
    Nobody,
}

/// A new connection, as its OPEN made it.
pub(super) enum New<'a> {
    /// In brief, with its settings.
    Brief(Brief, Known),
    /// Its whole TCB.
    Whole(&'a Tcb),
}

impl Shard {
    /// A segment for which there is no connection.
    #[inline(never)]
    pub(super) fn for_nobody<A: App>(&mut self, app: &mut A, arrived: &Arrived, text: &[u8]) {
        let verdict = self.listen_verdict(arrived);
        self.admit(app, arrived, verdict, None, text);
    }

    /// Nobody listens there.
    #[inline(always)]
    fn answer_for_closed(&mut self, arrived: &Arrived) {
        let (reset, reason) = closed::segment_arrives(&arrived.segment, || self.may_reset());
        self.drop_one(reason);
        if let Some(reset) = reset {
            self.tell(arrived.key, reset, self.cfg.settings.ip);
        }
    }

    /// What the listener for a segment, if there is one, wants to do.
    #[inline(always)]
    pub(super) fn listen_verdict(&mut self, arrived: &Arrived) -> Verdict {
        let Some(number) = self.listeners.find(arrived.key.local, arrived.key.local_port) else {
            return Verdict::Nobody;
        };
        let others_full = self.half_open >= self.limits.half_open_total();
        let no_room = self.slots.len() - self.half_open >= self.limits.connections;
        let Some(listening) = self.listening.get_mut(usize::from(number)) else { return Verdict::Nobody };
        if !listening.queues.open {
            return Verdict::Nobody;
        }
        //= LIM-1
        let decided = listening.queues.segment_arrives(&arrived.segment, others_full, self.now);
        let opens = matches!(
            decided,
            listen::Disposition::Open | listen::Disposition::Cookie | listen::Disposition::Prove
        );
        //= LIM-4
        let decided = match opens {
            true if no_room => listen::Disposition::Ignore(DropReason::NoTcb),
            //= LIM-3
            //= ATK-15
            true if self.per_address.is_full(arrived.key.remote) => {
                listen::Disposition::Ignore(DropReason::AddressFull)
            }
            _ => decided,
        };
        Verdict::Listener(ListenerId(number), decided)
    }

    /// Carries a verdict out for a segment that comes where a connection was in TIME-WAIT before.
    #[inline(never)]
    pub(super) fn admit_after<A: App>(
        &mut self,
        app: &mut A,
        arrived: &Arrived,
        verdict: Verdict,
        old: TimeWait,
    ) {
        self.admit(app, arrived, verdict, Some(old), &[]);
    }

    #[inline(always)]
    fn admit<A: App>(
        &mut self,
        app: &mut A,
        arrived: &Arrived,
        verdict: Verdict,
        old: Option<TimeWait>,
        text: &[u8],
    ) {
        let (reset, reason) = match verdict {
            Verdict::Listener(listener, listen::Disposition::Open) => {
                return self.open_passive(listener, arrived, old);
            }
            Verdict::Listener(listener, listen::Disposition::Cookie) => {
                return self.answer_by_cookie(listener, arrived);
            }
            Verdict::Listener(listener, listen::Disposition::Prove) => {
                return self.prove(app, listener, arrived, text);
            }
            Verdict::Listener(_, listen::Disposition::Ignore(reason)) => (None, reason),
            Verdict::Listener(_, listen::Disposition::Reset(reset, reason)) => (Some(reset), reason),
            Verdict::Nobody => return self.answer_for_closed(arrived),
        };
        self.refuse(arrived.key, reset, reason);
    }

    fn refuse(&mut self, key: Key, reset: Option<SegmentOut>, reason: DropReason) {
        self.drop_one(reason);
        if let Some(reset) = reset {
            self.reply(key, reset, self.cfg.settings.ip);
        }
    }

    /// A SYN opens a half-open connection.
    #[inline(never)]
    fn open_passive(&mut self, listener: ListenerId, arrived: &Arrived, old: Option<TimeWait>) {
        let seed = self.seed(&arrived.key, old, self.settings_of(listener));
        let known = self.listening.get(usize::from(listener.0)).and_then(|found| found.known);
        let opened = if let Some(known) = known.filter(|_| Brief::may_open(&seed)) {
            let brief = Brief::open_passive(&arrived.segment, &seed, self.ctx());
            self.insert_half_open(listener, arrived, New::Brief(brief, known))
        } else {
            let whole = Tcb::open_passive(&arrived.segment, seed, self.ctx());
            self.insert_half_open(listener, arrived, New::Whole(&whole))
        };
        if opened.is_some() {
            self.count(Counter::Syn);
        }
    }

    #[inline(always)]
    fn insert_half_open(&mut self, listener: ListenerId, arrived: &Arrived, new: New<'_>) -> Option<ConnId> {
        let origin = Origin::Listener(listener);
        let id = self.insert(arrived.key, arrived.hash, new, origin, Owner::Nobody);
        if id.is_none() {
            self.drop_one(DropReason::NoTcb);
            return None;
        }
        self.half_open += 1;
        if let Some(listening) = self.listening.get_mut(usize::from(listener.0)) {
            listening.queues.half_open += 1;
        }
        id
    }

    /// A SYN is answered and forgotten (SYNC-1).
    #[inline(always)]
    fn answer_by_cookie(&mut self, listener: ListenerId, arrived: &Arrived) {
        //= SYNC-1
        //= ATK-1
        let syn = &arrived.segment;
        self.cookie_key.renew(&self.secrets.cookies, self.now);
        let tuple = self.tuple_bytes(&arrived.key);
        let cookie = syn_cookie::make(&self.cookie_key, &tuple, syn.seq, syn.options.mss);
        let settings = self.settings_of(listener);
        let ip = settings.ip;
        let mtu = self.mtu_for(&arrived.key);
        let clock = timestamps::clock(self.now, self.timestamp_offset(&arrived.key));
        let offer = syn_cookie::Offer { settings, mtu, ip_header: mss::IPV4_HEADER };
        let syn_ack = syn_cookie::syn_ack(syn, cookie, offer, clock, &self.cfg);
        if let Some(listening) = self.listening.get_mut(usize::from(listener.0)) {
            listening.queues.cookie_sent = Some(self.now);
        }
        self.count(Counter::CookiesSent);
        self.reply(arrived.key, syn_ack, ip);
    }

    /// An acknowledgment that may prove a cookie: it opens the connection and arrives on it, or is refused.
    fn prove<A: App>(&mut self, app: &mut A, listener: ListenerId, arrived: &Arrived, text: &[u8]) {
        //= SYNC-6
        let ack = &arrived.segment;
        let cookie = ack.ack - 1;
        let tuple = self.tuple_bytes(&arrived.key);
        let mss = match syn_cookie::check(&self.secrets.cookies, self.now, &tuple, ack.seq - 1, cookie) {
            Proof::Good(mss) => mss,
            // A reset would end what the segment that it overtook is about to open.
            Proof::Ahead => return self.drop_one(DropReason::CookieAhead),
            //= SYNC-9
            Proof::Bad => return self.refuse(arrived.key, reset_for(ack), DropReason::CookieInvalid),
        };
        let full = self.listening.get(usize::from(listener.0)).is_none_or(|l| l.queues.is_full());
        if full {
            return self.drop_one(DropReason::AcceptQueueFull);
        }
        let seed = self.seed_with(cookie, &arrived.key, self.settings_of(listener));
        let tcb = Tcb::open_by_cookie(ack, mss, seed, self.ctx());
        if let Some(id) = self.insert_half_open(listener, arrived, New::Whole(&tcb)) {
            self.count(Counter::CookiesGood);
            self.for_connection(app, id.index, arrived, text);
        }
    }

    /// Both endpoints in wire order.
    fn tuple_bytes(&self, key: &Key) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.locals.get(key.local).v4());
        bytes[4..8].copy_from_slice(&key.remote.to_be_bytes());
        bytes[8..10].copy_from_slice(&key.local_port.to_be_bytes());
        bytes[10..].copy_from_slice(&key.remote_port.to_be_bytes());
        bytes
    }

    /// Gives a new connection its slot and its place in the index; `None` when there is no room. Put in place for each kind
    /// of opening, so that what is opened in brief is written where it will be.
    #[inline(always)]
    pub(super) fn insert(
        &mut self,
        key: Key,
        hash: u64,
        new: New<'_>,
        origin: Origin,
        owner: Owner,
    ) -> Option<ConnId> {
        let generation = self.next_generation;
        let whole = matches!(new, New::Whole(_));
        let index = match new {
            New::Brief(brief, settings) => {
                self.slots.insert_at_rest(key, generation, brief, settings, origin, owner)?
            }
            New::Whole(tcb) => self.insert_whole(key, tcb.clone(), origin, owner)?,
        };
        if self.table.insert(hash, Place::Connection(index)).is_err() {
            self.slots.free(index);
            return None;
        }
        self.next_generation = generation.wrapping_add(1);
        if let Some(next) = self.slots.next_free() {
            self.prefetch(next);
        }
        if whole {
            self.settle(index);
        } else {
            // It owes its SYN; its timer is armed for its deadline when that has left.
            self.owing.push_back(index);
        }
        self.timers.arm(index, Tick::after_ms(self.now, timers::WAIT_MS));
        Some(ConnId { index, generation })
    }

    #[inline(never)]
    fn insert_whole(&mut self, key: Key, tcb: Tcb, origin: Origin, owner: Owner) -> Option<u32> {
        self.slots.insert(Slot {
            key,
            generation: self.next_generation,
            tcb,
            outgoing: Queue::default(),
            incoming: Queue::default(),
            held: None,
            recovery: None,
            origin,
            owner,
            peer_closed: false,
            resume: false,
            unread: false,
            abandoned: false,
            neighbour: NeighbourIdx::default(),
            syn: Syn::Due,
            index: 0,
        })
    }

    /// What a listener's connections start with.
    fn settings_of(&self, listener: ListenerId) -> &Settings {
        self.listening.get(usize::from(listener.0)).map_or(&self.cfg.settings, |found| &found.settings)
    }

    /// The MTU of the interface whose address a connection has.
    fn mtu_for(&self, key: &Key) -> u16 {
        let interface = usize::from(self.locals.get(key.local).interface);
        self.mtus.get(interface).copied().unwrap_or(MTU_MIN)
    }

    /// What the tables and secrets give to a new connection.
    pub(super) fn seed<'a>(&self, key: &Key, old: Option<TimeWait>, settings: &'a Settings) -> Seed<'a> {
        let local = (IpAddr::V4(self.locals.get(key.local).v4().into()), key.local_port);
        let remote = (IpAddr::V4(key.remote.into()), key.remote_port);
        let generated = isn::initial(&self.secrets.isn, self.now, local, remote);
        let iss: Seq = old.map_or(generated, |old| old.next_iss(generated));
        self.seed_with(iss, key, settings)
    }

    /// As [`Shard::seed`], where our first sequence number is known.
    fn seed_with<'a>(&self, iss: Seq, key: &Key, settings: &'a Settings) -> Seed<'a> {
        let mtu = self.mtu_for(key);
        Seed {
            iss,
            ts_offset: self.timestamp_offset(key),
            mtu,
            path_mtu: self.path_mtus.get(key.remote, self.now).unwrap_or(mtu),
            ip_header: mss::IPV4_HEADER,
            settings,
        }
    }
}
