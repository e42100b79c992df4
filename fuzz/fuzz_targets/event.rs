//! What a producer sends, in any shape: it must be refused, or come back as it was.
//!
//! `cargo +nightly fuzz run event -- -max_total_time=180`

#![no_main]

use badbatch::base::ulid::Ulid;
use badbatch::engine::{Draft, Event, write_event};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(draft) = Draft::from_json(bytes) else { return };
    draft.check().expect("what is read is right");
    let event = Event::new(&draft, Ulid(1), 2);
    assert_eq!(event.payload(), &*draft.payload);
    let again = event.to_draft();
    assert_eq!((again.metadata, again.correlation_id), (draft.metadata, draft.correlation_id));
    let mut shown = Vec::new();
    write_event(&mut shown, 0, &event);
    assert!(!shown.contains(&b'\n'));
    let _json: &serde_json::value::RawValue = serde_json::from_slice(&shown).expect("what is shown is JSON");
});
