//! One core's connections: slots, index, timers, TIME-WAIT, listeners, and the list of those that owe. It knows
//! segments and applications, but neither frames nor devices.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arrayvec::ArrayVec;

use super::api::{App, CloseReason, Conn, ConnId};
use super::entry::{Entry, Form};
use super::limits::{EXPECTED_MAX, Limits, REPLIES_MAX};
use super::recoveries::Recoveries;
use super::slot::{Origin, Owner, Slot};
use super::slots::{Known, Slots};
use super::timers::Timers;
use crate::base::burst::Burst;
use crate::base::bytes::Pool;
use crate::base::drop_reason::DropReason;
use crate::base::hash::{BlockHash, Secrets};
use crate::base::ids::{LocalIdx, NeighbourIdx};
use crate::base::index_queue::IndexQueue;
use crate::base::list::IndexList;
use crate::base::rate::TokenBucket;
use crate::base::rng::Rng;
use crate::base::slab::Slab;
use crate::base::time::{Instant, Tick};
use crate::flow::key::Key;
use crate::flow::listeners::Listeners;
use crate::flow::per_address::PerAddress;
use crate::flow::source_port::SourcePorts;
use crate::flow::table::{Place, Table};
use crate::flow::time_wait_ring::TimeWaitRing;
use crate::inet::locals::Locals;
use crate::inet::path_mtu::PathMtus;
use crate::stats::counters::{Counter, Counters};
use crate::tcp::Ctx;
use crate::tcp::arrives::listen::Listener;
use crate::tcp::config::Config;
use crate::tcp::outcome::{End, Unreachable};
use crate::tcp::path::Transitions;
use crate::tcp::reassembly::Reassembly;
use crate::tcp::segment::SegmentOut;
use crate::tcp::settings::{ForIp, Settings};
use crate::tcp::state::State;
use crate::tcp::syn_cookie::CounterKey;
use crate::tcp::time_wait::TimeWait;
use crate::wire::tcp::Flags;

/// Bytes that are offered to an application at once of what it did not take before.
pub(super) const SCRATCH: usize = 16 * 1024;

/// An answer that is not a connection's own output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub key: Key,
    pub segment: SegmentOut,
    pub ip: ForIp,
}

/// A connection that passed R1: the way to its peer is doubtful.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub interface: u8,
    pub remote: u32,
    pub neighbour: NeighbourIdx,
}

/// A listener's state; its limits are the protocol's.
pub(super) struct Listening {
    pub queues: Listener,
    /// What its connections start with, and the number of that.
    pub settings: Settings,
    pub known: Option<Known>,
    /// Connections that wait for the application, oldest first. May hold some that are gone.
    pub waiting: VecDeque<ConnId>,
}

/// One core's connections.
pub struct Shard {
    pub(super) slots: Slots,
    pub(super) table: Table,
    pub(super) timers: Timers,
    pub(super) time_wait: TimeWaitRing<TimeWait>,
    pub(super) listeners: Listeners,
    pub(super) listening: Vec<Listening>,
    pub(super) locals: Locals,
    pub(super) pool: Pool,
    pub(super) reassemblies: Slab<Reassembly>,
    pub(super) recoveries: Recoveries,
    pub(super) scratch: Box<[u8]>,
    /// Connections that have something to say, in the order in which they say it. May name some that have nothing to
    /// say any more, or are gone.
    pub(super) owing: IndexQueue,
    /// Connections that found no memory for what they wanted to send, in the order in which they will try again.
    pub(super) starved: IndexList,
    /// Connections that their applications have closed for good, oldest first (LIM-8).
    pub(super) closing: IndexList,
    /// Connections of each remote address that came through listeners and are ESTABLISHED or later (LIM-3).
    pub(super) per_address: PerAddress,
    /// Accept queues for listeners to come.
    pub(super) spare_queues: Vec<VecDeque<ConnId>>,
    /// The listener whose waiting connections are offered first in the next pass.
    pub(super) offer_from: usize,
    pub(super) replies: Vec<Reply>,
    /// Those that passed R1 in this pass; what finds no room is only advice.
    pub(super) doubts: Burst<Doubt>,
    pub(super) cfg: Config,
    pub(super) secrets: Secrets,
    /// Where connections stand in the index.
    pub(super) placing: BlockHash,
    /// What is added to the clock in timestamps, by hosts.
    pub(super) offsets: BlockHash,
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
    pub(super) resets: TokenBucket,
    pub(super) challenges: TokenBucket,
    pub(super) jitter: Rng,
    pub(super) half_open: u32,
    /// Connections that are over but for what their applications have not read.
    pub(super) unread: u32,
    pub(super) next_generation: u32,
    pub(super) source_ports: SourcePorts,
    /// The MTU of each interface; the worker knows them.
    pub(super) mtus: Vec<u16>,
    pub(super) path_mtus: PathMtus,
    /// How many frames of those that were given to each interface have left it, as the worker saw last.
    pub(super) frames_left: Vec<u32>,
    /// The shortest TIME-WAIT that an eviction left, in milliseconds.
    pub(super) time_wait_shortened_ms: Option<u32>,
    pub(super) transitions: Transitions,
    /// The name that arrived last, and its hash.
    pub(super) hashed: (Key, u64),
    /// Entries that the index had been given when the burst was looked up.
    pub(super) added_before_burst: u32,
    /// Frames of this pass from ports that had as many as were asked for.
    pub(super) backlog: u32,
    /// The key of this minute's SYN cookies.
    pub(super) cookie_key: CounterKey,
    pub(super) now: Instant,
}

impl Shard {
    /// A shard with all its memory. `seed` only jitters limits.
    pub fn new(
        limits: Limits,
        cfg: Config,
        secrets: Secrets,
        locals: Locals,
        counters: Arc<Counters>,
        now: Instant,
    ) -> Self {
        let nothing = Key { remote: 0, remote_port: 0, local_port: 0, local: LocalIdx(0) };
        let placing = BlockHash::new(&secrets.table);
        let hashed_before = (nothing, nothing.hash(&placing));
        let cookie_key = CounterKey::at(&secrets.cookies, now);
        let seed = u64::from_le_bytes(secrets.table[..8].try_into().unwrap_or([0; 8]));
        Shard {
            slots: Slots::new(limits.slots(), limits.awake(), &cfg, now),
            table: Table::new(limits.table_entries(), limits.places()),
            timers: Timers::new(limits.slots(), now.tick(), limits.rest_from),
            time_wait: TimeWaitRing::new(limits.time_wait_max),
            listeners: Listeners::new(limits.listeners),
            listening: Vec::with_capacity(usize::from(limits.listeners)),
            locals,
            pool: Pool::new(limits.buffers),
            reassemblies: Slab::new(limits.reassemblies()),
            recoveries: Recoveries::new(limits.recoveries()),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            owing: IndexQueue::new(limits.slots()),
            starved: IndexList::new(limits.slots()),
            closing: IndexList::new(limits.slots()),
            per_address: PerAddress::new(limits.per_address, limits.slots(), secrets.table),
            spare_queues: (0..limits.listeners)
                .map(|_| VecDeque::with_capacity(limits.backlog as usize))
                .collect(),
            offer_from: 0,
            replies: Vec::with_capacity(REPLIES_MAX),
            doubts: Burst::new(),
            resets: TokenBucket::new(limits.resets_per_second, limits.reset_burst),
            challenges: TokenBucket::new(limits.challenges_per_second, limits.challenges_per_second),
            jitter: Rng::new(seed),
            source_ports: SourcePorts::new(secrets.ports),
            path_mtus: PathMtus::new(secrets.table),
            cfg,
            placing,
            offsets: BlockHash::new(&secrets.timestamp),
            secrets,
            limits,
            counters,
            half_open: 0,
            unread: 0,
            next_generation: 0,
            mtus: Vec::new(),
            frames_left: Vec::new(),
            time_wait_shortened_ms: None,
            transitions: Transitions::default(),
            hashed: hashed_before,
            added_before_burst: 0,
            backlog: 0,
            cookie_key,
            now,
        }
    }

    /// Connection slots in all: every [`ConnId::index`] is below it.
    pub fn slots(&self) -> u32 {
        self.slots.capacity()
    }

    /// Connections now, half-open ones included, TIME-WAIT not.
    pub fn connections(&self) -> u32 {
        self.slots.len()
    }

    /// Half-open connections now.
    pub fn half_open(&self) -> u32 {
        self.half_open
    }

    /// Records in TIME-WAIT now.
    pub fn in_time_wait(&self) -> u32 {
        self.time_wait.len()
    }

    /// Entries of the index: connections and TIME-WAIT records.
    pub fn index_len(&self) -> u32 {
        self.table.len()
    }

    /// To how many milliseconds TIME-WAIT was shortened at worst, if it was.
    pub fn time_wait_shortened_ms(&self) -> Option<u32> {
        self.time_wait_shortened_ms
    }

    /// How connections that are over went through their states; kept in debug builds only.
    pub fn transitions(&self) -> &Transitions {
        &self.transitions
    }

    /// Chunks of the byte pool that are in use.
    pub fn buffers_in_use(&self) -> u32 {
        self.pool.chunks() - self.pool.free_chunks()
    }

    /// The state of the connection between two endpoints, if there is one (the STATUS call, CALL-7).
    pub fn state_of(&self, local: SocketAddr, remote: SocketAddr) -> Option<State> {
        let key = self.key_of(local, remote)?;
        match self.find(&key)? {
            Place::Connection(index) => self.slots.seen(index).map(|slot| slot.tcb.state()),
            Place::TimeWait(_) => Some(State::TimeWait),
        }
    }

    fn key_of(&self, local: SocketAddr, remote: SocketAddr) -> Option<Key> {
        let (IpAddr::V4(local_ip), IpAddr::V4(remote_ip)) = (local.ip(), remote.ip()) else { return None };
        Some(Key {
            remote: u32::from(remote_ip),
            remote_port: remote.port(),
            local_port: local.port(),
            local: self.locals.find_v4(local_ip.octets())?,
        })
    }

    /// The local address behind a number.
    pub(super) fn local_addr(&self, local: LocalIdx) -> IpAddr {
        self.locals.get(local).addr
    }

    #[inline]
    pub(super) fn hash(&self, key: &Key) -> u64 {
        key.hash(&self.placing)
    }

    /// As [`Shard::hash`], of what is being worked on, which was most likely hashed before.
    #[inline]
    pub(super) fn hash_again(&self, key: &Key) -> u64 {
        let (known, hash) = self.hashed;
        if known == *key { hash } else { self.hash(key) }
    }

    /// Asks for the lines that whatever happens to a connection will touch.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        self.slots.prefetch(index);
        self.timers.prefetch(index);
        self.owing.prefetch(index);
    }

    /// Asks for the lines of the index in which connections between these endpoints will stand that are opened soon: all
    /// places are worked out first, so that what is asked for is under way together.
    pub(super) fn expect_open(&self, pairs: impl Iterator<Item = (SocketAddr, SocketAddr)>) {
        let keys = pairs.filter_map(|(local, remote)| self.key_of(local, remote));
        let hashes: ArrayVec<_, EXPECTED_MAX> = keys.map(|key| self.hash(&key)).take(EXPECTED_MAX).collect();
        hashes.iter().for_each(|hash| self.table.prefetch(*hash));
    }

    pub(super) fn ctx(&self) -> Ctx<'_> {
        Ctx { now: self.now, cfg: &self.cfg }
    }

    pub(super) fn count(&self, counter: Counter) {
        self.counters.add(counter, 1);
    }

    pub(super) fn drop_one(&self, reason: DropReason) {
        self.counters.drop_one(reason);
    }

    /// Finds a connection or TIME-WAIT record by its key.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        self.find_hashed(key, self.hash(key))
    }

    /// As [`Shard::find`], where the key's hash is known.
    pub(super) fn find_hashed(&self, key: &Key, hash: u64) -> Option<Place> {
        self.table.find(hash, |place| self.confirm(place, key))
    }

    /// Law 4: the key in the connection's own line decides. One that is only read any more has left the index, but a
    /// burst's look may be older.
    pub(super) fn confirm(&self, place: Place, key: &Key) -> bool {
        match place {
            Place::Connection(index) => self.slots.holds(index, key),
            Place::TimeWait(index) => self.time_wait.holds(index, key),
        }
    }

    /// Puts an answer to a segment on the list; resets within their limit (CLD-5, LIM-12).
    pub(super) fn reply(&mut self, key: Key, segment: SegmentOut, ip: ForIp) {
        if !segment.flags.has(Flags::RST) || self.may_reset() {
            self.tell(key, segment, ip);
        }
    }

    /// One reset more may be sent; one that may not is counted.
    pub(super) fn may_reset(&mut self) -> bool {
        //= CLD-5
        //= ATK-22
        let may = self.resets.take(self.now);
        if !may {
            self.drop_one(DropReason::RstRateLimited);
        }
        may
    }

    /// How many more answers the list takes in this pass.
    pub(super) fn replies_room(&self) -> usize {
        REPLIES_MAX.saturating_sub(self.replies.len())
    }

    /// Puts on the list what no segment asked for: the reset of an abort, which no limit keeps from the peer.
    pub(super) fn tell(&mut self, key: Key, segment: SegmentOut, ip: ForIp) {
        if self.replies.len() >= REPLIES_MAX {
            return self.drop_one(DropReason::TxFull);
        }
        self.replies.push(Reply { key, segment, ip });
    }

    /// A token of the limit that all connections share, jittered so that its level tells nothing (BA-10).
    pub(super) fn challenge_allowed(&mut self) -> bool {
        //= BA-10
        //= ATK-23
        let unlucky = self.challenges.is_scarce(self.now) && self.jitter.chance_ppm(500_000);
        let allowed = !unlucky && self.challenges.take(self.now);
        self.count(if allowed { Counter::ChallengeAcks } else { Counter::ChallengeLimited });
        allowed
    }

    /// After any event: whoever owes is listed, whoever waits has a timer, and who does neither more nor less
    /// than what is usual is laid down. The timer of one at rest that owes is armed when it has paid, or could not.
    pub(super) fn settle(&mut self, index: u32) {
        let (owes, deadline, rests) = match self.slots.form(index) {
            None => return,
            Some(Form::Rests(entry)) => (entry.brief.owes(), entry.brief.deadline(), true),
            Some(Form::Awake(slot)) => (slot.tcb.owes(), slot.tcb.deadline(), false),
        };
        if owes {
            self.owing.push_back(index);
        }
        match deadline {
            Some(at) if !rests || !owes => self.timers.arm(index, at),
            None if !owes => self.timers.rest(index, self.slots.len()),
            _ => {}
        }
        // Who owes is worked on again at the end of the pass.
        if !rests && (!owes || self.slots.are_short()) {
            self.slots.lay_down(index);
        }
    }

    /// Lends a connection a record of what is in flight, if it has none and there is one.
    pub(super) fn lend_recovery(&mut self, index: u32) {
        let ctx = Ctx { now: self.now, cfg: &self.cfg };
        let Some(slot) = self.slots.get_mut(index).filter(|slot| slot.recovery.is_none()) else { return };
        let Some((number, from)) = self.recoveries.lend(index, &slot.tcb, ctx) else {
            return self.count(Counter::RecoveryShort);
        };
        slot.recovery = Some(number);
        if let Some(other) = from.and_then(|from| self.slots.get_mut(from)) {
            other.recovery = None;
        }
    }

    /// Its application has closed a connection for good: where places are scarce, it may be reset to make room (LIM-8).
    pub(super) fn note_closing(&mut self, index: u32) {
        if self.limits.closing_limited {
            self.closing.push_back(index);
        }
    }

    /// A connection found no memory for what it wanted to send; it is told when there is some.
    pub(super) fn starve(&mut self, index: u32) {
        self.starved.push_back(index);
    }

    /// A connection has ended. One that finished in order keeps its slot, though not its name, until its
    /// application has read everything; what was reset or given up is forgotten with all that it holds.
    pub(super) fn end<A: App>(&mut self, app: &mut A, index: u32, end: End) {
        let slot = match self.slots.form(index) {
            None => return,
            Some(form) if end != End::Finished || !form.has_more_to_tell() => {
                return self.finish(app, index, end);
            }
            Some(_) => self.slots.get_mut(index),
        };
        let Some(slot) = slot else { return };
        slot.unread = true;
        // Everything in it was acknowledged.
        self.pool.clear(&mut slot.outgoing);
        let key = slot.key;
        self.table.remove(self.hash_again(&key), Place::Connection(index));
        self.unread += 1;
        self.after_callbacks(app, index);
    }

    /// A connection is over: it leaves the index, the queues and its application (TRN-12). Its entry among the timers, if
    /// there is one, stays where it is: the next connection in the slot has it, or it comes up and means nothing. To
    /// take one off the wheel would fetch the lines of both its neighbours.
    pub(super) fn finish<A: App>(&mut self, app: &mut A, index: u32, end: End) {
        //= TRN-12
        let Some(key) = self.slots.key(index) else { return };
        let hash = self.hash_again(&key);
        self.table.remove(hash, Place::Connection(index));
        self.release(app, index, end);
    }

    /// Frees the slot of a connection that is no longer in the index.
    pub(super) fn release<A: App>(&mut self, app: &mut A, index: u32, end: End) {
        let Some(key) = self.slots.key(index) else { return };
        let Some(mut form) = self.slots.form(index) else { return };
        let (owner, origin) = (form.owner(), form.origin());
        let id = ConnId { index, generation: form.generation() };
        let reason = close_reason(end, form.soft_error());
        let mut held = None;
        match &mut form {
            Form::Rests(entry) => {
                self.transitions.add(entry.brief.path());
                self.pool.clear(&mut entry.outgoing());
            }
            Form::Awake(slot) => {
                self.transitions.add(slot.tcb.path());
                self.pool.clear(&mut slot.outgoing);
                self.pool.clear(&mut slot.incoming);
                self.recoveries.give_back(slot.recovery);
                self.unread -= u32::from(slot.unread);
                held = slot.held;
            }
        }
        self.slots.free(index);
        self.forget_held(held);
        self.starved.remove(index);
        self.closing.remove(index);
        if matches!(origin, Origin::Listener(_)) && owner != Owner::Nobody {
            self.per_address.remove(key.remote);
        }
        self.count_end(end, owner);
        match owner {
            Owner::Nobody => {
                self.half_open -= 1;
                if let Some(listening) = self.listening_mut(origin) {
                    listening.queues.half_open -= 1;
                }
            }
            Owner::Waiting => {
                if let Some(listening) = self.listening_mut(origin) {
                    listening.queues.waiting -= 1;
                }
            }
            Owner::Taken | Owner::Finished | Owner::Opener => app.on_closed(id, reason),
        }
    }

    /// The listener that a connection came through.
    pub(super) fn listening_mut(&mut self, origin: Origin) -> Option<&mut Listening> {
        match origin {
            Origin::Listener(listener) => self.listening.get_mut(usize::from(listener.0)),
            Origin::Active => None,
        }
    }

    fn count_end(&self, end: End, owner: Owner) {
        let counter = match end {
            End::Aborted | End::Abandoned if owner == Owner::Nobody => Counter::HalfOpenAborted,
            End::Aborted | End::Abandoned if owner == Owner::Opener => Counter::SynAborted,
            End::Abandoned => Counter::Abandoned,
            End::Refused => Counter::Refused,
            End::SynTimedOut => Counter::SynTimedOut,
            End::Unreachable(_) => Counter::Unreachable,
            End::Finished => Counter::Finished,
            End::Reset => Counter::ResetByPeer,
            End::HalfOpenReset => Counter::HalfOpenReset,
            End::HalfOpenExpired => Counter::HalfOpenExpired,
            End::TimedOut => Counter::TimedOut,
            End::Silent => Counter::Silent,
            End::FinWait2TimedOut => Counter::FinWait2TimedOut,
            End::DataAfterClose | End::Aborted => Counter::Aborted,
        };
        self.count(counter);
    }

    /// A connection in TIME-WAIT whose application has taken everything becomes a record.
    pub(super) fn compact<A: App>(&mut self, app: &mut A, index: u32) {
        //= TW-2
        let Some(form) = self.slots.form(index) else { return };
        if form.state() != State::TimeWait || form.peer_closed() || form.owner() == Owner::Waiting {
            return;
        }
        let (rest, owes, offset, deadline) = match form {
            Form::Awake(slot) if !slot.incoming.is_empty() => return,
            Form::Awake(Slot { tcb, .. }) => {
                (tcb.time_wait(), tcb.owes(), tcb.timestamp_offset(), tcb.deadline())
            }
            Form::Rests(Entry { brief, .. }) => {
                (brief.time_wait(), brief.owes(), brief.timestamp_offset(), brief.deadline())
            }
        };
        let (Some(key), Some(ip)) = (self.slots.key(index), self.slots.for_ip(index)) else { return };
        self.record(index, &key, rest, deadline.unwrap_or(self.now.tick()));
        if owes {
            self.reply(key, rest.ack(offset, self.ctx()), ip);
        }
        self.release(app, index, End::Finished);
    }

    pub(super) fn timestamp_offset(&self, key: &Key) -> u32 {
        let local = self.locals.get(key.local).v4().into();
        crate::tcp::isn::timestamp_offset(&self.offsets, local, key.remote.into())
    }

    /// A connection in the application's hands.
    pub(super) fn conn(&mut self, index: u32) -> Conn<'_> {
        Conn { shard: self, index }
    }

    /// When the next timer is due; for those who drive the loop in virtual time.
    pub fn next_deadline(&self) -> Option<Tick> {
        let timers = (0..self.slots()).filter_map(|index| self.slots.deadline(index));
        timers.fold(self.time_wait.deadline(), |a, b| Tick::earliest(a, Some(b)))
    }
}

/// `soft` is the last ICMP error, if nothing got through since: it tells more than that time ran out (ICMPR-5).
fn close_reason(end: End, soft: Option<Unreachable>) -> CloseReason {
    match end {
        End::Finished => CloseReason::Finished,
        End::Reset | End::HalfOpenReset => CloseReason::Reset,
        End::Silent => CloseReason::Silent,
        End::Unreachable(why) => CloseReason::Unreachable(why),
        End::FinWait2TimedOut => CloseReason::TimedOut,
        End::HalfOpenExpired | End::TimedOut | End::SynTimedOut => {
            soft.map_or(CloseReason::TimedOut, CloseReason::Unreachable)
        }
        End::Refused => CloseReason::Refused,
        End::DataAfterClose => CloseReason::DataAfterClose,
        End::Aborted => CloseReason::Aborted,
        End::Abandoned => CloseReason::Abandoned,
    }
}
