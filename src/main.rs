//! The program `dpdk-tcp`. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    dpdk_tcp::cli::main(&words)
}
