//! What a hostile or broken client can do to a connection, and what it cannot do to others.

use std::io::Read;
use std::time::Duration;

use badbatch::http::Limits;
use serde_json::json;

use crate::support::{Client, Running};

const EVENTS: &str = "/api/v1/disruptor/main/events";

/// What is said, the status that comes back, and whether the server closes.
fn check(server: &Running, said: &[u8], status: u16) {
    let mut client = server.client();
    client.say(said);
    let answer = client.answer(false);
    let shown = String::from_utf8_lossy(&said[..said.len().min(200)]).into_owned();
    assert_eq!(answer.status, status, "{shown}: {}", answer.text());
    assert_eq!(answer.header("connection"), "close", "{shown}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{shown}");
    assert!(client.is_closed(), "{shown}");
    assert_eq!(server.client().get("/health/live").status, 200, "{shown}");
}

#[test]
fn what_is_no_request_is_refused_and_the_connection_ends() {
    let server = Running::start("");
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(10_000));
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(100_000));
    let rows: [(&[u8], u16); 16] = [
        (b"\0\0\0\0\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505),
        (b"GET nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: other\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX : y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", 400),
        (many.as_bytes(), 431),
        (long.as_bytes(), 431),
    ];
    rows.iter().for_each(|(said, status)| check(&server, said, *status));
}

#[test]
fn broken_chunks_are_told_and_nothing_is_published() {
    let server = Running::start("");
    for chunks in [
        "x\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloworld\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let head = format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        check(&server, format!("{head}{chunks}").as_bytes(), 400);
    }
    assert_eq!(server.client().get(EVENTS).json()["total"], 0);
}

#[test]
fn a_length_that_nobody_can_have_is_refused_before_anything_is_read() {
    let server = Running::start("");
    for path in [EVENTS, "/api/v1/disruptor", "/nothing", "/health"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 70000000000\r\n\r\n");
        check(&server, head.as_bytes(), 413);
    }
}

#[test]
fn requests_in_a_row_are_answered_in_a_row() {
    let server = Running::start("");
    let mut client = server.client();
    let request = |number: u32| {
        let body = number.to_string();
        format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let all: String = (0..200).map(request).collect();
    client.say(all.as_bytes());
    for number in 0..200 {
        assert_eq!(client.answer(false).json()["sequence"], number);
    }
    // And after one that goes to a lane and comes back.
    let chunked = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n7\r\n0\r\n\r\n"
    );
    client.say(format!("{chunked}{}", request(8)).as_bytes());
    assert_eq!([client.answer(false), client.answer(false)].map(|answer| answer.status), [201, 201]);
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let server = Running::start("");
    let mut client = server.client();
    for length in [5, 100_000] {
        client.say(format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        assert_eq!(client.head().status, 100);
        client.say("x".repeat(length).as_bytes());
        assert_eq!(client.answer(false).status, 201);
    }
}

#[test]
fn an_old_client_is_answered_in_its_way() {
    let server = Running::start("");
    let mut client = server.client();
    client.say(b"GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(client.answer(false).header("connection"), "keep-alive");
    client.say(b"GET /health/live HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer(false).header("connection"), "close");
    assert!(client.is_closed());
}

#[test]
fn half_open_connections_make_room_for_honest_ones() {
    let limits = Limits { connections: 16, ..Limits::default() };
    let server = Running::start_with("", limits);
    let mut slow: Vec<Client> = (0..100).map(|_| server.client()).collect();
    slow.iter_mut().for_each(|client| client.say(b"GET /health HTTP/1.1\r\nHost: loc"));
    for _ in 0..20 {
        assert_eq!(server.client().get("/health/live").status, 200);
    }
    let evicted = slow.iter_mut().take(50).filter_map(|client| {
        client.stream.get_mut().set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        matches!(client.stream.read(&mut [0]), Ok(0) | Err(_)).then_some(())
    });
    assert_eq!(evicted.count(), 50);
}

#[test]
fn a_slow_head_ends_and_a_slow_body_is_told() {
    let short = Duration::from_millis(50);
    let limits = Limits { head_time: short, idle_time: short, body_time: short, ..Limits::default() };
    let server = Running::start_with("", limits);
    let (mut head, mut idle, mut body) = (server.client(), server.client(), server.client());
    head.say(b"GET / HT");
    body.say(
        format!("POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")
            .as_bytes(),
    );
    let answer = body.answer(false);
    assert_eq!((answer.status, &answer.json()["code"]), (408, &json!("request_timeout")));
    assert!(head.is_closed() && idle.is_closed());
}
