//! Counters: one list of names, one array per worker, a single writer, any number of readers.

pub mod counters;
pub mod losses;
pub mod snapshot;
