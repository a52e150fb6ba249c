//! FIN and ACK, with and without text: what a peer that closes really sends.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, data, row, run};
use crate::reach::Told;

fn before_established() -> Vec<Row> {
    let wrong = DropReason::AckInHandshake;
    vec![
        row(Closed, "CLD-3", Nxt(0)).reply(Reply::Rst1).drops(DropReason::NoConnection),
        row(Listen, "LIS-2", Nxt(0)).reply(Reply::Rst1).drops(DropReason::ListenAck),
        row(SynReceived, "SYR-9", Nxt(0))
            .reply(Reply::Ack(1))
            .to(CloseWait)
            .tells(&[Told::Open, Told::PeerClose]),
        row(SynReceived, "SYR-9 with text", Nxt(0)).text(5).reply(Reply::Ack(6)).to(CloseWait).tells(&[
            Told::Open,
            data(0, 5),
            Told::PeerClose,
        ]),
        row(SynReceived, "COM-22 a hole", Nxt(3))
            .reply(Reply::Ack(0))
            .to(Established)
            .drops(DropReason::OutOfOrder)
            .tells(&[Told::Open]),
        row(SynReceived, "SYR-6", Nxt(0)).ack(1).reply(Reply::Rst1).drops(wrong),
        row(SynReceived, "SYR-6 SEG.ACK = ISS", Nxt(0)).ack(-1).reply(Reply::Rst1).drops(wrong),
        row(SynReceived, "COM-4", Nxt(-1)).reply(Reply::Ack(0)).drops(DropReason::OutsideWindow),
        row(SynReceived, "COM-4 beyond", Edge(0)).reply(Reply::Ack(0)).drops(DropReason::OutsideWindow),
    ]
}

fn fin_is_awaited() -> Vec<Row> {
    let (hole, outside) = (DropReason::OutOfOrder, DropReason::OutsideWindow);
    let closed = [Told::PeerClose, Told::Closed(CloseReason::Finished)];
    let mut rows = Vec::new();
    for (state, ack, next) in [
        (Established, 0, CloseWait),
        (FinWait1, -1, Closing),
        (FinWait1, 0, TimeWait),
        (FinWait2, 0, TimeWait),
    ] {
        let after: &[Told] = if next == TimeWait { &closed } else { &closed[..1] };
        let told = |told: Told| [&[told][..], after].concat();
        let at = |name, seq| row(state, name, seq).ack(ack);
        rows.push(at("COM-21", Nxt(0)).reply(Reply::Ack(1)).to(next).tells(after));
        rows.push(
            at("EST-10 text and FIN", Nxt(0)).text(5).reply(Reply::Ack(6)).to(next).tells(&told(data(0, 5))),
        );
        rows.push(
            at("X-5 text is old, FIN is new", Nxt(-5)).text(5).reply(Reply::Ack(1)).to(next).tells(after),
        );
        rows.push(
            at("X-5 partly old", Nxt(-2)).text(5).reply(Reply::Ack(4)).to(next).tells(&told(data(2, 5))),
        );
        let stays = if ack == 0 && state == FinWait1 { FinWait2 } else { state };
        rows.push(at("COM-22 a hole", Nxt(1)).reply(Reply::Ack(0)).to(stays).drops(hole));
        rows.push(at("COM-22 a hole and text", Nxt(1)).text(5).reply(Reply::Ack(0)).to(stays).drops(hole));
        rows.push(at("COM-22 last in the window", Edge(-1)).reply(Reply::Ack(0)).to(stays).drops(hole));
        rows.push(at("COM-4 old", Nxt(-1)).reply(Reply::Ack(0)).drops(outside));
        rows.push(at("COM-4 beyond the window", Edge(0)).reply(Reply::Ack(0)).drops(outside));
        rows.push(row(state, "COM-11", Nxt(0)).ack(1).reply(Reply::Ack(0)).drops(DropReason::AckUnsent));
        rows.push(row(state, "COM-10", Nxt(0)).ack(-3).reply(Reply::Ack(0)).drops(DropReason::AckTooOld));
    }
    rows
}

fn fin_was_taken() -> Vec<Row> {
    let (late, outside) = (DropReason::DataAfterFin, DropReason::OutsideWindow);
    let finished = [Told::Closed(CloseReason::Finished)];
    let mut rows = vec![
        row(Closing, "CLG-4 and CLG-2", Nxt(-1)).reply(Reply::Ack(0)).to(TimeWait).tells(&finished),
        row(LastAck, "LAK-2 with a FIN beyond the FIN", Nxt(0)).to(Closed).tells(&finished),
        row(TimeWait, "TMW-3 the FIN again", Nxt(-1)).reply(Reply::Ack(0)),
        row(TimeWait, "TMW-3 the FIN again with its text", Nxt(-6)).text(5).reply(Reply::Ack(0)),
        row(TimeWait, "TMW-2 an older FIN", Nxt(-2)).reply(Reply::Ack(0)).drops(DropReason::TimeWaitOld),
        row(TimeWait, "COM-23 beyond the FIN", Nxt(0)).reply(Reply::Ack(0)).drops(DropReason::TimeWaitOld),
    ];
    for (state, ack) in [(CloseWait, 0), (Closing, -1), (LastAck, -1)] {
        let at = |name, seq| row(state, name, seq).ack(ack).reply(Reply::Ack(0));
        rows.push(at("CLW-4 the FIN again", Nxt(-1)).drops(outside));
        rows.push(at("CLW-4 the FIN again with its text", Nxt(-6)).text(5).drops(DropReason::DataDuplicate));
        rows.push(at("COM-23 a FIN beyond the FIN", Nxt(0)).drops(late));
        rows.push(at("COM-23 text and FIN beyond the FIN", Nxt(0)).text(5).drops(late));
        rows.push(at("COM-23 text that overlaps the FIN", Nxt(-1)).text(5).drops(late));
        rows.push(at("COM-4 beyond the window", Edge(0)).drops(outside));
        rows.push(row(state, "COM-11", Nxt(0)).ack(1).reply(Reply::Ack(0)).drops(DropReason::AckUnsent));
    }
    rows
}

pub fn rows() -> Vec<Row> {
    let mut rows = before_established();
    rows.extend(fin_is_awaited());
    rows.extend(fin_was_taken());
    rows
}

#[test]
fn a_fin_counts_once_and_in_order() {
    //= CLD-3
    //= LIS-2
    //= SYR-6
    //= SYR-9
    //= COM-4
    //= COM-21
    //= COM-22
    //= COM-23
    //= X-5
    //= EST-9
    //= EST-10
    //= FW1-4
    //= FW1-5
    //= FW2-4
    //= CLW-4
    //= CLG-4
    //= LAK-4
    //= TMW-3
    //= MUST-12
    //= ATK-6
    //= ATK-45
    run(Kind::FinAck, &rows(), &WRAPS);
}
