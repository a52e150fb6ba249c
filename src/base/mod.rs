//! Containers and names without any knowledge of protocols or devices. Imports nothing of this crate.

pub mod aes;
pub mod bag;
pub mod burst;
pub mod bytes;
pub mod cycles;
pub mod drop_reason;
pub mod hash;
pub mod ids;
pub mod index_queue;
pub mod list;
pub mod pages;
pub mod prefetch;
pub mod rate;
pub mod ring;
pub mod rng;
pub mod simd;
pub mod slab;
pub mod text;
pub mod time;
