//! A client and a server that means harm, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dpdk_tcp_fuzz::client::run(data));
