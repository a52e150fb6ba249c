//! Bytes on the wire: every layout is read and written here, once, and nothing else is known.

pub mod seq;
pub mod tcp;
pub mod tcp_options;
