//! What happens when time passes (requirements 2.15).

mod closing;
mod keep_alive;
mod probes;
mod retransmission;
mod user_timeout;
