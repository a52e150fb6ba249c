//! Checks which DPDK the device layer was built against and stamps it into the program, for `--version`.
//! Linking is the business of `dpdk-sys` alone.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let (version, link) = if env::var_os("CARGO_FEATURE_DPDK").is_none() {
        ("none".to_owned(), "none")
    } else {
        let Ok(version) = env::var("DEP_DPDK_VERSION") else {
            println!("cargo::error=dpdk-sys did not say which DPDK it found: build the whole workspace anew");
            return;
        };
        (version, if env::var_os("CARGO_FEATURE_STATIC").is_some() { "static" } else { "shared" })
    };
    println!("cargo::rustc-env=DPDK_TCP_DPDK_VERSION={version}");
    println!("cargo::rustc-env=DPDK_TCP_DPDK_LINK={link}");
}
