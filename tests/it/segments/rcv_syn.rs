//! SYN, without ACK.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};
use dpdk_tcp::wire::tcp::Flags;

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, row, run};

pub fn rows() -> Vec<Row> {
    let (again, refused) = (DropReason::SynRepeated, DropReason::SynInConnection);
    let old = DropReason::TimeWaitSyn;
    let mut rows = vec![
        row(Closed, "CLD-2 a port scan", Nxt(0)).reply(Reply::Rst0).drops(DropReason::NoConnection),
        row(Closed, "CLD-2 with text", Nxt(0)).text(10).reply(Reply::Rst0).drops(DropReason::NoConnection),
        row(Listen, "LIS-4", Nxt(0)).reply(Reply::SynAck).to(SynReceived),
        row(Listen, "LIS-5 text is not acknowledged", Nxt(0)).text(7).reply(Reply::SynAck).to(SynReceived),
        row(Listen, "PSH and URG change nothing", Nxt(0))
            .plus(Flags::PSH | Flags::URG)
            .reply(Reply::SynAck)
            .to(SynReceived),
        row(Listen, "PRE-11 RST wins", Nxt(0)).plus(Flags::RST).drops(DropReason::ListenRst),
        row(SynReceived, "SYR-3 the peer repeats its SYN", Nxt(-1)).reply(Reply::SynAck).drops(again),
        row(SynReceived, "SYR-3 with text", Nxt(-1)).text(9).reply(Reply::SynAck).drops(again),
        row(SynReceived, "SYR-4 at RCV.NXT", Nxt(0)).reply(Reply::Ack(0)).drops(refused),
        row(SynReceived, "SYR-4 last in the window", Edge(-1)).reply(Reply::Ack(0)).drops(refused),
        row(SynReceived, "COM-7 beyond the window", Edge(0)).reply(Reply::Ack(0)).drops(refused),
        row(SynReceived, "COM-7 just below IRS", Nxt(-2)).reply(Reply::Ack(0)).drops(refused),
        row(TimeWait, "TW-7 the FIN's own number", Nxt(-1)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TW-7 below", Nxt(-900)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "TW-7 just beyond", Nxt(0)).reply(Reply::SynAck).to(SynReceived),
        row(TimeWait, "TW-7 far beyond", Nxt(0x7fff_fffe)).reply(Reply::SynAck).to(SynReceived),
        row(TimeWait, "TW-7 so far that it is below", Nxt(0x8000_0000)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "LIS-5 text with a reopening SYN", Nxt(5)).text(5).reply(Reply::SynAck).to(SynReceived),
        row(TimeWait, "PRE-11 RST wins", Nxt(0)).plus(Flags::RST).drops(DropReason::TimeWaitRst),
    ];
    for state in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        for (name, seq) in [
            ("COM-7 the peer's ISN again", Nxt(-1)),
            ("COM-7 at RCV.NXT", Nxt(0)),
            ("COM-7 last in the window", Edge(-1)),
            ("COM-7 beyond the window", Edge(0)),
            ("COM-7 far below", Nxt(-70_000)),
            ("COM-7 half the space away", Nxt(0x8000_0000)),
        ] {
            rows.push(row(state, name, seq).reply(Reply::Ack(0)).drops(refused));
        }
        rows.push(row(state, "COM-7 with text", Nxt(0)).text(10).reply(Reply::Ack(0)).drops(refused));
    }
    rows
}

#[test]
fn a_syn_opens_repeats_reopens_or_is_challenged() {
    //= CLD-2
    //= LIS-4
    //= LIS-5
    //= SYR-3
    //= SYR-4
    //= COM-7
    //= EST-3
    //= BA-2
    //= COM-8
    //= TMW-5
    //= TMW-6
    //= TW-7
    //= TW-8
    //= PRE-11
    //= ATK-5
    //= ATK-42
    //= ATK-45
    run(Kind::Syn, &rows(), &WRAPS);
}
