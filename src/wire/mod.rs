//! Bytes on the wire: every layout is read and written here, once, and nothing else is known.

#![forbid(unsafe_code)]

pub mod arp;
pub mod checksum;
pub mod ethernet;
pub mod icmp_error;
pub mod icmpv4;
pub mod ipv4;
pub mod seq;
pub mod tcp;
pub mod tcp_options;
