//! The device layer against virtual devices. EAL can be started once in a process, so each test starts itself
//! again as a process of its own (see `child`). Works with hugepages and without, and needs root only for the
//! kernel's tap, which says so when it is left out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bench;
mod child;
mod connect;
mod cores;
mod counted;
mod errors;
mod faults;
mod kept;
mod kernel;
mod lab;
mod loops;
mod malloc;
mod memory;
mod no_alloc;
mod pools;
mod rig;
mod roles;
mod serve;
mod socket;
mod tap;
mod text;
mod traffic;
