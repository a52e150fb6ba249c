//! What a run tells about itself. Reads snapshots; never on a worker's thread.

pub mod collect;
pub mod csv;
pub mod figures;
pub mod hdr_log;
mod joined;
pub mod json;
pub mod run;
#[cfg(test)]
mod sample;
pub mod text;
