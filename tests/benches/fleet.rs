//! `cargo bench -p aivonx-tests --bench fleet [-- MIX]`: seconds to the first token, in simulated time.

mod fleet {
    include!("fleet/mod.rs");
}
