//! What every host answers and needs to know: its addresses, its routes, its neighbours, ARP, ICMP. Decisions
//! are values; nothing here sends or counts.

#![forbid(unsafe_code)]

pub mod claim;
pub mod icmp;
pub mod locals;
pub mod neighbour;
pub mod path_mtu;
pub mod reassembly;
pub mod route;
