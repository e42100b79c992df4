//! Operations on a ring beside the model that `tests/properties.rs` uses too.
//!
//! Run it with `cargo +nightly fuzz run ring_ops -- -max_total_time=180`; cargo-fuzz comes with
//! `cargo install cargo-fuzz`.

#![no_main]

#[path = "../../tests/properties/model.rs"]
mod model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| model::run(bytes));
