//! Whole frames into a running engine, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dpdk_tcp_fuzz::frames::run(data));
