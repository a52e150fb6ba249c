//! SEGMENT ARRIVES (RFC 9293 3.10.7): one file per kind of state.

pub mod closed;
pub mod listen;
mod marks;
mod predict;
pub mod steps;
mod syn_sent;
pub mod synchronized;
