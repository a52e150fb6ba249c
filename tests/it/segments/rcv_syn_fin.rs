//! SYN and FIN, without ACK: the rules for SYN win (PRE-10).

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, row, run};

pub fn rows() -> Vec<Row> {
    let (again, refused) = (DropReason::SynRepeated, DropReason::SynInConnection);
    let old = DropReason::TimeWaitSyn;
    let mut rows = vec![
        row(Closed, "CLD-2 counts both", Nxt(0)).reply(Reply::Rst0).drops(DropReason::NoConnection),
        // VEC-FSM-11.
        row(Closed, "CLD-2 ten octets", Nxt(0)).text(10).reply(Reply::Rst0).drops(DropReason::NoConnection),
        row(Listen, "LIS-6", Nxt(0)).reply(Reply::SynAck).to(SynReceived),
        row(Listen, "LIS-6 with text", Nxt(0)).text(10).reply(Reply::SynAck).to(SynReceived),
        row(SynReceived, "SYR-3 again", Nxt(-1)).reply(Reply::SynAck).drops(again),
        row(SynReceived, "SYR-4", Nxt(0)).reply(Reply::Ack(0)).drops(refused),
        row(SynReceived, "COM-7 beyond", Edge(0)).reply(Reply::Ack(0)).drops(refused),
        row(TimeWait, "TW-7 not beyond", Nxt(-1)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TW-7 ends where the old FIN did", Nxt(-2)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TW-7 beyond", Nxt(0)).reply(Reply::SynAck).to(SynReceived),
    ];
    for state in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        for (name, seq) in [
            ("COM-7 at RCV.NXT", Nxt(0)),
            ("COM-7 ends at RCV.NXT", Nxt(-2)),
            ("COM-7 last in the window", Edge(-1)),
            ("COM-7 beyond the window", Edge(0)),
        ] {
            rows.push(row(state, name, seq).reply(Reply::Ack(0)).drops(refused));
        }
        rows.push(row(state, "COM-7 with text", Nxt(0)).text(4).reply(Reply::Ack(0)).drops(refused));
    }
    rows
}

#[test]
fn a_syn_with_a_fin_is_a_syn() {
    //= PRE-10
    //= CLD-2
    //= LIS-6
    //= X-6
    //= SYR-3
    //= SYR-4
    //= COM-7
    //= TMW-5
    //= ATK-42
    //= ATK-45
    run(Kind::SynFin, &rows(), &WRAPS);
}
