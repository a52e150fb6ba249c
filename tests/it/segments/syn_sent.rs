//! All eight arrivals in SYN-SENT (requirements 2.4): acknowledgment, reset, SYN, rest. SEG.SEQ is counted from the
//! peer's ISS, which says nothing yet; SEG.ACK from ISS + 1, the only good one.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State::{CloseWait, Closed, Established, SynReceived, SynSent};
use dpdk_tcp::wire::tcp::Flags;

use super::matrix::At::Nxt;
use super::matrix::{Kind, Reply, Row, WRAPS, data, row, run};
use crate::reach::Told;

const HALF: i64 = 1 << 31;
const KINDS: [Kind; 8] =
    [Kind::Syn, Kind::SynAck, Kind::SynFin, Kind::Ack, Kind::Fin, Kind::FinAck, Kind::Rst, Kind::RstAck];

/// Acknowledgments that do not cover our SYN.
const WRONG: [(&str, i64); 4] = [
    ("SEG.ACK = ISS", -1),
    ("SEG.ACK beyond SND.NXT", 1),
    ("far beyond", HALF - 2),
    ("half the space away", HALF),
];

/// Whatever the other bits, a wrong acknowledgment draws its reset, and nothing changes.
fn wrong_acknowledgments() -> Vec<Row> {
    let each = WRONG.iter().flat_map(|(name, ack)| {
        let at = |text| row(SynSent, name, Nxt(0)).ack(*ack).text(text);
        [at(0), at(5)].map(|row| row.reply(Reply::Rst1).drops(DropReason::AckInHandshake))
    });
    each.collect()
}

fn syn_ack() -> Vec<Row> {
    let open = [Told::Connected];
    let good = |name, seq| row(SynSent, name, Nxt(seq)).to(Established).tells(&open);
    let mut rows = vec![
        good("SYS-7", 0).reply(Reply::Ack(1)),
        good("SYS-7 any SEG.SEQ", HALF).reply(Reply::Ack(1 + HALF as u32)),
        good("SYS-8 text", 0).text(5).reply(Reply::Ack(6)).tells(&[Told::Connected, data(0, 5)]),
        good("SYS-8 a FIN", 0)
            .plus(Flags::FIN)
            .reply(Reply::Ack(2))
            .to(CloseWait)
            .tells(&[Told::Connected, Told::PeerClose]),
        good("SYS-8 text and FIN", 0).text(5).plus(Flags::FIN).reply(Reply::Ack(7)).to(CloseWait).tells(&[
            Told::Connected,
            data(0, 5),
            Told::PeerClose,
        ]),
        row(SynSent, "PRE-11 RST wins", Nxt(0))
            .plus(Flags::RST)
            .to(Closed)
            .tells(&[Told::Closed(CloseReason::Refused)]),
        row(SynSent, "SYS-2 with RST and a wrong ACK", Nxt(0))
            .ack(-1)
            .plus(Flags::RST)
            .drops(DropReason::AckInHandshake),
    ];
    rows.extend(wrong_acknowledgments());
    rows
}

fn syn() -> Vec<Row> {
    let crossed = |name, seq| row(SynSent, name, Nxt(seq)).reply(Reply::SynAck).to(SynReceived);
    vec![
        crossed("SYS-9", 0),
        crossed("SYS-9 any SEG.SEQ", HALF),
        crossed("SYS-9 text is not acknowledged", 0).text(5),
        crossed("SYS-9 PSH and URG", 0).plus(Flags::PSH | Flags::URG),
        row(SynSent, "PRE-11 RST wins", Nxt(0)).plus(Flags::RST).drops(DropReason::RstNoConnection),
    ]
}

/// Neither SYN nor RST, nor an acknowledgment that would be wrong.
fn rest() -> Vec<Row> {
    let at = |name, seq| row(SynSent, name, Nxt(seq)).drops(DropReason::NoSyn);
    vec![
        at("SYS-10", 0),
        at("SYS-10 any SEG.SEQ", HALF),
        at("SYS-10 text", 0).text(5),
        at("SYS-10 PSH and URG", 0).text(5).plus(Flags::PSH | Flags::URG),
    ]
}

/// The rows of one kind of arrival.
pub fn rows(kind: Kind) -> Vec<Row> {
    let reset = |name, seq| row(SynSent, name, Nxt(seq));
    let refused = [Told::Closed(CloseReason::Refused)];
    match kind {
        Kind::Syn | Kind::SynFin => syn(),
        Kind::SynAck => syn_ack(),
        Kind::Fin => rest(),
        Kind::Ack | Kind::FinAck => {
            let mut rows = rest();
            rows.extend(wrong_acknowledgments());
            rows
        }
        Kind::Rst => {
            let nobody = DropReason::RstNoConnection;
            vec![
                reset("SYS-4", 0).drops(nobody),
                reset("SYS-4 any SEG.SEQ", HALF).drops(nobody),
                reset("SYS-4 text", 0).text(5).drops(nobody),
            ]
        }
        Kind::RstAck => {
            let mut rows = vec![
                reset("SYS-3", 0).to(Closed).tells(&refused),
                reset("SYS-6 odd SEG.SEQ", HALF + 7).to(Closed).tells(&refused),
                reset("SYS-3 text", 0).text(5).to(Closed).tells(&refused),
            ];
            let wrong = |(name, ack): &(&'static str, i64)| reset(name, 0).ack(*ack);
            rows.extend(WRONG.iter().map(wrong).map(|row| row.drops(DropReason::AckInHandshake)));
            rows
        }
    }
}

#[test]
fn syn_sent_believes_only_what_acknowledges_its_syn() {
    //= SYS-1
    //= SYS-2
    //= SYS-3
    //= SYS-4
    //= SYS-6
    //= SYS-7
    //= SYS-8
    //= SYS-9
    //= SYS-10
    //= X-6
    //= PRE-10
    //= PRE-11
    //= MUST-12
    //= ATK-45
    for kind in KINDS {
        run(kind, &rows(kind), &WRAPS);
    }
}
