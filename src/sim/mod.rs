//! A network in memory: frames, faulty wires, a switch between many of them, virtual time. Everything follows
//! from a seed, and nothing here knows TCP or the engine.

pub mod clock;
pub mod faults;
pub mod frame;
mod line;
mod nic;
pub mod pair;
pub mod pcap;
mod router;
pub mod world;
