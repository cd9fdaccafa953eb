//! What proxies say of a client.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_gateway::fuzz::forward(bytes));
