//! ACK, with and without text.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};
use dpdk_tcp::wire::tcp::Flags;

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, data, row, run};
use crate::reach::Told;

fn before_established() -> Vec<Row> {
    let (wrong, outside) = (DropReason::AckInHandshake, DropReason::OutsideWindow);
    let open = [Told::Open];
    vec![
        // VEC-FSM-12.
        row(Closed, "CLD-3 late", Nxt(0)).reply(Reply::Rst1).drops(DropReason::NoConnection),
        row(Closed, "CLD-3 with text", Nxt(0)).text(5).reply(Reply::Rst1).drops(DropReason::NoConnection),
        row(Listen, "LIS-2 late", Nxt(0)).reply(Reply::Rst1).drops(DropReason::ListenAck),
        row(Listen, "LIS-2 with text", Nxt(0)).text(5).reply(Reply::Rst1).drops(DropReason::ListenAck),
        row(SynReceived, "SYR-5", Nxt(0)).to(Established).tells(&open),
        row(SynReceived, "SYR-5 in the window", Edge(-1)).to(Established).tells(&open),
        row(SynReceived, "SYR-7 with text", Nxt(0))
            .text(5)
            .reply(Reply::Ack(5))
            .to(Established)
            .tells(&[Told::Open, data(0, 5)]),
        row(SynReceived, "COM-19 with text behind a hole", Nxt(10))
            .text(5)
            .reply(Reply::Ack(0))
            .to(Established)
            .tells(&open),
        row(SynReceived, "X-5 text that begins on the SYN", Nxt(-1))
            .text(5)
            .reply(Reply::Ack(4))
            .to(Established)
            .tells(&[Told::Open, data(1, 5)]),
        row(SynReceived, "SYR-6 SEG.ACK = ISS", Nxt(0)).ack(-1).reply(Reply::Rst1).drops(wrong),
        row(SynReceived, "SYR-6 beyond SND.NXT", Nxt(0)).ack(1).reply(Reply::Rst1).drops(wrong),
        row(SynReceived, "SYR-6 with text", Nxt(0)).ack(1).text(5).reply(Reply::Rst1).drops(wrong),
        row(SynReceived, "SYR-6 half the space away", Nxt(0)).ack(1 << 31).reply(Reply::Rst1).drops(wrong),
        row(SynReceived, "COM-4 below the window", Nxt(-1)).reply(Reply::Ack(0)).drops(outside),
        row(SynReceived, "COM-4 beyond the window", Edge(0)).reply(Reply::Ack(0)).drops(outside),
        row(SynReceived, "COM-4 outside, and a wrong ACK", Edge(0))
            .ack(1)
            .reply(Reply::Ack(0))
            .drops(outside),
    ]
}

/// What holds alike in all synchronized states: the sequence test and the range of acknowledgments.
fn synchronized() -> Vec<Row> {
    let (outside, old) = (DropReason::OutsideWindow, DropReason::DataDuplicate);
    let (unsent, ancient) = (DropReason::AckUnsent, DropReason::AckTooOld);
    let mut rows = Vec::new();
    for state in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        let push = |rows: &mut Vec<Row>, name, seq, ack: i64, text, reason| {
            rows.push(row(state, name, seq).ack(ack).text(text).reply(Reply::Ack(0)).drops(reason));
        };
        push(&mut rows, "KA-4 a keep-alive probe", Nxt(-1), 0, 0, outside);
        push(&mut rows, "KA-4 a keep-alive probe with an octet", Nxt(-1), 0, 1, old);
        push(&mut rows, "EST-7 old text", Nxt(-900), 0, 900, old);
        push(&mut rows, "EST-7 older text", Nxt(-900), 0, 20, old);
        push(&mut rows, "COM-4 beyond the window", Edge(1), 0, 0, outside);
        push(&mut rows, "COM-4 text beyond the window", Edge(0), 0, 5, outside);
        push(&mut rows, "COM-4 far beyond the window", Nxt(1 << 30), 0, 5, outside);
        push(&mut rows, "COM-11 never sent", Nxt(0), 1, 0, unsent);
        push(&mut rows, "COM-11 never sent, with text", Nxt(0), 1, 5, unsent);
        push(&mut rows, "COM-11 far beyond", Nxt(0), 0x7fff_0000, 5, unsent);
        push(&mut rows, "COM-10 below ISS + 1", Nxt(0), -3, 0, ancient);
        push(&mut rows, "COM-10 ISS - 1000, with text", Nxt(0), -1_001, 5, ancient);
        push(&mut rows, "COM-10 half the space away", Nxt(0), 0x8000_0000, 5, ancient);
    }
    rows
}

fn text_is_taken() -> Vec<Row> {
    let mut rows = Vec::new();
    for (state, ack) in [(Established, 0), (FinWait1, -1), (FinWait2, 0)] {
        let push = |rows: &mut Vec<Row>, name, seq, text, moves, told: &[Told]| {
            rows.push(row(state, name, seq).ack(ack).text(text).reply(Reply::Ack(moves)).tells(told));
        };
        push(&mut rows, "COM-18 in order", Nxt(0), 5, 5, &[data(0, 5)]);
        push(&mut rows, "COM-18 across the wrap", Nxt(0), 1_400, 1_400, &[data(0, 1_400)]);
        push(&mut rows, "X-5 partly old", Nxt(-3), 8, 5, &[data(3, 8)]);
        push(&mut rows, "X-5 one new octet", Nxt(-1_000), 1_001, 1, &[data(1_000, 1_001)]);
        rows.push(row(state, "COM-19 a hole", Nxt(1)).ack(ack).text(5).reply(Reply::Ack(0)));
        rows.push(row(state, "COM-19 last octet", Edge(-1)).ack(ack).text(1).reply(Reply::Ack(0)));
        rows.push(row(state, "COM-19 over the edge", Edge(-1)).ack(ack).text(9).reply(Reply::Ack(0)));
    }
    for (state, ack) in [(CloseWait, 0), (Closing, -1), (LastAck, -1)] {
        let late = DropReason::DataAfterFin;
        for (name, seq) in
            [("COM-20 at RCV.NXT", Nxt(0)), ("COM-23 partly old", Nxt(-3)), ("COM-23 above", Nxt(7))]
        {
            rows.push(row(state, name, seq).ack(ack).text(5).reply(Reply::Ack(0)).drops(late));
        }
    }
    rows
}

fn acknowledgments_move_the_state() -> Vec<Row> {
    let finished = [Told::Closed(CloseReason::Finished)];
    let old = DropReason::TimeWaitOld;
    vec![
        row(Established, "nothing new", Nxt(0)),
        row(Established, "nothing new, PSH", Nxt(0)).plus(Flags::PSH),
        row(Established, "last in the window", Edge(-1)),
        row(FinWait1, "FW1-2 the FIN is not covered", Nxt(0)).ack(-1),
        row(FinWait1, "FW1-3", Nxt(0)).to(FinWait2),
        row(FinWait1, "FW1-3 in the window", Edge(-1)).to(FinWait2),
        row(FinWait1, "FW1-3 and FW1-7", Nxt(0))
            .text(5)
            .reply(Reply::Ack(5))
            .to(FinWait2)
            .tells(&[data(0, 5)]),
        row(FinWait1, "FW1-3 with text behind a hole", Nxt(4)).text(5).reply(Reply::Ack(0)).to(FinWait2),
        row(FinWait2, "FW2-2", Nxt(0)),
        row(FinWait2, "FW2-2 before our FIN", Nxt(0)).ack(-1),
        row(CloseWait, "nothing new", Nxt(0)),
        row(Closing, "CLG-2", Nxt(0)).to(TimeWait).tells(&finished),
        row(Closing, "CLG-3", Nxt(0)).ack(-1),
        row(LastAck, "LAK-2", Nxt(0)).to(Closed).tells(&finished),
        row(LastAck, "LAK-2 in the window", Edge(-1)).to(Closed).tells(&finished),
        row(LastAck, "LAK-2 with text", Nxt(0)).text(5).to(Closed).tells(&finished),
        row(LastAck, "LAK-5", Nxt(0)).ack(-1),
        row(TimeWait, "TMW-4 the last ACK's echo", Nxt(0)).drops(old),
        row(TimeWait, "TMW-4 with text", Nxt(0)).text(5).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TMW-2 old", Nxt(-1)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TMW-2 old text", Nxt(-50)).text(40).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TMW-2 far beyond", Nxt(70_000)).text(1).reply(Reply::Ack(0)).drops(old),
    ]
}

pub fn rows() -> Vec<Row> {
    let mut rows = before_established();
    rows.extend(synchronized());
    rows.extend(text_is_taken());
    rows.extend(acknowledgments_move_the_state());
    rows
}

#[test]
fn an_acknowledgment_is_judged_before_its_text() {
    //= CLD-3
    //= LIS-2
    //= SYR-5
    //= SYR-6
    //= SYR-7
    //= SYR-11
    //= SYN-3
    //= COM-4
    //= COM-10
    //= COM-11
    //= COM-13
    //= COM-18
    //= COM-19
    //= COM-20
    //= COM-23
    //= X-5
    //= EST-4
    //= EST-7
    //= EST-11
    //= FW1-2
    //= FW1-3
    //= FW1-7
    //= FW2-2
    //= FW2-3
    //= FW2-7
    //= CLW-5
    //= CLG-2
    //= CLG-3
    //= LAK-2
    //= LAK-5
    //= TMW-2
    //= TMW-4
    //= KA-4
    //= BA-6
    //= BA-8
    //= ATK-2
    //= ATK-6
    //= ATK-38
    //= ATK-45
    run(Kind::Ack, &rows(), &WRAPS);
}
