//! RST with ACK. Outside SYN-SENT the acknowledgment of a reset is not looked at: any value will do.

use super::matrix::{Kind, Row, WRAPS, run};
use super::rcv_rst::common_rows;

pub fn rows() -> Vec<Row> {
    [0, -1, 1, 0x7000_0000]
        .into_iter()
        .flat_map(|ack| common_rows().into_iter().map(move |row| row.ack(ack)))
        .collect()
}

#[test]
fn the_ack_field_of_a_reset_does_not_matter() {
    //= CLD-1
    //= LIS-1
    //= COM-3
    //= COM-5
    //= COM-6
    //= TMW-1
    //= BA-1
    //= ATK-4
    //= ATK-45
    run(Kind::RstAck, &rows(), &WRAPS);
}
