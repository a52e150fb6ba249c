//! Client and server on the kernel's sockets: against each other, and each against a plain one of `std`. Real time, since
//! the kernel has no other; addresses of 127.0.0.0/8 only.

mod accounts;
mod foreign;
mod limits;
mod rig;
mod served;
