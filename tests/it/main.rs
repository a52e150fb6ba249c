//! Tests of the whole stack without a device: hand-made segments, virtual time, a network in memory.
#![allow(missing_docs)]

mod active;
mod burst;
mod expect;
mod inet;
mod no_alloc;
mod reach;
mod segments;
mod simulation;
mod smoke;
mod smol;
mod states;
