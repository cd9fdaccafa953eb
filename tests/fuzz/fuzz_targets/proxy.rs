//! The header of a connection from a proxy.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_gateway::fuzz::proxy(bytes));
