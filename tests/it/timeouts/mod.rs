//! What happens when time passes (requirements 2.15).

mod closing;
mod probes;
mod retransmission;
