//! What a run tells about itself. Reads snapshots; never on a worker's thread.

pub mod collect;
pub mod compare;
pub mod csv;
pub mod figures;
pub mod flat;
mod flood;
pub mod hdr_log;
mod joined;
pub mod json;
pub mod limit;
pub mod live;
pub mod report;
pub mod run;
#[cfg(test)]
mod sample;
pub mod spread;
mod stream;
pub mod text;
pub mod units;
