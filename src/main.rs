//! The program `dpdk-tcp`. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dpdk_tcp::cli::main(std::env::args_os().skip(1))
}
