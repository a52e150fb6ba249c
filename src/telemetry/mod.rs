//! What a run tells about itself. Reads snapshots; never on a worker's thread.

pub mod collect;
pub mod figures;
mod joined;
pub mod run;
pub mod text;
