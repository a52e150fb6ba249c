//! Counters: one list of names, one array per worker, a single writer, any number of readers.

pub mod account;
pub mod counters;
pub mod interval;
pub mod latency;
pub mod losses;
pub mod snapshot;
pub mod syns;
