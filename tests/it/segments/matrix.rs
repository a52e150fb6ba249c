//! State by event: eight kinds of arrival in each state (FreeBSD's cells), each with its edges. A row is a whole
//! input and the whole of what must follow. Every state that either side's opening leads to is reached by both.

use std::collections::HashSet;

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::{
    rcv_ack, rcv_fin, rcv_fin_ack, rcv_rst, rcv_rst_ack, rcv_syn, rcv_syn_ack, rcv_syn_fin, syn_sent,
};
use crate::reach::{PEER_PORT, Seg, Told, seg};
use crate::states::{Opening, Reached, Start, reach_by};

/// A port that nobody listens on.
const CLOSED_PORT: u16 = 81;

/// The kinds of arrival.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    Syn,
    SynAck,
    SynFin,
    Ack,
    Fin,
    FinAck,
    Rst,
    RstAck,
}

impl Kind {
    fn flags(self) -> Flags {
        match self {
            Kind::Syn => Flags::SYN,
            Kind::SynAck => Flags::SYN | Flags::ACK,
            Kind::SynFin => Flags::SYN | Flags::FIN,
            Kind::Ack => Flags::ACK,
            Kind::Fin => Flags::FIN,
            Kind::FinAck => Flags::FIN | Flags::ACK,
            Kind::Rst => Flags::RST,
            Kind::RstAck => Flags::RST | Flags::ACK,
        }
    }
}

/// Where SEG.SEQ stands: counted from RCV.NXT, or from the right edge of the window.
#[derive(Clone, Copy, Debug)]
pub enum At {
    Nxt(i64),
    Edge(i64),
}

/// What must be answered.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Silence,
    /// R-ACK with RCV.NXT so much further on.
    Ack(u32),
    /// A SYN-ACK for the segment.
    SynAck,
    /// R-RST0.
    Rst0,
    /// R-RST1.
    Rst1,
}

/// One input and what follows from it.
pub struct Row {
    name: &'static str,
    state: State,
    seq: At,
    ack: i64,
    text: usize,
    plus: Flags,
    reply: Reply,
    next: State,
    dropped: Option<DropReason>,
    told: Vec<Told>,
    /// The row holds for connections that this side opened.
    opening: Option<Opening>,
}

/// A row that expects silence and the same state.
pub fn row(state: State, name: &'static str, seq: At) -> Row {
    let (reply, plus) = (Reply::Silence, Flags(0));
    let (told, opening) = (Vec::new(), None);
    Row { name, state, seq, ack: 0, text: 0, plus, reply, next: state, dropped: None, told, opening }
}

impl Row {
    /// SEG.ACK, counted from SND.NXT.
    pub fn ack(self, ack: i64) -> Row {
        Row { ack, ..self }
    }

    pub fn text(self, text: usize) -> Row {
        Row { text, ..self }
    }

    /// Further control bits.
    pub fn plus(self, plus: Flags) -> Row {
        Row { plus, ..self }
    }

    pub fn reply(self, reply: Reply) -> Row {
        Row { reply, ..self }
    }

    pub fn to(self, next: State) -> Row {
        Row { next, ..self }
    }

    pub fn drops(self, reason: DropReason) -> Row {
        Row { dropped: Some(reason), ..self }
    }

    pub fn tells(self, told: &[Told]) -> Row {
        Row { told: told.to_vec(), ..self }
    }

    /// Holds only where this side opened.
    pub fn opened(self, opening: Opening) -> Row {
        Row { opening: Some(opening), ..self }
    }

    /// Which openings lead to the row's state.
    fn openings(&self) -> Vec<Opening> {
        let all = match self.state {
            State::Closed | State::Listen => vec![Opening::Passive],
            State::SynSent => vec![Opening::Active],
            _ => vec![Opening::Passive, Opening::Active],
        };
        all.into_iter().filter(|opening| self.opening.is_none_or(|only| only == *opening)).collect()
    }

    /// What is told: the side that opened hears `Connected`, the other one `Open`.
    fn told(&self, opening: Opening) -> Vec<Told> {
        let opened = if opening == Opening::Active { Told::Connected } else { Told::Open };
        let told = self.told.iter();
        told.map(|told| if *told == Told::Open { opened.clone() } else { told.clone() }).collect()
    }
}

/// The octets that rows send.
pub fn octets(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|n| b'a' + (n % 26) as u8).collect()
}

/// `to` octets are told, of which the first `from` are old.
pub fn data(from: usize, to: usize) -> Told {
    Told::Data(octets(from, to))
}

fn moved(base: Seq, by: i64) -> Seq {
    base + by as u32
}

fn segment_of(row: &Row, kind: Kind, reached: &Reached) -> Seg {
    let seq = match row.seq {
        At::Nxt(by) => moved(reached.peer.seq, by),
        At::Edge(by) => moved(reached.edge, by),
    };
    let flags = kind.flags() | row.plus;
    let ack = if flags.has(Flags::ACK) { moved(reached.peer.ack, row.ack) } else { Seq(0) };
    let mut segment = seg(flags, seq, ack).text(&octets(0, row.text));
    if row.state == State::Closed {
        segment.ports.1 = CLOSED_PORT;
    }
    segment
}

/// The one segment that must be answered, as flags, SEG.SEQ and SEG.ACK.
fn expected_reply(row: &Row, segment: &Seg, reached: &Reached, start: Start) -> Option<(Flags, Seq, Seq)> {
    let flags = segment.flags;
    let len = row.text as u32 + u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
    Some(match row.reply {
        Reply::Silence => return None,
        Reply::Ack(by) => (Flags::ACK, reached.peer.ack, reached.peer.seq + by),
        Reply::Rst0 => (Flags::RST | Flags::ACK, Seq(0), segment.seq + len),
        Reply::Rst1 => (Flags::RST, segment.ack, Seq(0)),
        Reply::SynAck => {
            // Out of TIME-WAIT the ISS is above all that was sent (ISN-6); the clock stands still here.
            let iss = if row.state == State::TimeWait { reached.peer.ack + 1 } else { start.numbers().0 };
            (Flags::SYN | Flags::ACK, iss, segment.seq + 1)
        }
    })
}

/// Runs one row; returns what differs.
fn run_row(row: &Row, kind: Kind, start: Start, opening: Opening) -> Option<String> {
    let mut reached = reach_by(opening, start.setup(), start.numbers().1, row.state);
    let drops = |reached: &Reached| -> Vec<u64> {
        DropReason::ALL.iter().map(|reason| reached.world.dropped(*reason)).collect()
    };
    let before = drops(&reached);
    let segment = segment_of(row, kind, &reached);
    reached.world.inject(std::slice::from_ref(&segment));
    let sent = reached.world.sent();
    assert!(sent.iter().all(|sent| sent.text.is_empty()), "{}", row.name);
    let sent: Vec<_> = sent.iter().map(|s| (s.segment.flags, s.segment.seq, s.segment.ack)).collect();
    let counted = before.iter().zip(drops(&reached)).map(|(before, after)| after - before);
    let counted: Vec<_> = DropReason::ALL.iter().zip(counted).filter(|(_, n)| *n > 0).collect();
    // LISTEN is a listener without a connection.
    let next = if row.next == State::Listen { State::Closed } else { row.next };
    let found = (sent, reached.world.state(PEER_PORT), counted, reached.world.told());
    let expected = (
        expected_reply(row, &segment, &reached, start).into_iter().collect(),
        next,
        row.dropped.iter().map(|reason| (reason, 1)).collect(),
        row.told(opening),
    );
    if next == State::Closed {
        reached.world.assert_quiet();
    }
    let name = format!("{} ({kind:?} in {}, {start:?}, {opening:?})", row.name, row.state.name());
    (found != expected).then(|| format!("{name}\n     found {found:?}\n  expected {expected:?}"))
}

/// Runs all rows of a kind from the given starts; returns the cells.
#[track_caller]
pub fn run(kind: Kind, rows: &[Row], starts: &[Start]) -> HashSet<(Kind, State)> {
    let mut differing = Vec::new();
    for row in rows {
        for opening in row.openings() {
            differing.extend(starts.iter().filter_map(|start| run_row(row, kind, *start, opening)));
        }
    }
    assert!(differing.is_empty(), "reply, next state, reason, told:\n{}", differing.join("\n"));
    rows.iter().map(|row| (kind, row.state)).collect()
}

/// The starts at which numbers wrap.
pub const WRAPS: [Start; 3] = [Start::BelowWrap, Start::AtWrap, Start::AtHalf];

#[test]
fn every_cell_of_eight_arrivals_and_eleven_states_exists_and_holds() {
    let kinds = [
        (Kind::Syn, rcv_syn::rows()),
        (Kind::SynAck, rcv_syn_ack::rows()),
        (Kind::SynFin, rcv_syn_fin::rows()),
        (Kind::Ack, rcv_ack::rows()),
        (Kind::Fin, rcv_fin::rows()),
        (Kind::FinAck, rcv_fin_ack::rows()),
        (Kind::Rst, rcv_rst::rows()),
        (Kind::RstAck, rcv_rst_ack::rows()),
    ];
    let mut cells: HashSet<_> =
        kinds.iter().flat_map(|(kind, rows)| run(*kind, rows, &[Start::Plain])).collect();
    for (kind, _) in &kinds {
        cells.extend(run(*kind, &syn_sent::rows(*kind), &[Start::Plain]));
    }
    for (kind, _) in &kinds {
        for state in State::ALL {
            assert!(cells.contains(&(*kind, state)), "{kind:?} in {} has no row", state.name());
        }
    }
    assert_eq!(cells.len(), 88);
}
