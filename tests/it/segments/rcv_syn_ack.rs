//! SYN and ACK.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, TimeWait,
};

use super::matrix::At::{Edge, Nxt};
use super::matrix::{Kind, Reply, Row, WRAPS, row, run};

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
    for state in [SynReceived, Established, FinWait1, FinWait2, CloseWait, Closing, LastAck] {
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
fn a_syn_ack_never_opens_and_is_challenged_in_a_connection() {
    //= CLD-3
    //= LIS-2
    //= SYR-4
    //= COM-7
    //= EST-3
    //= ATK-3
    //= ATK-45
    run(Kind::SynAck, &rows(), &WRAPS);
}
