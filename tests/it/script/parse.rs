//! The language of packet scripts, read: lines of text to values. docs/TESTING.md tells the language.

use dpdk_tcp::wire::tcp::Flags;

/// A number of a sequence space.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Num {
    /// Counted from the initial sequence number of its side.
    From(i64),
    /// As it stands in the header (`=N`).
    Plain(u32),
}

/// What a script says of an option.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Says<T> {
    /// Nothing.
    #[default]
    Nothing,
    /// It is not there (`no NAME`).
    Absent,
    /// It is there, with this value.
    Is(T),
}

/// A segment: to arrive as it is told, or to be compared as far as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spec {
    pub flags: Flags,
    pub seq: Num,
    pub len: usize,
    pub ack: Option<Num>,
    pub wnd: Option<u16>,
    pub up: Option<u16>,
    pub mss: Says<u16>,
    pub window_scale: Says<u8>,
    pub sack_permitted: Says<()>,
    /// TSval.
    pub timestamps: Says<u32>,
    /// TSecr.
    pub ecr: Option<u32>,
    /// TSecr is what our clock said at this time of the script, in milliseconds.
    pub echo: Option<i64>,
    pub sack: Says<Vec<(Num, Num)>>,
    /// The ECN bits of the IP header.
    pub ecn: Option<u8>,
    /// The peer's port and ours, where they are not those of the connection.
    pub peer_port: Option<u16>,
    pub our_port: Option<u16>,
    pub bad_checksum: bool,
    /// Our numbers begin anew here.
    pub fresh: bool,
}

/// When something happens, in milliseconds: at the earliest and at the latest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When {
    /// Counted from the line before, not from the script's start.
    pub relative: bool,
    pub from: u64,
    pub to: u64,
}

/// A call of the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Open,
    Send(usize),
    Shutdown,
    Close,
    Finish,
    Abort,
    NoDelay(bool),
    Take(Option<usize>),
    Refuse(bool),
}

/// One line of a script.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// Segments arrive in one burst.
    Peer(Vec<Spec>),
    /// A segment leaves.
    Us(Box<Spec>),
    Call(Call),
    /// The application is told: a name, and a number where there is one.
    Told(String, Option<u64>),
    State(String),
    /// The segments that arrived last were dropped for this reason.
    Dropped(String),
    /// A counter stands at a value.
    Count(String, u64),
    /// Nothing is sent.
    Silence,
}

/// A line with its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub line: usize,
    pub when: Option<When>,
    pub event: Event,
}

/// A whole script.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Script {
    /// Line, name, value.
    pub settings: Vec<(usize, String, String)>,
    pub steps: Vec<Step>,
}

/// Reads a script. An error says the line and what is wrong with it.
pub fn parse(text: &str) -> Result<Script, (usize, String)> {
    let mut script = Script::default();
    for (at, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = content.split_whitespace().collect();
        if !words.is_empty() {
            parse_line(at + 1, &words, &mut script).map_err(|wrong| (at + 1, wrong))?;
        }
    }
    Ok(script)
}

fn parse_line(line: usize, words: &[&str], script: &mut Script) -> Result<(), String> {
    if words[0] == "set" {
        let &[_, name, value] = words else { return Err("set needs a name and a value".into()) };
        if !script.steps.is_empty() {
            return Err("settings come before everything else".into());
        }
        script.settings.push((line, name.into(), value.into()));
        return Ok(());
    }
    let (when, words) = match words[0].chars().next() {
        Some('+' | '@') => (Some(parse_when(words[0])?), &words[1..]),
        _ => (None, words),
    };
    let Some((name, rest)) = words.split_first() else { return Err("a time, and nothing happens".into()) };
    if *name == "also" {
        let Some(Step { event: Event::Peer(burst), .. }) = script.steps.last_mut().filter(|_| when.is_none())
        else {
            return Err("also follows a segment of the peer, without a time".into());
        };
        burst.push(parse_segment(rest, Side::Peer)?);
        return Ok(());
    }
    if let "established" | "connected" = *name {
        for part in handshake(name, rest) {
            let words: Vec<&str> = part.split_whitespace().collect();
            parse_line(line, &words, script)?;
        }
        return Ok(());
    }
    let event = match *name {
        "peer" => Event::Peer(vec![parse_segment(rest, Side::Peer)?]),
        "us" => Event::Us(Box::new(parse_segment(rest, Side::Us)?)),
        "call" => Event::Call(parse_call(rest)?),
        "told" => parse_told(rest)?,
        "state" => Event::State(only(rest)?.into()),
        "dropped" => Event::Dropped(only(rest)?.into()),
        "count" => match rest {
            [counter, value] => Event::Count((*counter).into(), number(value)?),
            _ => return Err("count needs a counter and a value".into()),
        },
        "silence" if when.is_some() && rest.is_empty() => Event::Silence,
        other => return Err(format!("nobody knows what `{other}` is")),
    };
    script.steps.push(Step { line, when, event });
    Ok(())
}

/// The lines for which a handshake stands whose peer's SYN carries `options`.
fn handshake(name: &str, options: &[&str]) -> Vec<String> {
    let wnd = options.windows(2).find(|pair| pair[0] == "wnd").map_or("65535", |pair| pair[1]);
    let options = options.join(" ");
    if name == "established" {
        let third = format!("peer ACK 1 ack 1 wnd {wnd}");
        return vec![format!("peer SYN 0 {options}"), "us SYN,ACK 0 ack 1".into(), third, "told open".into()];
    }
    let answer = format!("peer SYN,ACK 0 ack 1 {options}");
    ["call open", "us SYN 0", &answer, "us ACK 1 ack 1", "told connected"].map(str::to_owned).to_vec()
}

fn only<'a>(words: &[&'a str]) -> Result<&'a str, String> {
    match words {
        [word] => Ok(word),
        _ => Err("one word is needed".into()),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is no number that fits"))
}

fn num(word: &str) -> Result<Num, String> {
    match word.strip_prefix('=') {
        Some(plain) => Ok(Num::Plain(number(plain)?)),
        None => Ok(Num::From(number(word)?)),
    }
}

/// `+A`, `+A..B`, `@A`, `@A..B`. A single time allows for one tick.
fn parse_when(word: &str) -> Result<When, String> {
    let relative = word.starts_with('+');
    let (from, to) = match word[1..].split_once("..") {
        Some((from, to)) => (number(from)?, number(to)?),
        None => {
            let from: u64 = number(&word[1..])?;
            (from, from + 1)
        }
    };
    if from > to {
        return Err(format!("`{word}` ends before it begins"));
    }
    Ok(When { relative, from, to })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Peer,
    Us,
}

fn parse_flags(word: &str) -> Result<Flags, String> {
    let mut flags = Flags(0);
    for name in word.split(',').filter(|name| *name != "-") {
        flags = flags
            | match name {
                "FIN" => Flags::FIN,
                "SYN" => Flags::SYN,
                "RST" => Flags::RST,
                "PSH" => Flags::PSH,
                "ACK" => Flags::ACK,
                "URG" => Flags::URG,
                "ECE" => Flags::ECE,
                "CWR" => Flags::CWR,
                _ => return Err(format!("`{name}` is no control bit")),
            };
    }
    Ok(flags)
}

/// `FLAGS SEQ[+LEN] {NAME [VALUE] | no NAME}`.
fn parse_segment(words: &[&str], side: Side) -> Result<Spec, String> {
    let [flags, seq, rest @ ..] = words else {
        return Err("a segment needs control bits and a number".into());
    };
    let flags = parse_flags(flags)?;
    let (seq, len) = match seq.split_once('+') {
        Some((seq, len)) => (num(seq)?, number(len)?),
        None => (num(seq)?, 0),
    };
    let mut spec = Spec {
        flags,
        seq,
        len,
        ack: None,
        wnd: None,
        up: None,
        mss: Says::Nothing,
        window_scale: Says::Nothing,
        sack_permitted: Says::Nothing,
        timestamps: Says::Nothing,
        ecr: None,
        echo: None,
        sack: Says::Nothing,
        ecn: None,
        peer_port: None,
        our_port: None,
        bad_checksum: false,
        fresh: false,
    };
    let mut rest = rest.iter();
    while let Some(name) = rest.next() {
        let mut value = || rest.next().copied().ok_or_else(|| format!("`{name}` needs a value"));
        match *name {
            "ack" => spec.ack = Some(num(value()?)?),
            "wnd" => spec.wnd = Some(number(value()?)?),
            "up" => spec.up = Some(number(value()?)?),
            "mss" => spec.mss = Says::Is(number(value()?)?),
            "ws" => spec.window_scale = Says::Is(number(value()?)?),
            "sackok" => spec.sack_permitted = Says::Is(()),
            "ts" => spec.timestamps = Says::Is(number(value()?)?),
            "ecr" => spec.ecr = Some(number(value()?)?),
            "echo" => spec.echo = Some(number(value()?)?),
            "sack" => spec.sack = Says::Is(value()?.split(',').map(block).collect::<Result<_, _>>()?),
            "ect" => spec.ecn = Some(0b10),
            "ce" => spec.ecn = Some(0b11),
            "not-ect" => spec.ecn = Some(0),
            "from" | "to" => spec.peer_port = Some(number(value()?)?),
            "port" => spec.our_port = Some(number(value()?)?),
            "badsum" if side == Side::Peer => spec.bad_checksum = true,
            "fresh" if side == Side::Us => spec.fresh = true,
            "no" => absent(&mut spec, value()?)?,
            _ => return Err(format!("a segment has no `{name}`")),
        }
    }
    if spec.ack.is_some() != flags.has(Flags::ACK) {
        return Err("the control bit ACK and the number `ack` come together".into());
    }
    Ok(spec)
}

/// `LEFT-RIGHT`.
fn block(word: &str) -> Result<(Num, Num), String> {
    let (left, right) = word.split_once('-').ok_or_else(|| format!("`{word}` is no block"))?;
    Ok((num(left)?, num(right)?))
}

fn absent(spec: &mut Spec, name: &str) -> Result<(), String> {
    match name {
        "mss" => spec.mss = Says::Absent,
        "ws" => spec.window_scale = Says::Absent,
        "sackok" => spec.sack_permitted = Says::Absent,
        "ts" => spec.timestamps = Says::Absent,
        "sack" => spec.sack = Says::Absent,
        _ => return Err(format!("`{name}` is no option")),
    }
    Ok(())
}

fn switch(word: &str) -> Result<bool, String> {
    match word {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{word}` is neither on nor off")),
    }
}

fn parse_call(words: &[&str]) -> Result<Call, String> {
    Ok(match words {
        ["open"] => Call::Open,
        ["send", octets] => Call::Send(number(octets)?),
        ["shutdown"] => Call::Shutdown,
        ["close"] => Call::Close,
        ["finish"] => Call::Finish,
        ["abort"] => Call::Abort,
        ["nodelay", word] => Call::NoDelay(switch(word)?),
        ["take", "all"] => Call::Take(None),
        ["take", octets] => Call::Take(Some(number(octets)?)),
        ["refuse", word] => Call::Refuse(switch(word)?),
        _ => return Err(format!("there is no call `{}`", words.join(" "))),
    })
}

fn parse_told(words: &[&str]) -> Result<Event, String> {
    match words {
        ["data", octets] => Ok(Event::Told("data".into(), Some(number(octets)?))),
        ["urgent", octets] => Ok(Event::Told("urgent".into(), Some(number(octets)?))),
        ["open" | "connected" | "peer-close"] => Ok(Event::Told(words[0].into(), None)),
        ["closed", reason] => Ok(Event::Told(format!("closed {reason}"), None)),
        _ => Err(format!("nobody is told `{}`", words.join(" "))),
    }
}
