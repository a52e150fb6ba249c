//! SYN and ACK.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};
use dpdk_tcp::wire::tcp::Flags;

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, data, row, run};
use crate::reach::Told;
use crate::states::Opening;

pub fn rows() -> Vec<Row> {
    let (nobody, refused) = (DropReason::NoConnection, DropReason::SynInConnection);
    let old = DropReason::TimeWaitSyn;
    let mut rows = vec![
        row(Closed, "CLD-3 stray", Nxt(0)).reply(Reply::Rst1).drops(nobody),
        row(Closed, "CLD-3 with text", Nxt(0)).text(3).reply(Reply::Rst1).drops(nobody),
        row(Listen, "LIS-2 stray", Nxt(0)).reply(Reply::Rst1).drops(DropReason::ListenAck),
        row(TimeWait, "beyond the old numbers", Nxt(0)).reply(Reply::Ack(0)).drops(old),
        row(TimeWait, "below the old numbers", Nxt(-1)).reply(Reply::Ack(0)).drops(old),
    ];
    // SYR-8 is for a connection that was opened actively; one that we opened passively never sent a SYN alone,
    // so that a SYN-ACK cannot be the answer to it.
    let other_half =
        |name| row(SynReceived, name, Nxt(-1)).to(Established).tells(&[Told::Open]).opened(Opening::Active);
    let challenged = |name, seq| row(SynReceived, name, seq).reply(Reply::Ack(0)).drops(refused);
    rows.extend([
        other_half("SYR-8 the other half of a simultaneous open").reply(Reply::Ack(0)),
        other_half("SYR-8 with text").text(3).reply(Reply::Ack(3)).tells(&[Told::Open, data(0, 3)]),
        other_half("SYR-8 with a FIN")
            .plus(Flags::FIN)
            .reply(Reply::Ack(1))
            .to(CloseWait)
            .tells(&[Told::Open, Told::PeerClose]),
        challenged("SYR-4 the peer's ISN, and an ACK below", Nxt(-1)).ack(-1),
        challenged("SYR-4 the peer's ISN, and an ACK above", Nxt(-1)).ack(1),
        challenged("SYR-4 just below the peer's ISN", Nxt(-2)),
        challenged("SYR-4 the peer's ISN", Nxt(-1)).opened(Opening::Passive),
        challenged("SYR-4 at RCV.NXT", Nxt(0)),
        challenged("SYR-4 last in the window", Edge(-1)),
        challenged("COM-7 beyond the window", Edge(0)),
    ]);
    for state in [Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
        for (name, seq, ack) in [
            ("COM-7 the peer's ISN, good ACK", Nxt(-1), 0),
            ("COM-7 at RCV.NXT, good ACK", Nxt(0), 0),
            ("COM-7 at RCV.NXT, bad ACK", Nxt(0), 77),
            ("COM-7 last in the window", Edge(-1), 0),
            ("COM-7 beyond the window", Edge(0), -9),
        ] {
            rows.push(row(state, name, seq).ack(ack).reply(Reply::Ack(0)).drops(refused));
        }
    }
    rows
}

#[test]
fn a_syn_ack_opens_only_where_a_syn_crossed_ours_and_is_challenged_in_a_connection() {
    //= SYR-8
    //= CLD-3
    //= LIS-2
    //= SYR-4
    //= COM-7
    //= EST-3
    //= ATK-3
    //= ATK-45
    run(Kind::SynAck, &rows(), &WRAPS);
}
