//! DPDK's devices, made safe: the environment ([`eal`]), pools and frames ([`mempool`], [`mbuf`]), ports and
//! queues ([`port`], [`queue`]), two ports joined in memory ([`cable`]), pinned threads ([`lcore`]) and the
//! clock ([`tsc`]). The only place of this crate with `unsafe`, each block with the facts that allow it.
//!
//! This layer moves bursts of frames and knows nothing of what is inside them.
//!
//! Life and death: pools and ports hold the [`eal::Eal`] they were made with, ports hold their pool, queues
//! their port. So whatever order things are dropped in, a port is closed before its pool is freed, and EAL is
//! cleaned up last. A frame holds nothing, since it would have to pay for it on each arrival; a pool that is
//! dropped while frames are out is therefore never freed (see [`mempool::Mempool`]).

#![allow(unsafe_code, reason = "calls into DPDK, which is C")]

pub mod cable;
mod console;
mod diagnosis;
pub mod eal;
pub mod error;
pub mod lcore;
mod log;
pub mod mbuf;
pub mod mempool;
pub mod offload;
pub mod port;
pub mod queue;
pub mod tsc;
