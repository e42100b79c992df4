//! Every form in which bodies come and go.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::support::{Running, fits};

const EVENTS: &str = "/api/v1/disruptor/main/events";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

#[test]
fn an_event_comes_in_every_form() {
    let server = Running::start("");
    let mut client = server.client();
    let packed = rmp_serde::to_vec_named(&json!({"data": {"a": [1, "b"]}})).expect("it can be packed");
    let rows: [(&str, &[u8], Value); 9] = [
        ("application/json", b"{\"data\": 1.50}", json!({"data": 1.5, "content_type": "application/json"})),
        ("application/json; charset=utf-8", b"[1]", json!({"data": [1]})),
        ("application/vnd.x+json", b"[2]", json!({"data": [2]})),
        ("application/yaml", b"data:\n  a: [1, b]\n", json!({"data": {"a": [1, "b"]}})),
        ("application/x-yaml", b"- x\n- 2\n", json!({"data": ["x", 2]})),
        ("application/msgpack", &packed, json!({"data": {"a": [1, "b"]}})),
        ("text/plain", "gr\u{fc}n".as_bytes(), json!({"data": "gr\u{fc}n", "content_type": "text/plain"})),
        (
            "application/octet-stream",
            b"\x00\xff",
            json!({"data_base64": "AP8=", "content_type": "application/octet-stream"}),
        ),
        ("", b"3", json!({"data": 3})),
    ];
    for (sequence, (media, body, shape)) in rows.iter().enumerate() {
        let answer = client.ask("POST", EVENTS, &[("Content-Type", media)], body);
        assert_eq!(answer.status, 201, "{media}: {}", answer.text());
        let event = client.get(&format!("{EVENTS}/{sequence}")).json();
        assert!(fits(&event, shape), "{media}: {event}");
    }
    let raw = client.get(&format!("{EVENTS}/7?format=bytes"));
    assert_eq!(
        (raw.header("content-type"), raw.body.as_slice()),
        ("application/octet-stream", &b"\x00\xff"[..])
    );
    let exact = client.get(&format!("{EVENTS}/0?format=bytes"));
    assert_eq!(exact.text(), "1.50");
}

#[test]
fn headers_say_what_a_raw_body_cannot() {
    let server = Running::start("");
    let mut client = server.client();
    let headers = [
        ("Content-Type", "text/plain"),
        ("X-BB-Meta-Source", "a b"),
        ("x-bb-key", "k"),
        ("X-BB-Correlation-Id", "c"),
    ];
    assert_eq!(client.ask("POST", EVENTS, &headers, b"x").status, 201);
    let event = client.get(&format!("{EVENTS}/0")).json();
    assert!(
        fits(&event, &json!({"metadata": {"source": "a b", "key": "k"}, "correlation_id": "c"})),
        "{event}"
    );
}

#[test]
fn a_body_in_no_form_that_is_known_is_refused_with_those_that_are() {
    let server = Running::start("");
    let mut client = server.client();
    let check = |client: &mut crate::support::Client, media: &str, body: &[u8], status: u16, detail: &str| {
        let answer = client.ask("POST", EVENTS, &[("Content-Type", media)], body);
        assert_eq!(answer.status, status, "{media}: {}", answer.text());
        assert!(answer.text().contains(detail), "{media}: {}", answer.text());
    };
    check(
        &mut client,
        "application/x-www-form-urlencoded",
        b"a=b",
        415,
        "curl -H 'content-type: application/json'",
    );
    check(&mut client, "multipart/form-data", b"a", 415, "application/yaml");
    check(&mut client, "application/yaml", b"a: [", 400, "is not YAML");
    check(&mut client, "application/yaml", b"a: &a [*a]\n", 400, "is not YAML");
    check(&mut client, "application/msgpack", b"\xc1", 400, "is not MessagePack");
    check(&mut client, "application/msgpack", b"\x01\x01", 400, "something follows");
    check(&mut client, "application/msgpack", &[0x91; 5000], 400, "is not MessagePack");
    check(&mut client, "application/json", b"{\"a\": 1,}", 400, "is not JSON");
    check(&mut client, "text/plain", b"\xff", 400, "not UTF-8");
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "br")];
    assert_eq!(client.ask("POST", EVENTS, &headers, b"1").status, 415);
}

#[test]
fn an_answer_goes_in_every_form() {
    let server = Running::start("");
    let mut client = server.client();
    assert_eq!(client.post(EVENTS, r#"{"data": {"a": [1, "x: y"]}}"#).status, 201);
    let json = client.get(EVENTS).json();
    for accept in ["application/yaml", "text/html, application/x-yaml;q=0.9, */*;q=0.1"] {
        let yaml = client.ask("GET", EVENTS, &[("Accept", accept)], b"");
        let seen: Value = serde_saphyr::from_str(&yaml.text()).expect("it is YAML");
        assert_eq!((yaml.header("content-type"), &seen), ("application/yaml", &json));
    }
    let packed = client.ask("GET", EVENTS, &[("Accept", "application/msgpack")], b"");
    let seen: Value = rmp_serde::from_slice(&packed.body).expect("it is MessagePack");
    assert_eq!((packed.header("content-type"), &seen), ("application/msgpack", &json));
    let lines = client.get(&format!("{EVENTS}?format=ndjson"));
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!((lines.header("x-bb-next-sequence"), lines.header("x-bb-first-available")), ("1", "0"));
    let text = client.ask("GET", EVENTS, &[("Accept", "text/plain")], b"");
    assert_eq!(text.text(), "{\"a\": [1, \"x: y\"]}\n");
    let pretty = client.get(&format!("{EVENTS}?pretty"));
    assert!(pretty.text().contains("\n  \"items\"") && pretty.json() == json);
    for (accept, status) in [
        ("application/xml", 406),
        ("application/json;q=0", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("image/png, */*;q=0.1", 200),
    ] {
        assert_eq!(client.ask("GET", EVENTS, &[("Accept", accept)], b"").status, status, "{accept}");
    }
    let page = client.ask("GET", "/", &[("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")], b"");
    assert!(
        page.header("content-type").starts_with("text/html")
            && page.header("content-security-policy").contains("default-src 'none'")
    );
    let metrics = client.get("/metrics");
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(metrics.text().contains("badbatch_disruptor_published_events_total{disruptor=\"main\"} 1"));
}

#[test]
fn what_only_json_can_say_is_said_in_json_only() {
    let server = Running::start("");
    let mut client = server.client();
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    for (sequence, data) in ["1e999", &deep].iter().enumerate() {
        assert_eq!(client.post(EVENTS, data).status, 201);
        let event = client.get(&format!("{EVENTS}/{sequence}"));
        assert!(event.status == 200 && event.text().contains(data));
        for form in ["format=yaml", "format=msgpack", "pretty"] {
            let answer = client.get(&format!("{EVENTS}/{sequence}?{form}"));
            assert_eq!((answer.status, &answer.json()["code"]), (406, &json!("not_acceptable")), "{form}");
        }
    }
}

#[test]
fn bodies_are_compressed_both_ways_within_limits() {
    let server = Running::start("");
    let mut client = server.client();
    let text = "x".repeat(100_000);
    let body = gzip(format!("{{\"data\": \"{text}\"}}").as_bytes());
    let headers = [("Content-Type", "application/json"), ("Content-Encoding", "gzip")];
    assert_eq!(client.ask("POST", EVENTS, &headers, &body).status, 201);
    let answer = client.ask("GET", &format!("{EVENTS}/0"), &[("Accept-Encoding", "br, gzip;q=0.5")], b"");
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert!(answer.body.len() < 2000 && answer.header("vary").contains("Accept-Encoding"));
    let mut plain = String::new();
    GzDecoder::new(answer.body.as_slice()).read_to_string(&mut plain).expect("it is gzip");
    assert!(plain.contains(&text));
    for refused in ["gzip;q=0", "br"] {
        let answer = client.ask("GET", &format!("{EVENTS}/0"), &[("Accept-Encoding", refused)], b"");
        assert_eq!(answer.header("content-encoding"), "", "{refused}");
    }
    // Small on the wire, and large behind it.
    let bomb = gzip(&vec![b'1'; 50 << 20]);
    assert!(bomb.len() < 64 << 10);
    let answer = client.ask("POST", EVENTS, &headers, &bomb);
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("payload_too_large")));
    let answer = client.ask("POST", EVENTS, &headers, b"\x1f\x8bnonsense");
    assert_eq!(answer.status, 400, "{}", answer.text());
}

#[test]
fn an_event_may_have_a_mebibyte_and_no_more() {
    let server = Running::start("");
    let mut client = server.client();
    let post = |client: &mut crate::support::Client, bytes: usize| {
        client.ask("POST", EVENTS, &[("Content-Type", "text/plain")], "x".repeat(bytes).as_bytes()).status
    };
    assert_eq!(post(&mut client, 1 << 20), 201);
    assert_eq!(post(&mut client, (1 << 20) + 1), 400);
    assert_eq!(post(&mut client, (2 << 20) + 1), 413);
    assert!(client.is_closed());
}
