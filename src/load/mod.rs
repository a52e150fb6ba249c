//! What a load generator decides, without sockets, devices or clocks: when connections are launched, between which
//! endpoints, what is said on them and who closes; and what moves frames over a link without any connection, to
//! measure with and against. Time is an argument, in nanoseconds on the run's own clock.

#![forbid(unsafe_code)]

pub mod closing;
pub mod copies;
pub mod flood;
pub mod floor;
pub mod http;
pub mod schedule;
pub mod search;
pub mod talk;
pub mod tuples;
