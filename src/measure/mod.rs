//! Loops that are measured: each turn of a side is timed, its counts are handed over once a second, and whoever
//! reports never makes it wait. Knows engines and applications, neither devices nor reports.

#![forbid(unsafe_code)]

pub mod drive;
pub mod flood;
pub mod lines;
pub mod pair;
pub mod runner;
pub mod side;
pub mod sockets;
