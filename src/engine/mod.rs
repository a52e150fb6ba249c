//! The thin join: one shard of connections and one poll loop over any link. The protocol's rules are in
//! `tcp`, the devices behind `link`; here it is only decided *when* events are fed and debts are paid.

#![forbid(unsafe_code)]

mod abandon;
pub mod active;
mod admit;
pub mod api;
mod arrivals;
mod choices;
mod classify;
pub mod control;
mod emit;
mod entry;
mod errors;
mod expire;
mod fragments;
mod held;
pub mod host;
pub mod invariants;
pub mod limits;
mod listen;
pub mod meter;
mod pay;
mod port;
mod process;
mod records;
mod recoveries;
pub mod shard;
mod slot;
mod slots;
mod time_wait;
pub mod timers;
mod usual;
pub mod wheel;
pub mod worker;
