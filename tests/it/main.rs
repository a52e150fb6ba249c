//! Tests of the whole stack without a device: hand-made segments, virtual time, a network in memory.
#![allow(missing_docs)]

mod active;
mod expect;
mod inet;
mod reach;
mod segments;
mod smoke;
mod states;
