//! The head of a request to a node.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_gateway::fuzz::request(bytes));
