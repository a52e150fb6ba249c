//! The program: its command line, what it checks before EAL starts, and the commands themselves.

pub mod args;
pub mod check;
pub mod cores;
pub mod eal_args;
