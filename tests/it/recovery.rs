//! Loss recovery seen from the wire: what goes again, when, and how much beside it.

mod lab;
mod new_reno;
mod rack;
mod spurious;
mod tail;
mod windows;
