//! What an application that opens connections by the million asks of the engine.

mod abandon;
mod due;
mod knobs;
mod meter;
mod reply;
mod shortest;
mod troubles;
