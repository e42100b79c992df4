//! A request's head in any shape: it must be refused, asked to go on, or mean one thing only.
//!
//! `cargo +nightly fuzz run http_head -- -max_total_time=180`

#![no_main]

use badbatch::http::Head;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Some((head, length))) = Head::parse(bytes) else { return };
    assert!(length <= bytes.len() && bytes[..length].ends_with(b"\r\n\r\n"));
    assert!(head.path.starts_with('/') || head.path == "*");
    assert!(head.all().filter(|(name, _)| name.eq_ignore_ascii_case("host")).count() <= 1);
    // What comes after a head does not change it, and what is before its end is not enough for one.
    let mut more = bytes[..length].to_vec();
    assert!(matches!(Head::parse(&more[..length - 1]), Ok(None)));
    more.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
    let (again, same) = Head::parse(&more).ok().flatten().expect("it was well formed");
    assert_eq!((same, again.path, again.framing), (length, head.path, head.framing));
});
