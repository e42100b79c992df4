//! Following what happens.

use serde_json::json;

use crate::support::{Client, Running};

const EVENTS: &str = "/api/v1/disruptor/main/events";

/// Asks for a stream and returns what its head says.
fn follow(client: &mut Client, path: &str, headers: &str) -> crate::support::Answer {
    client.say(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").as_bytes());
    client.head()
}

/// Reads until the text has come, and returns all of what came.
fn read_until(client: &mut Client, wanted: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(wanted) {
        let piece = client.chunk().unwrap_or_else(|| panic!("the stream ended without {wanted}: {seen}"));
        seen += &String::from_utf8(piece).expect("it is text");
    }
    seen
}

#[test]
fn a_browser_follows_and_comes_back_to_where_it_was() {
    let server = Running::start("");
    let (mut reader, mut client) = (server.client(), server.client());
    let head = follow(&mut reader, &format!("{EVENTS}/stream"), "");
    assert_eq!((head.status, head.header("content-type")), (200, "text/event-stream"));
    assert_eq!((head.header("cache-control"), head.header("x-accel-buffering")), ("no-store", "no"));
    assert!(read_until(&mut reader, "\n\n").contains("retry: 2000"));
    (0..3).for_each(|number| assert_eq!(client.post(EVENTS, &number.to_string()).status, 201));
    let seen = read_until(&mut reader, "id: 2\n");
    assert!(seen.contains("id: 0\ndata: {") && seen.contains("\"data\":1"), "{seen}");
    let mut again = server.client();
    follow(&mut again, &format!("{EVENTS}/stream"), "Last-Event-ID: 0\r\n");
    let seen = read_until(&mut again, "id: 2\n");
    assert!(seen.contains("id: 1\n") && !seen.contains("id: 0\n"), "{seen}");
}

#[test]
fn a_reader_that_is_too_late_is_told_of_the_gap() {
    let server = Running::start("disruptors: [{name: four, buffer_size: 4}]");
    let mut client = server.client();
    let events = "/api/v1/disruptor/four/events";
    (0..10).for_each(|number| {
        assert_eq!(client.post(&format!("{events}?wait=10s"), &number.to_string()).status, 201)
    });
    let seen = client.get(&format!("{events}/stream?from_sequence=2&count=4"));
    assert!(seen.text().contains("event: gap\ndata: {\"from\":2,\"to\":6}\n\n"), "{}", seen.text());
    assert_eq!(seen.text().matches("\nid: ").count(), 4, "{}", seen.text());
    let lines = client_lines(&server, &format!("{events}/stream?from_sequence=2&follow=false&format=ndjson"));
    assert_eq!((lines.len(), &lines[0]), (5, &json!({"gap": {"from": 2, "to": 6}})));
    assert_eq!(lines[1]["sequence"], 6);
}

fn client_lines(server: &Running, path: &str) -> Vec<serde_json::Value> {
    let text = server.client().get(path).text();
    text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect()
}

#[test]
fn a_gating_reader_misses_nothing_and_holds_up_producers() {
    let server = Running::start("disruptors: [{name: four, buffer_size: 4}]");
    let mut reader = server.client();
    let events = "/api/v1/disruptor/four/events";
    let head = follow(&mut reader, &format!("{events}/stream?gating=true&format=ndjson&count=500"), "");
    assert_eq!(head.status, 200);
    let mut client = server.client();
    let publisher = std::thread::spawn(move || {
        (0..500).for_each(|number| {
            assert_eq!(client.post(&format!("{events}?wait=30s"), &number.to_string()).status, 201);
        });
    });
    let mut seen = String::new();
    while let Some(piece) = reader.chunk() {
        seen += &String::from_utf8(piece).expect("it is text");
    }
    publisher.join().expect("it published");
    let numbers: Vec<u64> = seen
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("it is JSON")["data"]
                .as_u64()
                .expect("a number")
        })
        .collect();
    assert!(numbers.iter().copied().eq(0..500), "{numbers:?}");
}

#[test]
fn asking_for_the_head_of_a_stream_does_not_begin_one() {
    let server = Running::start("");
    let mut client = server.client();
    assert_eq!(client.ask("HEAD", &format!("{EVENTS}/stream"), &[], b"").status, 200);
    assert_eq!(client.get("/health/live").status, 200);
}

#[test]
fn several_topics_come_in_one_stream() {
    let server = Running::start("disruptors: [{name: other}]");
    let (mut reader, mut client) = (server.client(), server.client());
    let head = follow(&mut reader, "/api/v1/stream?topics=metrics,events:main,events:other", "");
    assert_eq!(head.status, 200);
    read_until(&mut reader, "event: metrics\ndata: {\"disruptors\":[{");
    assert_eq!(client.post("/api/v1/disruptor/other/events", "\"hello\"").status, 201);
    let seen = read_until(&mut reader, "\"data\":\"hello\"");
    assert!(seen.contains("event: events:other\n"), "{seen}");
}

#[test]
fn a_stream_ends_with_its_disruptor_and_with_the_server() {
    let server = Running::start("disruptors: [{name: short}]");
    let (mut one, mut two, mut client) = (server.client(), server.client(), server.client());
    follow(&mut one, "/api/v1/disruptor/short/events/stream", "");
    follow(&mut two, &format!("{EVENTS}/stream?format=ndjson"), "");
    assert_eq!(client.ask("DELETE", "/api/v1/disruptor/short", &[], b"").status, 204);
    assert!(read_until(&mut one, "event: end").contains("the disruptor was deleted"));
    assert!(one.chunk().is_none());
    let ending = std::thread::spawn(move || server.stop());
    while two.chunk().is_some() {}
    assert!(ending.join().expect("it ended"));
}

#[test]
fn streams_are_few_and_the_rest_is_served() {
    let limits = badbatch::http::Limits { lanes: 2, lanes_per_address: 2, ..Default::default() };
    let server = Running::start_with("", limits);
    let mut readers: Vec<Client> = (0..2).map(|_| server.client()).collect();
    for reader in &mut readers {
        assert_eq!(follow(reader, &format!("{EVENTS}/stream"), "").status, 200);
    }
    let mut client = server.client();
    let refused = client.get(&format!("{EVENTS}/stream"));
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("too_many_streams")));
    assert_eq!(server.client().post(EVENTS, "1").status, 201);
}

#[test]
fn an_old_client_gets_a_stream_that_ends_with_the_connection() {
    let server = Running::start("");
    let mut client = server.client();
    assert_eq!(client.post(EVENTS, "1").status, 201);
    let mut old = server.client();
    old.say(format!("GET {EVENTS}/stream?follow=false&format=text HTTP/1.0\r\n\r\n").as_bytes());
    let answer = old.answer(false);
    assert_eq!((answer.status, answer.text().as_str(), answer.header("connection")), (200, "1\n", "close"));
}
