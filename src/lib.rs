//! A TCP endpoint that lives on DPDK queues: one pinned core, one poll loop, one shard of connections.
//!
//! The layers, from the bottom: [`base`] (containers), [`wire`] (bytes), [`link`] (the border to devices),
//! [`stats`] (counters), [`tcp`] (the protocol, pure), [`flow`] (who is who), [`inet`] (what every host
//! answers), [`sim`] (a network in memory), [`dpdk`] (DPDK's devices), [`engine`] (the thin join), [`load`] (what a
//! load generator decides), [`app`] (services and the client), [`kernel`] (both on the kernel's sockets), [`measure`]
//! (loops that are timed), [`telemetry`] (reports), [`config`] and [`cli`] (the program). `docs/ARCHITECTURE.md` has
//! the picture.

pub mod app;
pub mod base;
pub mod cli;
pub mod config;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod engine;
pub mod flow;
pub mod inet;
pub mod kernel;
pub mod link;
pub mod load;
pub mod measure;
pub mod sim;
pub mod stats;
pub mod tcp;
pub mod telemetry;
pub mod wire;
