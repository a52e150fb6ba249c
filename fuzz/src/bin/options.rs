//! TCP options into their parser, by libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dpdk_tcp_fuzz::parsers::options(data));
