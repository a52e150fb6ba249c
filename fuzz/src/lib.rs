//! The harnesses of the fuzz targets, and what they share with the integration tests.

pub mod client;
#[path = "../../tests/it/expect.rs"]
pub mod expect;
pub mod frames;
pub mod pair;
pub mod parsers;
#[path = "../../tests/it/reach.rs"]
pub mod reach;
