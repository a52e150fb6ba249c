//! RST without ACK: exact, near, or outside.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};
use dpdk_tcp::wire::tcp::Flags;

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, row, run};
use crate::reach::Told;
use crate::states::Opening;

/// Rows that hold with and without an ACK field, since nothing looks at it.
pub fn common_rows() -> Vec<Row> {
    let (near, outside) = (DropReason::RstNotExact, DropReason::RstOutsideWindow);
    let reset = [Told::Closed(CloseReason::Reset)];
    let refused = [Told::Closed(CloseReason::Refused)];
    let mut rows = vec![
        row(Closed, "CLD-1", Nxt(0)).drops(DropReason::RstNoConnection),
        row(Closed, "CLD-1 with text", Nxt(0)).text(8).drops(DropReason::RstNoConnection),
        row(Listen, "LIS-1", Nxt(0)).drops(DropReason::ListenRst),
        row(Listen, "LIS-1 with SYN", Nxt(0)).plus(Flags::SYN).drops(DropReason::ListenRst),
        row(SynReceived, "SYR-1 silently back to LISTEN", Nxt(0)).to(Closed).opened(Opening::Passive),
        row(SynReceived, "SYR-1 with text", Nxt(0)).text(5).to(Closed).opened(Opening::Passive),
        row(SynReceived, "SYR-2", Nxt(0)).to(Closed).tells(&refused).opened(Opening::Active),
        row(SynReceived, "SYR-2 with text", Nxt(0))
            .text(5)
            .to(Closed)
            .tells(&refused)
            .opened(Opening::Active),
        row(TimeWait, "TMW-1 exact", Nxt(0)).drops(DropReason::TimeWaitRst),
        row(TimeWait, "TMW-1 in the window", Nxt(9)).drops(DropReason::TimeWaitRst),
        row(TimeWait, "TMW-1 old", Nxt(-1)).drops(DropReason::TimeWaitRst),
        row(TimeWait, "TMW-1 with SYN", Nxt(1)).plus(Flags::SYN).drops(DropReason::TimeWaitRst),
    ];
    for state in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        rows.push(row(state, "COM-5 exact", Nxt(0)).to(Closed).tells(&reset));
        rows.push(row(state, "SHLD-2 with text", Nxt(0)).text(5).to(Closed).tells(&reset));
        rows.push(row(state, "PRE-11 with SYN", Nxt(0)).plus(Flags::SYN).to(Closed).tells(&reset));
        rows.push(
            row(state, "with FIN and URG", Nxt(0)).plus(Flags::FIN | Flags::URG).to(Closed).tells(&reset),
        );
    }
    for state in [SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        rows.push(row(state, "COM-6 one above", Nxt(1)).reply(Reply::Ack(0)).drops(near));
        rows.push(row(state, "COM-6 last in the window", Edge(-1)).reply(Reply::Ack(0)).drops(near));
        rows.push(row(state, "COM-3 beyond the window", Edge(0)).drops(outside));
        rows.push(row(state, "COM-3 one below", Nxt(-1)).drops(outside));
        rows.push(row(state, "COM-3 text reaches into the window", Nxt(-1)).text(5).drops(outside));
        rows.push(row(state, "COM-3 half the space away", Nxt(0x8000_0000)).drops(outside));
    }
    rows
}

pub fn rows() -> Vec<Row> {
    common_rows()
}

#[test]
fn only_an_exact_reset_resets() {
    //= CLD-1
    //= LIS-1
    //= SYR-1
    //= SYR-2
    //= MUST-11
    //= COM-3
    //= COM-5
    //= COM-6
    //= EST-1
    //= EST-2
    //= FW1-1
    //= FW2-1
    //= CLW-1
    //= CLG-1
    //= LAK-1
    //= TMW-1
    //= TW-9
    //= BA-1
    //= SHLD-2
    //= MUST-12
    //= PRE-11
    //= ATK-4
    //= ATK-17
    //= ATK-45
    run(Kind::Rst, &rows(), &WRAPS);
}
