//! Costs of the pieces and of whole connections, by Criterion: `cargo bench --no-default-features`. Whole
//! connections go through the whole loops of both sides over the link in memory, whose own cost is in the number.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "benches")]

mod arrivals;
mod blocks;
mod both;
mod connections;
mod flood;
mod index;
mod link;
mod pieces;
mod rig;
mod smol;
mod timers;
mod tokio_wheel;

criterion::criterion_group!(
    benches,
    pieces::all,
    index::all,
    timers::all,
    link::all,
    arrivals::all,
    flood::all,
    connections::all
);
criterion::criterion_main!(benches);
