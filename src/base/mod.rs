//! Containers and names without any knowledge of protocols or devices. Imports nothing of this crate.

pub mod burst;
pub mod drop_reason;
pub mod hash;
pub mod limits;
pub mod rate;
pub mod rng;
pub mod time;
