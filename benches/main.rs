//! Costs of the pieces and of whole connections, by Criterion: `cargo bench --no-default-features`. Whole
//! connections go through the whole loop over the network in memory, whose own cost is in the number.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "benches")]

mod handshake;
mod link;
mod pieces;

criterion::criterion_group!(benches, pieces::all, link::all, handshake::all);
criterion::criterion_main!(benches);
