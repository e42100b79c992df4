//! A configuration file in any shape: every mistake is told, and what is taken can be shown.
//!
//! `cargo +nightly fuzz run settings -- -max_total_time=180`

#![no_main]

use badbatch::node::Settings;

libfuzzer_sys::fuzz_target!(|text: &str| {
    match Settings::gather(Some(text), |_| None, &[]) {
        Ok(settings) => {
            let (_address, _drain) = (settings.bind_addr(), settings.drain_timeout());
            assert!(settings.to_public_json()["settings"].is_array());
        }
        Err(errors) => assert!(errors.iter().all(|error| !error.message.is_empty())),
    }
});
