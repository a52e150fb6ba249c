//! Who is who: from endpoints to a connection, a TIME-WAIT record or a listener. Knows no rule of TCP.

#![forbid(unsafe_code)]

mod bucket;
pub mod key;
pub mod listeners;
pub mod per_address;
pub mod source_port;
pub mod table;
pub mod time_wait_ring;
