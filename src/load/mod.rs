//! What a load generator decides, without sockets, devices or clocks: when connections are launched, between which
//! endpoints, what is said on them and who closes. Time is an argument, in nanoseconds on the run's own clock.

#![forbid(unsafe_code)]

pub mod closing;
pub mod http;
pub mod schedule;
pub mod talk;
pub mod tuples;
