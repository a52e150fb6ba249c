//! Tests of the whole stack without a device: hand-made segments, virtual time, a network in memory.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(clippy::wrong_self_convention, reason = "a segment is told where it comes from")]

mod active;
mod attacks;
mod burst;
mod calls;
mod client;
mod cookies;
mod differential;
mod expect;
mod flood;
mod floor;
mod found;
mod fuzz;
mod generator;
mod half_open;
mod held;
mod icmp_errors;
mod inet;
mod kernel;
mod layers;
mod limits;
mod listen;
mod marks;
mod no_alloc;
mod path_mtu;
mod predict;
mod reach;
mod recovery;
mod rows;
mod script;
mod segments;
mod simulation;
mod smoke;
mod smol;
mod spec;
mod states;
mod throughput;
mod tidy;
mod time_wait;
mod timeouts;
mod vectors;
