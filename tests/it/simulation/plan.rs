//! What a world is made of, drawn from its seed: hosts with their settings and faults, and who talks with whom,
//! about what, and how it ends.

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::inet::reassembly;
use dpdk_tcp::sim::faults::{Faults, Spells};
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::congestion::Algorithm;

/// Listeners of every host.
pub const LISTENED: [u16; 2] = [80, 81];
/// Nobody listens here.
const CLOSED_PORT: u16 = 9;
/// The first of the ports between which both sides open, and of those from which a side opens.
const SIMULTANEOUS_PORT: u16 = 20_000;
const CLIENT_PORT: u16 = 30_000;
/// Points at which the clock begins: far from anything, and shortly before its ticks and sequence numbers wrap.
const STARTS_US: [u64; 4] =
    [1_000_000_000, (1 << 32) * 1_000 - 2_000_000, (1 << 31) * 1_000 - 2_000_000, (1 << 34) - 3_000_000];

/// How hard a world is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Climate {
    /// Everything that is not rude by itself must succeed.
    Mild,
    /// The network is gone for longer than anybody waits: connections may be given up.
    Broken,
    /// Tables and queues are far too small: connections may find no place.
    Scarce,
}

/// When and how a side closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Close {
    /// When everything is queued; it reads on.
    Sent,
    /// When everything of the peer's has come too.
    Complete,
    /// When the peer has closed.
    AfterPeer,
    /// After so long, and throws away what still comes.
    Finish { after_us: u64 },
    /// After so long, and has what still comes answered by a reset.
    Deaf { after_us: u64 },
    /// By a reset, after so long.
    Abort { after_us: u64 },
}

impl Close {
    /// The peer's octets may get lost.
    pub fn is_rude(self) -> bool {
        matches!(self, Close::Finish { .. } | Close::Deaf { .. } | Close::Abort { .. })
    }
}

/// What one side of a talk does.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Octets that it sends.
    pub octets: u64,
    pub close: Close,
    /// Octets that it hands over at once, and how long it waits before the next.
    pub piece: usize,
    pub write_pause_us: u64,
    /// The octets are handed over without a copy.
    pub statics: bool,
    /// Octets that it takes at once, and how long it waits before the next.
    pub take: usize,
    pub read_pause_us: u64,
    /// Pauses that it makes in each direction; then it goes as fast as it can.
    pub pauses: u32,
    pub nodelay: bool,
    /// How long the peer may be silent before it is asked whether it is there, in milliseconds.
    pub keep_alive_ms: Option<u32>,
    /// How long it lets a connection wait before it takes it.
    pub accept_after_us: u64,
}

/// How a talk begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The first side opens, the other listens.
    Ordinary,
    /// Both open at once.
    Simultaneous,
    /// Nobody listens.
    ClosedPort,
    /// There is no such host.
    NoHost,
    /// There is no way to such a host.
    NoRoute,
}

/// One connection, from both sides.
#[derive(Clone, Copy, Debug)]
pub struct Talk {
    pub kind: Kind,
    pub hosts: [usize; 2],
    /// The port from which the first side opens, if that matters, and the other's.
    pub ports: (Option<u16>, u16),
    pub starts_us: u64,
    /// It begins so long after the one before it in the list is over.
    pub follows: bool,
    pub sides: [Side; 2],
}

impl Side {
    /// It sends and reads as fast as it can.
    pub fn plain(octets: u64, close: Close) -> Side {
        Side {
            octets,
            close,
            piece: usize::MAX,
            write_pause_us: 0,
            statics: false,
            take: usize::MAX,
            read_pause_us: 0,
            pauses: 0,
            nodelay: false,
            keep_alive_ms: None,
            accept_after_us: 0,
        }
    }
}

impl Talk {
    pub fn is_rude(&self) -> bool {
        matches!(self.kind, Kind::ClosedPort | Kind::NoHost | Kind::NoRoute)
            || self.sides.iter().any(|side| side.close.is_rude())
    }
}

/// One host.
#[derive(Clone, Debug)]
pub struct HostPlan {
    pub cfg: Config,
    pub limits: Limits,
    pub mtu: u16,
    pub frames: usize,
    pub tx_room: usize,
    /// Its port sums what it sends and cuts large segments.
    pub cuts: bool,
    pub faults: Faults,
}

/// A whole world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub climate: Climate,
    pub start_us: u64,
    pub hosts: Vec<HostPlan>,
    pub talks: Vec<Talk>,
    /// Somebody else is there, and injects so many segments in all.
    pub hostile: u32,
}

pub fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.below(n) == 0
}

fn between(rng: &mut Rng, low: u32, high: u32) -> u32 {
    low + rng.below(high - low)
}

impl Plan {
    /// The world of a seed.
    pub fn draw(seed: u64) -> Plan {
        let mut rng = Rng::new(seed ^ 0x51_u64.rotate_left(40));
        let climate = match rng.below(10) {
            0 => Climate::Broken,
            1 => Climate::Scarce,
            _ => Climate::Mild,
        };
        let count = match rng.below(500) {
            0 => between(&mut rng, 200, 1_001),
            1..12 => between(&mut rng, 9, 41),
            _ => between(&mut rng, 2, 9),
        };
        Plan::with(seed, &mut rng, climate, count as usize)
    }

    /// A world with so many hosts, each of which opens to another.
    pub fn crowd(seed: u64, hosts: usize) -> Plan {
        Plan::with(seed, &mut Rng::new(seed), Climate::Mild, hosts)
    }

    fn with(seed: u64, rng: &mut Rng, climate: Climate, count: usize) -> Plan {
        let mut hosts = hosts(rng, count, climate);
        let slow = hosts.iter().any(|host| host.is_slow());
        let talks = talks(rng, count, climate, slow, hosts.iter().any(HostPlan::may_send_cookies));
        for host in talks.iter().filter(|talk| talk.kind == Kind::Simultaneous).flat_map(|talk| talk.hosts) {
            // Without any delay the second would hear of the first before it opens.
            hosts[host].faults.delay_us = hosts[host].faults.delay_us.max(100);
        }
        for talk in talks.iter().filter(|talk| talk.follows) {
            // An old segment would prove its cookie again, and its text would be taken for the new talk's.
            hosts[talk.hosts[1]].limits.syn_cookies = CookieMode::Never;
        }
        let hostile = if one_in(rng, 3) { between(rng, 20, 400) } else { 0 };
        Plan { seed, climate, start_us: pick(rng, &STARTS_US), hosts, talks, hostile }
    }
}

impl HostPlan {
    /// Megabytes would take hours.
    fn is_slow(&self) -> bool {
        let Faults { loss_ppm, burst_ppm, delay_us, bits_per_s, .. } = self.faults;
        let small = self.limits.send_buffer < 16 << 10 || self.cfg.receive_buffer < 16 << 10;
        let few = (1..5_000_000).contains(&bits_per_s) || self.limits.buffers < 256 << 10;
        small || few || loss_ppm > 10_000 || burst_ppm > 1_000 || delay_us > 20_000
    }

    fn may_send_cookies(&self) -> bool {
        self.limits.syn_cookies != CookieMode::Never
    }
}

fn spells(rng: &mut Rng, every_ms: (u32, u32), for_ms: (u32, u32)) -> Spells {
    let every_us = between(rng, every_ms.0, every_ms.1) * 1_000;
    Spells { every_us, for_us: between(rng, for_ms.0, for_ms.1) * 1_000 }
}

/// The faults of one direction: each kind is absent in most worlds.
fn faults(rng: &mut Rng, climate: Climate) -> Faults {
    let mut faults = Faults {
        loss_ppm: pick(rng, &[0, 0, 1_000, 10_000, 50_000, 100_000]),
        duplicate_ppm: pick(rng, &[0, 0, 20_000, 100_000]),
        corrupt_ppm: pick(rng, &[0, 0, 10_000, 30_000]),
        delay_us: pick(rng, &[0, 100, 5_000, 60_000]),
        jitter_us: pick(rng, &[0, 0, 500, 20_000]),
        capacity: pick(rng, &[0, 0, 0, 40]),
        ..Faults::default()
    };
    if one_in(rng, 4) {
        (faults.burst_ppm, faults.burst_frames) = (pick(rng, &[1_000, 10_000]), between(rng, 2, 12));
    }
    if one_in(rng, 4) {
        (faults.reorder_ppm, faults.reorder_us) = (pick(rng, &[10_000, 100_000]), between(rng, 100, 30_000));
    }
    if one_in(rng, 4) {
        faults.bits_per_s = pick(rng, &[500_000, 10_000_000, 100_000_000]);
        faults.queue_us = pick(rng, &[5_000, 50_000, 400_000]);
    }
    if one_in(rng, 8) {
        faults.outages = spells(rng, (10_000, 40_000), (500, 4_000));
    }
    if one_in(rng, 8) {
        faults.shortages = spells(rng, (1_000, 10_000), (20, 500));
    }
    if one_in(rng, 3) {
        faults.holds = spells(rng, (1_600, 4_000), (300, 1_500));
    }
    if one_in(rng, 5) {
        // What is swallowed in silence is suspected where it is larger than 1024 bytes.
        faults.tells_mtu = rng.below(3) > 0;
        faults.mtu = pick(rng, if faults.tells_mtu { &[600, 1_000, 1_400] } else { &[1_100, 1_400] });
    }
    if one_in(rng, 8) {
        faults.stalls = spells(rng, (500, 5_000), (10, 300));
    }
    if climate == Climate::Broken && one_in(rng, 2) {
        faults.outages = spells(rng, (400_000, 900_000), (100_000, 390_000));
        faults.outages.every_us = pick(rng, &[faults.outages.every_us, faults.outages.for_us + 3_000_000]);
    }
    faults
}

fn config(rng: &mut Rng, climate: Climate) -> Config {
    let mut cfg = Config {
        receive_buffer: pick(rng, &[2_000, 16 << 10, 256 << 10, 256 << 10]),
        window_scale: rng.below(4) > 0,
        timestamps: one_in(rng, 2),
        sack: rng.below(4) > 0,
        ecn: rng.below(4) > 0,
        ecn_ask: one_in(rng, 3),
        congestion: pick(rng, &[Algorithm::Reno, Algorithm::Cubic]),
        rto_min_ms: pick(rng, &[200, 1_000]),
        delayed_ack_ms: pick(rng, &[1, 40, 40, 200]),
        override_ms: pick(rng, &[50, 200]),
        fin_wait_2_ms: pick(rng, &[5_000, 60_000]),
        time_wait_ms: pick(rng, &[2_000, 60_000]),
        path_mtu_raise_ms: pick(rng, &[200, 600_000]),
        path_mtu_step_ms: pick(rng, &[100, 120_000]),
        ..Config::default()
    };
    if climate == Climate::Mild {
        // A tenth of all frames is lost each way: whoever gives up after nine tries does so once in a while.
        (cfg.syn_repeats, cfg.syn_ack_repeats, cfg.user_timeout_ms) = (40, 20, 1_800_000);
    }
    if climate == Climate::Broken {
        cfg.user_timeout_ms = pick(rng, &[20_000, 100_000]);
        cfg.syn_repeats = pick(rng, &[2, 8]);
        cfg.syn_ack_repeats = pick(rng, &[1, 5]);
    }
    cfg
}

fn limits(rng: &mut Rng, climate: Climate, many: bool) -> Limits {
    let mut limits = Limits {
        connections: if many { 16 } else { 48 },
        backlog: if many { 8 } else { 32 },
        time_wait_max: pick(rng, &[4, 48]),
        buffers: if many { 64 << 10 } else { pick(rng, &[64 << 10, 256 << 10, 1 << 20]) },
        send_buffer: pick(rng, &[2_000, 16 << 10, 256 << 10]),
        syn_cookies: pick(rng, &[CookieMode::Auto, CookieMode::Auto, CookieMode::Always, CookieMode::Never]),
        burst: pick(rng, &[1, 2, 7, 32]),
        rest_from: pick(rng, &[0, 32_768]),
        reassembly: reassembly::Limits { bytes: 128 << 10, datagrams: 8, ..reassembly::Limits::default() },
        ..Limits::default()
    };
    if climate == Climate::Scarce {
        limits.connections = pick(rng, &[2, 5, 48]);
        limits.per_address = pick(rng, &[None, None, Some(1), Some(2)]);
        limits.backlog = pick(rng, &[1, 2]);
        limits.time_wait_max = pick(rng, &[1, 4]);
        limits.buffers = pick(rng, &[4 << 10, 32 << 10]);
        limits.resets_per_second = 1;
        limits.reset_burst = 1;
        limits.challenges_per_second = 1;
    }
    limits
}

fn hosts(rng: &mut Rng, count: usize, climate: Climate) -> Vec<HostPlan> {
    let many = count > 40;
    let common = faults(rng, climate);
    let alike = one_in(rng, 2);
    let mtu = pick(rng, &[1_500, 1_500, 9_000]);
    let mut host = || {
        let limits = limits(rng, climate, many);
        HostPlan {
            cfg: config(rng, climate),
            mtu: if many { 1_500 } else { pick(rng, &[mtu, mtu, mtu, 576]) },
            frames: limits.burst + pick(rng, &[24, 100, 400]),
            limits,
            tx_room: pick(rng, &[1, 3, usize::MAX, usize::MAX]),
            cuts: one_in(rng, 3),
            faults: if alike { common } else { faults(rng, climate) },
        }
    };
    (0..count).map(|_| host()).collect()
}

fn talks(rng: &mut Rng, hosts: usize, climate: Climate, slow: bool, cookies: bool) -> Vec<Talk> {
    let count = if hosts > 40 { hosts as u32 } else { between(rng, 2, 13) };
    let within_us = pick(rng, &[0, 100_000, 5_000_000]);
    let mut all: Vec<Talk> = Vec::new();
    for number in 0..count {
        let same = !all.is_empty() && one_in(rng, 5);
        let mut talk = Talk {
            kind: Kind::Ordinary,
            hosts: pair(rng, hosts),
            ports: (one_in(rng, 2).then_some(CLIENT_PORT + number as u16), pick(rng, &LISTENED)),
            starts_us: u64::from(rng.below(within_us + 1)),
            follows: false,
            sides: sides(rng, climate, slow || hosts > 40, cookies),
        };
        match rng.below(if hosts > 40 { 1_000 } else { 30 }) {
            0..3 => {
                talk.kind = Kind::Simultaneous;
                let port = SIMULTANEOUS_PORT + 2 * number as u16;
                talk.ports = (Some(port), port + 1);
            }
            3 => (talk.kind, talk.ports.1) = (Kind::ClosedPort, CLOSED_PORT),
            4 => talk.kind = pick(rng, &[Kind::NoHost, Kind::NoHost, Kind::NoRoute]),
            _ => {}
        }
        let follows = |last: &&mut Talk| same && last.kind == Kind::Ordinary && !last.is_rude();
        if let Some(last) = all.last_mut().filter(follows) {
            // The same endpoints again, so that TIME-WAIT is in the way. After a reset there is none, and an old
            // segment may be taken for a new one: numbers grow by 250,000 a second, streams by more.
            let first = *last.ports.0.get_or_insert(CLIENT_PORT + number as u16);
            (talk.kind, talk.hosts, talk.follows) = (Kind::Ordinary, last.hosts, true);
            talk.ports = (Some(first), last.ports.1);
            talk.starts_us = pick(rng, &[0, 10_000, 1_500_000]);
        }
        all.push(talk);
    }
    all
}

fn pair(rng: &mut Rng, hosts: usize) -> [usize; 2] {
    let one = rng.below(hosts as u32) as usize;
    let other = (one + 1 + rng.below(hosts as u32 - 1) as usize) % hosts;
    [one, other]
}

fn sides(rng: &mut Rng, climate: Climate, slow: bool, cookies: bool) -> [Side; 2] {
    let mut sides = [side(rng, slow), side(rng, slow)];
    if sides[0].close == Close::AfterPeer && sides[1].close == Close::AfterPeer {
        sides[0].close = pick(rng, &[Close::Sent, Close::Complete]);
    }
    if cookies || climate == Climate::Scarce {
        // Who was sent a cookie and has nothing to say may wait for ever (RFC 4987 3.6).
        sides[0].octets = sides[0].octets.max(1);
    }
    if climate == Climate::Scarce && one_in(rng, 3) {
        sides[1].accept_after_us = u64::from(between(rng, 1_000, 20_000_000));
    }
    sides
}

fn side(rng: &mut Rng, slow: bool) -> Side {
    let big = if slow { 60_000 } else { pick(rng, &[100_000, 300_000, 300_000, 3_000_000]) };
    let octets = match rng.below(10) {
        0..2 => 0,
        2..4 => between(rng, 1, 1_500),
        4..9 => between(rng, 1_500, 40_000),
        _ => between(rng, 40_000, big),
    };
    let after_us = pick(rng, &[0, 1_000, 200_000, 3_000_000]);
    let close = match rng.below(24) {
        0..8 => Close::Sent,
        8..13 => Close::Complete,
        13..20 => Close::AfterPeer,
        20 => Close::Finish { after_us },
        21 => Close::Deaf { after_us },
        _ => Close::Abort { after_us },
    };
    let mut side = Side {
        statics: one_in(rng, 6),
        pauses: between(rng, 1, 12),
        nodelay: one_in(rng, 2),
        keep_alive_ms: pick(rng, &[None, Some(500), Some(20_000)]),
        accept_after_us: if one_in(rng, 10) { u64::from(rng.below(2_000_000)) } else { 0 },
        ..Side::plain(u64::from(octets), close)
    };
    if one_in(rng, 5) {
        // A person at a keyboard.
        side.octets = side.octets.min(3_000);
        (side.piece, side.write_pause_us) = (1 + rng.below(300) as usize, u64::from(rng.below(100_000)));
    }
    if one_in(rng, 5) {
        // A reader who lets the window close.
        side.take = 1 + rng.below(4_000) as usize;
        side.read_pause_us = pick(rng, &[1_000, 50_000, 500_000, 8_000_000]);
    }
    side
}
