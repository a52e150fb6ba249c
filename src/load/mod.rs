//! Load that needs no connections of its own: what moves frames over any link, and what the engine is measured
//! with or against. Knows links and bytes, neither devices nor the engine.

#![forbid(unsafe_code)]

pub mod flood;
pub mod floor;
