//! The answer of a node.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| aivonx_gateway::fuzz::answer(bytes));
