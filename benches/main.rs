//! Costs of the pieces and of whole connections, by Criterion: `cargo bench --no-default-features`. Whole
//! connections go through the whole loop over the network in memory, whose own cost is in the number.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "benches")]

mod handshake;
mod index;
mod link;
mod pieces;
mod timers;

criterion::criterion_group!(benches, pieces::all, index::all, timers::all, link::all, handshake::all);
criterion::criterion_main!(benches);
