//! FIN without ACK: the sequence test, then it is dropped (PRE-12).

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};
use dpdk_tcp::wire::tcp::Flags;

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, row, run};

pub fn rows() -> Vec<Row> {
    let (no_ack, outside) = (DropReason::NoAck, DropReason::OutsideWindow);
    let mut rows = vec![
        row(Closed, "CLD-2 a FIN scan", Nxt(0)).reply(Reply::Rst0).drops(DropReason::NoConnection),
        row(Closed, "CLD-2 with text", Nxt(0)).text(4).reply(Reply::Rst0).drops(DropReason::NoConnection),
        row(Listen, "LIS-12 a FIN scan", Nxt(0)).drops(DropReason::ListenOther),
        row(Listen, "LIS-12 a Christmas tree", Nxt(0))
            .text(2)
            .plus(Flags::PSH | Flags::URG)
            .drops(DropReason::ListenOther),
        row(TimeWait, "COM-9 beyond the old FIN", Nxt(0)).drops(no_ack),
        row(TimeWait, "TMW-2 where the old FIN was", Nxt(-1))
            .reply(Reply::Ack(0))
            .drops(DropReason::TimeWaitOld),
    ];
    for state in [SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        rows.push(row(state, "PRE-12 at RCV.NXT", Nxt(0)).drops(no_ack));
        rows.push(row(state, "PRE-12 with text", Nxt(0)).text(5).drops(no_ack));
        rows.push(row(state, "PRE-12 PSH and URG", Nxt(0)).plus(Flags::PSH | Flags::URG).drops(no_ack));
        rows.push(row(state, "PRE-12 last in the window", Edge(-1)).drops(no_ack));
        rows.push(row(state, "COM-4 old", Nxt(-1)).reply(Reply::Ack(0)).drops(outside));
        rows.push(row(state, "COM-4 beyond the window", Edge(0)).reply(Reply::Ack(0)).drops(outside));
    }
    rows
}

#[test]
fn a_fin_without_ack_closes_nothing() {
    //= PRE-12
    //= CLD-2
    //= LIS-12
    //= X-6
    //= COM-4
    //= COM-9
    //= ATK-3
    //= ATK-6
    //= ATK-45
    run(Kind::Fin, &rows(), &WRAPS);
}
