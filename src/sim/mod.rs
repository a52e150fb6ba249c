//! A network in memory: frames, a faulty wire between two ends, virtual time. Everything follows from a seed,
//! and nothing here knows TCP or the engine.

pub mod faults;
pub mod frame;
mod nic;
pub mod pair;
pub mod pcap;
