//! What applications ask for (requirements 2.14), in every state.

mod abort;
mod close;
mod send;
mod settings;
mod urgent;
