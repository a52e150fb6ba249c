//! What both sides of every talk did and saw, common to all applications of a world: it compares the streams
//! octet by octet, and in the end whether each talk ended as it had to.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::{CloseReason, Conn, ConnId};
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::settings::KeepAlive;

use super::actor::address;
use super::plan::{Climate, Close, Kind, Plan, Side, Talk};

/// One side of one talk.
pub type Place = (usize, usize);

/// Octets of which every stream is cut; a prime, so that no stream repeats itself at a power of two.
const PATTERN_LEN: usize = 65_521;
/// Whoever hears nothing for so long of a peer that is gone has had enough.
const ENOUGH_US: u64 = 2_000_000_000;

/// Where a side stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It has no connection yet.
    Before,
    /// It opens one.
    Opening,
    /// It has one.
    Open,
    /// It had one.
    Over(CloseReason),
    /// It was never to have one.
    Cancelled,
}

/// What a side did and saw.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    pub phase: Phase,
    pub id: Option<ConnId>,
    pub sent: u64,
    pub received: u64,
    pub peer_closed: bool,
    pub closed: bool,
    pub opened_at: Instant,
    pub progress_at: Instant,
    next_read: Instant,
    next_write: Instant,
    reads_left: u32,
    writes_left: u32,
    /// It gave up: its peer was gone without a word.
    pub abandoned: bool,
}

/// All talks of a world.
pub struct Ledger {
    pub plan: Plan,
    pub logs: Vec<[Log; 2]>,
    /// What listeners know a talk by: their host and port, the other's address and port.
    expected: HashMap<(usize, u16, [u8; 4], u16), usize>,
    /// When a side wants to be called, by host.
    wakes: Vec<BTreeSet<(Instant, Place)>>,
    pub now: Instant,
}

fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut rng = Rng::new(0x5eed);
        (0..PATTERN_LEN).map(|_| rng.below(256) as u8).collect()
    })
}

/// The octets of a side's stream from `at` on, as many as there are in one piece.
fn stream((talk, side): Place, at: u64) -> &'static [u8] {
    let start = (talk * 7_919 + side * 31_337) as u64 + at;
    &pattern()[(start % PATTERN_LEN as u64) as usize..]
}

/// Where, if anywhere, `data` is not what the stream has at `at`.
fn difference(place: Place, at: u64, data: &[u8]) -> Option<u64> {
    let mut seen = 0;
    while seen < data.len() {
        let expected = stream(place, at + seen as u64);
        let len = expected.len().min(data.len() - seen);
        if data[seen..seen + len] != expected[..len] {
            return Some(at + seen as u64);
        }
        seen += len;
    }
    None
}

impl Log {
    fn new(side: &Side, now: Instant) -> Log {
        Log {
            phase: Phase::Before,
            id: None,
            sent: 0,
            received: 0,
            peer_closed: false,
            closed: false,
            opened_at: now,
            progress_at: now,
            next_read: now,
            next_write: now,
            reads_left: side.pauses,
            writes_left: side.pauses,
            abandoned: false,
        }
    }
}

impl Ledger {
    pub fn new(plan: Plan) -> Ledger {
        let start = Instant(plan.start_us);
        let log = |side: &Side| Log::new(side, start);
        let logs = plan.talks.iter().map(|talk| [log(&talk.sides[0]), log(&talk.sides[1])]).collect();
        let wakes = plan.hosts.iter().map(|_| BTreeSet::new()).collect();
        Ledger { logs, wakes, expected: HashMap::new(), now: start, plan }
    }

    fn talk(&self, place: Place) -> &Talk {
        &self.plan.talks[place.0]
    }

    fn side(&self, place: Place) -> Side {
        self.plan.talks[place.0].sides[place.1]
    }

    fn log(&mut self, place: Place) -> &mut Log {
        &mut self.logs[place.0][place.1]
    }

    /// A side has begun to open.
    pub fn opens(&mut self, place: Place, id: ConnId) {
        let now = self.now;
        let log = self.log(place);
        (log.phase, log.id, log.opened_at, log.progress_at) = (Phase::Opening, Some(id), now, now);
    }

    /// A side has begun to open: the listener on the other may expect it. Who aborts at once does so now.
    pub fn opened(&mut self, place: Place, conn: &mut Conn<'_>) {
        let Talk { kind, hosts, ports, .. } = *self.talk(place);
        if kind == Kind::Ordinary {
            self.expected.insert((hosts[1], ports.1, address(hosts[0]), conn.local().port()), place.0);
        }
        if matches!(self.side(place).close, Close::Abort { after_us: 0 }) && place.0.is_multiple_of(2) {
            self.log(place).closed = true;
            conn.abort();
        }
    }

    /// Which talk a connection belongs to that came through a listener; `None` if it is over or there is none.
    pub fn find(&self, host: usize, port: u16, address: [u8; 4], from: u16) -> Option<Place> {
        let talk = *self.expected.get(&(host, port, address, from))?;
        (self.logs[talk][1].phase == Phase::Before).then_some((talk, 1))
    }

    /// The listener's side does not take the connection yet.
    pub fn waits(&self, place: Place) -> bool {
        self.now.since_us(self.logs[place.0][0].opened_at) < self.side(place).accept_after_us
    }

    /// A side has its connection.
    pub fn begins(&mut self, place: Place, conn: &mut Conn<'_>) {
        let (now, side) = (self.now, self.side(place));
        let log = self.log(place);
        (log.phase, log.id, log.opened_at, log.progress_at) = (Phase::Open, Some(conn.id()), now, now);
        if let Close::Finish { after_us } | Close::Deaf { after_us } | Close::Abort { after_us } = side.close
        {
            self.wake(place, Instant(now.0 + after_us));
        }
        conn.set_nodelay(side.nodelay);
        // A tenth of all frames is lost each way: few probes would find peers dead that are not.
        let tries = if self.plan.climate == Climate::Mild { 40 } else { 4 };
        conn.set_keep_alive(side.keep_alive_ms.and_then(|ms| KeepAlive::new(ms, ms.max(2_000), tries)));
        self.act(place, conn);
    }

    /// What a listener has is not the talk's connection: the other side is still opening it. An old segment proved
    /// an old cookie again, which no listener can tell.
    fn is_ghost(&self, place: Place) -> bool {
        let opening = self.logs[place.0][0].phase == Phase::Opening;
        place.1 == 1 && opening && self.talk(place).kind == Kind::Ordinary
    }

    /// Octets came: says how many are taken.
    pub fn reads(&mut self, place: Place, data: &[u8]) -> usize {
        if self.is_ghost(place) {
            return data.len();
        }
        let (now, side) = (self.now, self.side(place));
        let peer = (place.0, 1 - place.1);
        let sent = self.log(peer).sent;
        let log = self.log(place);
        let pauses = side.read_pause_us > 0 && log.reads_left > 0;
        if pauses && now < log.next_read {
            let at = log.next_read;
            self.wake(place, at);
            return 0;
        }
        let taken = if pauses { data.len().min(side.take) } else { data.len() };
        let at = log.received;
        log.received += taken as u64;
        log.progress_at = now;
        if pauses {
            log.reads_left -= 1;
            log.next_read = Instant(now.0 + side.read_pause_us);
            let at = log.next_read;
            self.wake(place, at);
        }
        assert!(at + taken as u64 <= sent, "{place:?} received more than was sent");
        if let Some(wrong) = difference(peer, at, &data[..taken]) {
            panic!("{place:?}: octet {wrong} or one behind it is wrong");
        }
        taken
    }

    /// The peer has closed.
    pub fn peer_closes(&mut self, place: Place, conn: &mut Conn<'_>) {
        let now = self.now;
        let log = self.log(place);
        assert!(!log.peer_closed, "{place:?} is told of the FIN twice");
        (log.peer_closed, log.progress_at) = (true, now);
        self.act(place, conn);
    }

    /// A side's connection is over. One that a listener had while the other side was still opening was never
    /// that talk's: an old cookie opened it.
    pub fn ends(&mut self, place: Place, reason: CloseReason) {
        let (now, side) = (self.now, self.side(place));
        if self.is_ghost(place) {
            return *self.log(place) = Log::new(&side, now);
        }
        let log = self.log(place);
        assert!(matches!(log.phase, Phase::Open | Phase::Opening), "{place:?} ends in {:?}", log.phase);
        (log.phase, log.progress_at) = (Phase::Over(reason), now);
    }

    /// A side does what it can and wants to do now: send, close.
    pub fn act(&mut self, place: Place, conn: &mut Conn<'_>) {
        if self.log(place).phase != Phase::Open {
            return;
        }
        self.writes(place, conn);
        let side = self.side(place);
        let expected = self.plan.talks[place.0].sides[1 - place.1].octets;
        let now = self.now;
        let log = self.log(place);
        if log.closed {
            return;
        }
        let all_sent = log.sent == side.octets;
        let late = |after_us| now.since_us(log.opened_at) >= after_us;
        let wants = match side.close {
            Close::Sent => all_sent,
            Close::Complete => all_sent && log.received == expected,
            Close::AfterPeer => all_sent && log.received == expected && log.peer_closed,
            Close::Finish { after_us } | Close::Deaf { after_us } | Close::Abort { after_us } => {
                late(after_us)
            }
        };
        if !wants {
            return;
        }
        log.closed = true;
        match side.close {
            Close::Sent | Close::Complete | Close::AfterPeer => conn.shutdown(),
            Close::Finish { .. } => conn.finish(),
            Close::Deaf { .. } => conn.close(),
            Close::Abort { .. } => conn.abort(),
        }
    }

    fn writes(&mut self, place: Place, conn: &mut Conn<'_>) {
        let (now, side) = (self.now, self.side(place));
        loop {
            let log = self.log(place);
            let pauses = side.write_pause_us > 0 && log.writes_left > 0;
            let left = side.octets - log.sent;
            if left == 0 || log.closed {
                return;
            }
            if pauses && now < log.next_write {
                let at = log.next_write;
                return self.wake(place, at);
            }
            let piece = if pauses { side.piece } else { usize::MAX };
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(piece);
            let octets = stream(place, log.sent);
            let octets = &octets[..octets.len().min(wanted)];
            // Counted first: the peer never sees an octet before it is.
            let taken = match side.statics {
                true if conn.send_static(octets) => octets.len(),
                true => 0,
                false => conn.send(octets),
            };
            let log = self.log(place);
            log.sent += taken as u64;
            if taken == 0 {
                return;
            }
            if pauses {
                log.writes_left -= 1;
                log.next_write = Instant(now.0 + side.write_pause_us);
            }
        }
    }

    /// Room again, or something acknowledged.
    pub fn gets_forward(&mut self, place: Place) {
        let now = self.now;
        self.log(place).progress_at = now;
    }

    fn wake(&mut self, place: Place, at: Instant) {
        let host = self.talk(place).hosts[place.1];
        self.wakes[host].insert((at, place));
    }

    /// When a host's application wants to be called next.
    pub fn next_wake(&self, host: usize) -> Option<Instant> {
        self.wakes[host].first().map(|(at, _)| *at)
    }

    /// A side of the host's that wants to be called now.
    pub fn due(&mut self, host: usize) -> Option<Place> {
        let first = *self.wakes[host].first()?;
        (first.0 <= self.now && self.wakes[host].remove(&first)).then_some(first.1)
    }

    /// Nothing more is to be expected of a talk.
    pub fn is_over(&self, talk: usize) -> bool {
        let [first, second] = self.logs[talk].map(|log| log.phase);
        matches!(first, Phase::Over(_) | Phase::Cancelled)
            && matches!(second, Phase::Over(_) | Phase::Before | Phase::Cancelled)
    }

    /// A talk between the endpoints of the one before it cannot begin if that one had one side only: nobody
    /// could tell the two apart.
    pub fn may_follow(&mut self, talk: usize) -> bool {
        if self.logs[talk][0].phase != Phase::Before {
            return false;
        }
        let clear = self.logs[talk - 1].iter().all(|log| matches!(log.phase, Phase::Over(_)));
        if !clear {
            self.logs[talk].iter_mut().for_each(|log| log.phase = Phase::Cancelled);
        }
        clear
    }

    /// Sides that hear nothing any more from a peer that is gone, and give up. Panics when a side whose peer is
    /// there got no further for longer than its timers allow.
    pub fn abandon(&mut self) -> Vec<(usize, ConnId)> {
        let now = self.now;
        let mut gone = Vec::new();
        for number in 0..self.logs.len() {
            for side in 0..2 {
                let (own, other) = (self.logs[number][side], self.logs[number][1 - side]);
                let alive = |log: &Log| matches!(log.phase, Phase::Open | Phase::Opening);
                let (true, Some(id)) = (own.phase == Phase::Open, own.id) else { continue };
                let quiet_us = now.since_us(own.progress_at.max(other.progress_at));
                if quiet_us < ENOUGH_US {
                    continue;
                }
                assert!(
                    !alive(&other) || quiet_us < 2 * ENOUGH_US,
                    "talk {number} is stuck: {}",
                    self.story(number)
                );
                if !alive(&other) && !own.abandoned {
                    self.logs[number][side].abandoned = true;
                    gone.push((self.plan.talks[number].hosts[side], id));
                }
            }
        }
        gone
    }

    /// Both sides in words.
    pub fn story(&self, talk: usize) -> String {
        format!("{:?}\n{:?}", self.plan.talks[talk], self.logs[talk])
    }

    /// Every talk ended as it had to.
    pub fn check(&self) {
        for number in 0..self.logs.len() {
            if let Err(wrong) = self.check_talk(number) {
                panic!("talk {number}: {wrong}\n{}", self.story(number));
            }
        }
    }

    fn check_talk(&self, number: usize) -> Result<(), &'static str> {
        let (talk, logs) = (&self.plan.talks[number], &self.logs[number]);
        if logs[0].phase == Phase::Cancelled {
            return Ok(());
        }
        let ended = logs.map(|log| match log.phase {
            Phase::Over(reason) => Some(reason),
            _ => None,
        });
        let is = |reason| move |end: Option<CloseReason>| end == Some(reason);
        let complete = (0..2).all(|side| logs[side].received == talk.sides[1 - side].octets);
        if ended.iter().all(|end| is(CloseReason::Finished)(*end)) && !talk.is_rude() && !complete {
            return Err("both sides finished, and octets are missing");
        }
        match talk.kind {
            Kind::ClosedPort if self.plan.climate == Climate::Mild && !logs[0].closed => {
                return if is(CloseReason::Refused)(ended[0]) { Ok(()) } else { Err("it was not refused") };
            }
            Kind::NoHost | Kind::NoRoute if !logs[0].closed => {
                let unreachable = matches!(ended[0], Some(CloseReason::Unreachable(_)));
                return if unreachable || is(CloseReason::TimedOut)(ended[0]) {
                    Ok(())
                } else {
                    Err("nobody answered, and it ended otherwise")
                };
            }
            _ => {}
        }
        if talk.is_rude() || self.plan.climate != Climate::Mild {
            return Ok(());
        }
        // A cookie is good for two minutes, and the other side does not know that it was sent one (RFC 4987 3.6).
        let cookies = self.plan.hosts[talk.hosts[1]].limits.syn_cookies != CookieMode::Never;
        let late = self.logs[number][0].progress_at.since_us(logs[0].opened_at) > 64_000_000;
        if cookies && late && is(CloseReason::Reset)(ended[0]) && logs[1].phase == Phase::Before {
            return Ok(());
        }
        // Who closes last may find that the other has forgotten: its last acknowledgment was lost, and TIME-WAIT
        // was short or made room.
        let fine = |side: usize| match ended[side] {
            Some(CloseReason::Finished) => true,
            Some(CloseReason::Reset) => is(CloseReason::Finished)(ended[1 - side]),
            _ => false,
        };
        match (complete, fine(0) && fine(1)) {
            (false, _) => Err("octets are missing"),
            (_, false) => Err("it did not end as it should"),
            _ if logs.iter().any(|log| log.abandoned) => Err("a side had to give up"),
            _ => Ok(()),
        }
    }
}
