//! The harness of the fuzz target, and what it shares with the integration tests.

#[path = "../../tests/it/expect.rs"]
pub mod expect;
pub mod frames;
#[path = "../../tests/it/reach.rs"]
pub mod reach;
