//! A packet script, run: the stack under test on one side, the script as its peer and its application.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{SackBlocks, Timestamps};

use super::parse::{Call, Event, Num, Says, Script, Spec, Step, When};
use crate::expect::Sent;
use crate::reach::{OURS, PEER_PORT, PEERS, PORT, Seg, Setup, Told, World, seg};

/// The ports of a connection that a script opens actively: the peer's and ours.
pub const ACTIVE_PORTS: (u16, u16) = (8_080, 50_000);
/// The ports of a connection that the peer opens.
pub const PASSIVE_PORTS: (u16, u16) = (PEER_PORT, PORT);

/// The octet that stands in a stream `at` octets after its SYN.
fn octet(at: u32) -> u8 {
    (at % 251) as u8
}

/// The octets of a stream from `at` on.
fn octets(at: u32, len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| octet(at.wrapping_add(n))).collect()
}

/// A script that runs.
pub struct Run {
    world: World,
    start: Instant,
    /// The peer's ISS.
    peer_base: Seq,
    /// Our ISS by the peer's port and ours.
    our_bases: BTreeMap<(u16, u16), Seq>,
    /// The ports of a line that names none.
    ports: (u16, u16),
    /// What was sent and not yet expected.
    sent: VecDeque<(Instant, Sent)>,
    told: VecDeque<Told>,
    /// Octets that the application has sent and has read.
    written: u32,
    read: u32,
    /// The peer's TSval at the script's start, once its SYN carried the option.
    peer_clock: Option<u32>,
    /// Our last TSval, and when it left.
    our_clock: Option<(Instant, u32)>,
    drops_before: Vec<u64>,
}

impl Run {
    pub fn new(setup: Setup, peer_base: Seq, ports: (u16, u16)) -> Run {
        let world = World::with(setup);
        let start = world.clock.now();
        let mut run = Run {
            world,
            start,
            peer_base,
            our_bases: BTreeMap::new(),
            ports,
            sent: VecDeque::new(),
            told: VecDeque::new(),
            written: 0,
            read: 0,
            peer_clock: None,
            our_clock: None,
            drops_before: Vec::new(),
        };
        run.drops_before = run.drops();
        run
    }

    /// Runs all lines; the error names the line.
    pub fn all(mut self, script: &Script) -> Result<(), (usize, String)> {
        for step in &script.steps {
            self.step(step).map_err(|wrong| (step.line, wrong))?;
        }
        let last = script.steps.last().map_or(1, |step| step.line);
        self.nothing_sent().map_err(|wrong| (last, format!("after the last line, {wrong}")))?;
        match self.told.pop_front() {
            Some(told) => {
                Err((last, format!("after the last line, the application was told {}", name(&told))))
            }
            None => Ok(()),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        if let Event::Us(spec) = &step.event {
            return self.expect(spec, step.when);
        }
        match step.when {
            Some(when) => self.pass_in_silence(self.at(when).0)?,
            None if matches!(step.event, Event::Peer(_) | Event::Call(_)) => self.nothing_sent()?,
            None => {}
        }
        match &step.event {
            Event::Us(_) | Event::Silence => Ok(()),
            Event::Peer(burst) => {
                self.arrive(burst);
                Ok(())
            }
            Event::Call(call) => self.call(*call),
            Event::Told(what, number) => self.expect_told(what, *number),
            Event::State(name) => {
                let (found, _) = (self.state().name(), self.collect());
                same("state", name.as_str(), found)
            }
            Event::Dropped(reason) => self.expect_drop(reason),
            Event::Count(name, value) => {
                let counter = Counter::ALL.iter().find(|counter| counter.name() == name);
                let counter = counter.ok_or_else(|| format!("no counter is called `{name}`"))?;
                same("count", *value, self.world.count(*counter))
            }
        }
    }

    fn at(&self, when: When) -> (Instant, Instant) {
        let base = if when.relative { self.world.clock.now() } else { self.start };
        (Instant(base.0 + when.from * 1_000), Instant(base.0 + when.to * 1_000))
    }

    fn ms(&self, at: Instant) -> u64 {
        at.since_us(self.start) / 1_000
    }

    fn drops(&self) -> Vec<u64> {
        DropReason::ALL.iter().map(|reason| self.world.dropped(*reason)).collect()
    }

    fn state(&self) -> State {
        let local = SocketAddr::new(IpAddr::V4(OURS.into()), self.ports.1);
        let remote = SocketAddr::new(IpAddr::V4(PEERS.into()), self.ports.0);
        self.world.worker.shard().state_of(local, remote).unwrap_or(State::Closed)
    }

    /// Takes note of what was sent and told.
    fn collect(&mut self) {
        let now = self.world.clock.now();
        for sent in self.world.sent() {
            let ports = (sent.ports.1, sent.ports.0);
            if sent.segment.flags.has(Flags::SYN) {
                self.our_bases.entry(ports).or_insert(sent.segment.seq);
            }
            if let Some(ours) = sent.segment.options.timestamps {
                self.our_clock = Some((now, ours.val));
            }
            self.sent.push_back((now, sent));
        }
        let says = |told: &Told| *told != Told::Writable && *told != Told::Data(vec![]);
        self.told.extend(self.world.told().into_iter().filter(says));
    }

    /// Lets time pass from deadline to deadline until something is sent.
    fn pass_until(&mut self, end: Instant) {
        while self.sent.is_empty() && self.world.clock.now() < end {
            let now = self.world.clock.now();
            let deadline = self.world.worker.shard().next_deadline();
            let wait = deadline.map_or(u64::MAX, |at| u64::from(at.since(now.tick()))).max(1);
            let next = (now.0 / 1_000).saturating_add(wait).saturating_mul(1_000);
            self.world.clock.advance_to(Instant(next).min(end));
            for _ in 0..3 {
                self.world.worker.pass(self.world.clock.now());
            }
            self.world.check();
            self.collect();
        }
    }

    fn pass_in_silence(&mut self, end: Instant) -> Result<(), String> {
        self.nothing_sent()?;
        self.pass_until(end);
        self.nothing_sent()
    }

    fn nothing_sent(&mut self) -> Result<(), String> {
        match self.sent.front() {
            None => Ok(()),
            Some((at, sent)) => Err(format!(
                "before this line, nothing is expected\n  found    @{} {}",
                self.ms(*at),
                self.tell(sent)
            )),
        }
    }

    fn number(&self, num: Num, base: Seq) -> Seq {
        match num {
            Num::Plain(plain) => Seq(plain),
            Num::From(by) => base + by as u32,
        }
    }

    fn ports_of(&self, spec: &Spec) -> (u16, u16) {
        (spec.peer_port.unwrap_or(self.ports.0), spec.our_port.unwrap_or(self.ports.1))
    }

    fn our_base(&self, ports: (u16, u16)) -> Seq {
        self.our_bases.get(&ports).copied().unwrap_or_default()
    }

    /// What our clock said, or will say, at a time of the script.
    fn our_clock_at(&self, ms: i64) -> u32 {
        let (then, val) = self.our_clock.unwrap_or_default();
        val.wrapping_add((ms - self.ms(then) as i64) as u32)
    }

    fn arrive(&mut self, burst: &[Spec]) {
        self.drops_before = self.drops();
        let segments: Vec<_> = burst.iter().map(|spec| self.segment(spec)).collect();
        for (segment, spec) in segments.iter().zip(burst) {
            let mut frame = segment.frame();
            if spec.bad_checksum {
                frame[50] ^= 1;
            }
            self.world.send_frame(&frame);
        }
        self.world.run();
        self.collect();
    }

    /// The peer's segment as the line tells it.
    fn segment(&mut self, spec: &Spec) -> Seg {
        let ports = self.ports_of(spec);
        let ours = self.our_base(ports);
        let ack = spec.ack.map_or(Seq(0), |ack| self.number(ack, ours));
        let mut segment = seg(spec.flags, self.number(spec.seq, self.peer_base), ack);
        segment.ports = ports;
        segment.wnd = spec.wnd.unwrap_or(0xffff);
        segment.up = spec.up.unwrap_or(0);
        segment.tos = spec.ecn.unwrap_or(0);
        segment.text =
            octets(segment.seq.since(self.peer_base) + u32::from(spec.flags.has(Flags::SYN)), spec.len);
        let options = &mut segment.options;
        options.mss = is(&spec.mss);
        options.window_scale = is(&spec.window_scale);
        options.sack_permitted = spec.sack_permitted == Says::Is(());
        if let Says::Is(blocks) = &spec.sack {
            let mut all = SackBlocks::default();
            for (left, right) in blocks {
                all.push(self.number(*left, ours), self.number(*right, ours));
            }
            options.sack = all;
        }
        let passed = self.ms(self.world.clock.now()) as u32;
        if spec.flags.has(Flags::SYN)
            && let Says::Is(val) = spec.timestamps
        {
            self.peer_clock = Some(val.wrapping_sub(passed));
        }
        let val = match spec.timestamps {
            Says::Is(val) => Some(val),
            Says::Absent => None,
            Says::Nothing => self.peer_clock.map(|clock| clock.wrapping_add(passed)),
        };
        let echo = spec.echo.map(|ms| self.our_clock_at(ms));
        let last = self.our_clock.map_or(0, |(_, val)| val);
        let ecr = spec.ecr.or(echo).unwrap_or(if spec.flags.has(Flags::ACK) { last } else { 0 });
        segment.options.timestamps = val.map(|val| Timestamps { val, ecr });
        segment
    }

    fn call(&mut self, call: Call) -> Result<(), String> {
        let script = self.world.probe.0.clone();
        let mut refused = None;
        match call {
            Call::Open => {
                let remote = SocketAddr::new(IpAddr::V4(PEERS.into()), self.ports.0);
                let id = self.world.worker.open(None, Some(self.ports.1), remote);
                script.borrow_mut().conn = Some(id.map_err(|error| error.to_string())?);
            }
            Call::Take(octets) => {
                script.borrow_mut().credit = octets;
                self.world.call(|conn| conn.resume());
            }
            Call::Refuse(refuse) => script.borrow_mut().refuse = refuse,
            Call::Send(len) => {
                let text = octets(self.written + 1, len);
                self.written += len as u32;
                self.world.call(|conn| refused = Some(len - conn.send(&text)).filter(|left| *left > 0));
            }
            Call::Shutdown => self.world.call(|conn| conn.shutdown()),
            Call::Close => self.world.call(|conn| conn.close()),
            Call::Finish => self.world.call(|conn| conn.finish()),
            Call::Abort => self.world.call(|conn| conn.abort()),
            Call::NoDelay(on) => self.world.call(|conn| conn.set_nodelay(on)),
        }
        self.world.run();
        self.collect();
        refused
            .map_or(Ok(()), |left| Err(format!("expected all octets to be taken\n  found    {left} refused")))
    }

    fn expect_told(&mut self, what: &str, number: Option<u64>) -> Result<(), String> {
        let Some(told) = self.told.pop_front() else {
            return Err(format!("expected the application to be told {what}\n  found    nothing"));
        };
        let Told::Data(mut data) = told else {
            let number = number.map_or(String::new(), |number| format!(" {number}"));
            return same("told", &format!("{what}{number}"), &name(&told));
        };
        while data.len() as u64 != number.unwrap_or(0)
            && let Some(Told::Data(more)) = self.told.front()
        {
            data.extend(more);
            self.told.pop_front();
        }
        same("told", &format!("{what} {}", number.unwrap_or(0)), &format!("data {}", data.len()))?;
        let right = octets(self.read + 1, data.len());
        self.read += data.len() as u32;
        if data == right {
            Ok(())
        } else {
            Err("expected the octets of the stream\n  found    others".into())
        }
    }

    fn expect_drop(&self, reason: &str) -> Result<(), String> {
        let counted = DropReason::ALL.iter().zip(self.drops_before.iter().zip(self.drops()));
        let found: Vec<_> =
            counted.filter(|(_, (before, now))| now > before).map(|(reason, _)| reason.name()).collect();
        same("dropped", reason, &found.join(" "))
    }

    /// The next segment leaves, within its time, and is as the line says.
    fn expect(&mut self, spec: &Spec, when: Option<When>) -> Result<(), String> {
        let now = self.world.clock.now();
        let (from, to) = when.map_or((now, now), |when| self.at(when));
        self.pass_until(to);
        let Some((at, sent)) = self.sent.pop_front() else {
            return Err(format!("found    silence until @{}", self.ms(to)));
        };
        let found = format!("found    @{} {}", self.ms(at), self.tell(&sent));
        if when.is_some() && at < from {
            return Err(format!("{found}\n  too early"));
        }
        let ports = self.ports_of(spec);
        if spec.fresh {
            if !sent.segment.seq.after(self.our_base(ports)) {
                return Err(format!("{found}\n  which does not begin above the old numbers"));
            }
            self.our_bases.insert(ports, sent.segment.seq);
        }
        let wrong = self.differences(spec, &sent);
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{found}\n  which differs in {}", wrong.join(", ")))
        }
    }

    /// The names of what is not as it is told.
    fn differences(&self, spec: &Spec, sent: &Sent) -> Vec<&'static str> {
        let ports = self.ports_of(spec);
        let (ours, segment) = (self.our_base(ports), &sent.segment);
        let seq = self.number(spec.seq, ours);
        let text_at = segment.seq.since(ours) + u32::from(segment.flags.has(Flags::SYN));
        let options = &segment.options;
        let blocks = |blocks: &Vec<(Num, Num)>| -> Vec<(Seq, Seq)> {
            let theirs = |num: &Num| self.number(*num, self.peer_base);
            blocks.iter().map(|(left, right)| (theirs(left), theirs(right))).collect()
        };
        let sack = match &spec.sack {
            Says::Nothing => true,
            Says::Absent => options.sack.is_empty(),
            Says::Is(told) => blocks(told) == options.sack.as_slice(),
        };
        let ack = spec.ack.map_or(Seq(0), |ack| self.number(ack, self.peer_base));
        let rows = [
            ("ports", sent.ports == (ports.1, ports.0)),
            ("control bits", segment.flags == spec.flags),
            ("SEG.SEQ", segment.seq == seq),
            ("length", sent.text.len() == spec.len),
            ("SEG.ACK", segment.ack == ack),
            ("window", spec.wnd.is_none_or(|wnd| wnd == segment.wnd)),
            ("urgent pointer", spec.up.is_none_or(|up| up == segment.up)),
            ("MSS", agrees(&spec.mss, options.mss)),
            ("window scale", agrees(&spec.window_scale, options.window_scale)),
            ("SACK-permitted", agrees(&spec.sack_permitted, options.sack_permitted.then_some(()))),
            ("TSval", agrees(&spec.timestamps, options.timestamps.map(|ts| ts.val))),
            ("TSecr", spec.ecr.is_none_or(|ecr| options.timestamps.is_some_and(|ts| ts.ecr == ecr))),
            ("SACK blocks", sack),
            ("ECN bits", spec.ecn.is_none_or(|ecn| ecn == sent.tos & 0b11)),
            ("text", sent.text == octets(text_at, sent.text.len())),
        ];
        rows.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect()
    }

    /// A segment that we sent, in the words of a script.
    fn tell(&self, sent: &Sent) -> String {
        let segment = &sent.segment;
        let base = self.our_bases.get(&(sent.ports.1, sent.ports.0));
        let flags = format!("{:?}", segment.flags);
        let mut line = format!("us {}", flags.trim_matches(['<', '>']));
        match base {
            Some(base) => line += &format!(" {}+{}", segment.seq.since(*base) as i32, sent.text.len()),
            None => line += &format!(" ={}+{}", segment.seq.0, sent.text.len()),
        }
        if segment.flags.has(Flags::ACK) {
            line += &format!(" ack {}", segment.ack.since(self.peer_base) as i32);
        }
        line += &format!(" wnd {}", segment.wnd);
        let options = &segment.options;
        let numbers = [("mss", options.mss.map(u32::from)), ("ws", options.window_scale.map(u32::from))];
        for (name, value) in numbers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            line += &format!(" {name} {value}");
        }
        if options.sack_permitted {
            line += " sackok";
        }
        if let Some(ts) = options.timestamps {
            line += &format!(" ts {} ecr {}", ts.val, ts.ecr);
        }
        let theirs = |seq: Seq| seq.since(self.peer_base) as i32;
        let blocks = options.sack.as_slice().iter();
        let blocks: Vec<_> = blocks.map(|(l, r)| format!("{}-{}", theirs(*l), theirs(*r))).collect();
        if !blocks.is_empty() {
            line += &format!(" sack {}", blocks.join(","));
        }
        line + [" not-ect", " ect1", " ect", " ce"][usize::from(sent.tos & 0b11)]
    }
}

fn is<T: Copy>(says: &Says<T>) -> Option<T> {
    match says {
        Says::Is(value) => Some(*value),
        _ => None,
    }
}

fn agrees<T: PartialEq>(says: &Says<T>, found: Option<T>) -> bool {
    match says {
        Says::Nothing => true,
        Says::Absent => found.is_none(),
        Says::Is(value) => found.as_ref() == Some(value),
    }
}

fn same<T: PartialEq + std::fmt::Display>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("expected {what} {expected}\n  found    {found}"))
}

/// What an application was told, in the words of a script.
fn name(told: &Told) -> String {
    match told {
        Told::Open => "open".into(),
        Told::Connected => "connected".into(),
        Told::Data(data) => format!("data {}", data.len()),
        Told::PeerClose => "peer-close".into(),
        Told::Urgent(octets) => format!("urgent {octets}"),
        Told::Closed(reason) => format!("closed {}", kebab(&format!("{reason:?}"))),
        other => kebab(&format!("{other:?}")),
    }
}

/// `DataAfterClose` as `data-after-close`.
fn kebab(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        if c.is_uppercase() && at > 0 {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}
