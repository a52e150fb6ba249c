//! Programs for two engines and the network between them, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dpdk_tcp_fuzz::pair::run(data));
