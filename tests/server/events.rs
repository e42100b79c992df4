//! Publishing and reading: batches, lines, repeats, limits.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Running, fits};

const EVENTS: &str = "/api/v1/disruptor/main/events";

/// A sink that cannot hand over: nobody listens there.
const STUCK: &str = "disruptors:
- name: stuck
  buffer_size: 4
  sinks: [{kind: webhook, url: 'http://127.0.0.1:9/'}]
server: {drain_timeout: 0s}
";

fn data(client: &mut Client, path: &str) -> Vec<Value> {
    let list = client.get(path).json();
    list["items"].as_array().expect("a list").iter().map(|event| event["data"].clone()).collect()
}

#[test]
fn a_batch_is_published_as_a_whole_or_not_at_all() {
    let server = Running::start("");
    let mut client = server.client();
    let batch = json!({"events": [{"data": 1}, {"data": 2, "metadata": {"b": "own"}}, [3]], "metadata": {"a": "all", "b": "all"}});
    let answer = client.post(&format!("{EVENTS}/batch"), &batch.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let shape = json!({"published_count": 3, "batch_id": "text", "published_at": "text",
        "events": [{"sequence": 0}, {"sequence": 1}, {"sequence": 2}]});
    assert!(fits(&answer.json(), &shape), "{}", answer.text());
    assert_eq!(client.get(&format!("{EVENTS}/1")).json()["metadata"], json!({"b": "own", "a": "all"}));
    let wrong = client.post(&format!("{EVENTS}/batch"), "[4, {\"data\": null}, 5]");
    assert_eq!((wrong.status, data(&mut client, EVENTS).len()), (400, 3));
    let partly = client.post(&format!("{EVENTS}/batch?partial=true"), "[4, {\"data\": null}, 5]");
    let shape = json!({"published_count": 2, "failed_count": 1, "results": [
        {"index": 0, "status": 201, "sequence": 3}, {"index": 1, "status": 400, "problem": {"code": "invalid_request"}},
        {"index": 2, "status": 201, "sequence": 4}]});
    assert!(partly.status == 207 && fits(&partly.json(), &shape), "{}", partly.text());
    assert_eq!(data(&mut client, EVENTS), [json!(1), json!(2), json!([3]), json!(4), json!(5)]);
    let large = json!({"name": "small", "buffer_size": 2});
    assert_eq!(client.post("/api/v1/disruptor", &large.to_string()).status, 201);
    let answer = client.post("/api/v1/disruptor/small/events/batch", "[1, 2, 3]");
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("batch_too_large")));
}

#[test]
fn batches_for_several_disruptors_are_each_told_of() {
    let server = Running::start("disruptors: [{name: a}, {name: b}]");
    let mut client = server.client();
    let answer = client.post("/api/v1/batch/events", r#"{"a": [1], "b": {"events": [2, 3]}}"#);
    let shape = json!({"a": {"ok": {"published_count": 1}}, "b": {"ok": {"published_count": 2}}});
    assert!(answer.status == 200 && fits(&answer.json(), &shape), "{}", answer.text());
    let answer = client.post("/api/v1/batch/events", r#"{"a": [1], "c": [1], "b": [{"data": null}]}"#);
    let shape = json!({"a": {"ok": {"published_count": 1}}, "b": {"problem": {"code": "invalid_request"}},
        "c": {"problem": {"code": "disruptor_not_found"}}});
    assert!(answer.status == 207 && fits(&answer.json(), &shape), "{}", answer.text());
}

#[test]
fn lines_are_published_as_they_come_and_wrong_ones_are_told() {
    let server = Running::start("disruptors: [{name: lines, buffer_size: 65536}]");
    let mut client = server.client();
    let bulk = "/api/v1/disruptor/lines/events/bulk";
    let lines = "{\"data\": 1, \"metadata\": {\"k\": \"v\"}}\n\n{\"x\": 2}\nnonsense\n\"last\"";
    let answer = client.ask("POST", bulk, &[("Content-Type", "application/x-ndjson")], lines.as_bytes());
    let shape = json!({"published_count": 3, "rejected_count": 1, "first_sequence": 0, "next_sequence": 3,
        "rejected": [{"line": 4, "problem": {"code": "invalid_request"}}]});
    assert!(answer.status == 207 && fits(&answer.json(), &shape), "{}", answer.text());
    assert_eq!(
        data(&mut client, "/api/v1/disruptor/lines/events"),
        [json!(1), json!({"x": 2}), json!("last")]
    );
    // In chunks that break lines anywhere.
    let text: String = (0..10_000).map(|number| format!("line {number}\r\n")).collect();
    let mut request = format!("POST {bulk} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes();
    for piece in text.as_bytes().chunks(777) {
        request.extend(format!("{:x}\r\n", piece.len()).bytes().chain(piece.iter().copied()).chain(*b"\r\n"));
    }
    request.extend(b"0\r\n\r\n");
    client.say(&request);
    let answer = client.answer(false);
    assert!(
        answer.status == 200
            && fits(&answer.json(), &json!({"published_count": 10_000, "first_sequence": 3})),
        "{}",
        answer.text()
    );
    let back = client.get("/api/v1/disruptor/lines/events/stream?follow=false&from_sequence=3&format=text");
    assert_eq!(back.text(), text);
}

#[test]
fn a_full_ring_is_told_and_waiting_helps_only_while_somebody_waits() {
    let server = Running::start(STUCK);
    let mut client = server.client();
    let events = "/api/v1/disruptor/stuck/events";
    let statuses: Vec<u16> = (0..5).map(|_| client.post(events, "1").status).collect();
    assert_eq!(statuses, [201, 201, 201, 201, 503]);
    let answer = client.post(&format!("{events}?wait=20ms"), "1");
    let shape = json!({"code": "ring_full", "capacity": 4, "used": 4, "slowest": "webhook", "retry_after_ms": "number"});
    assert!(fits(&answer.json(), &shape), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "1");
    let lines =
        client.ask("POST", &format!("{events}/bulk?wait=20ms"), &[("Content-Type", "text/plain")], b"a\nb\n");
    let shape = json!({"code": "ring_full", "next_line": 1, "progress": {"published_count": 0}});
    assert!(lines.status == 503 && fits(&lines.json(), &shape), "{}", lines.text());
    let health = client.get("/health").json();
    assert!(fits(&health, &json!({"status": "degraded"})), "{health}");
    let stop = client.post("/api/v1/disruptor/stuck/stop?drain=10ms", "");
    assert!(
        stop.status == 409 && fits(&stop.json(), &json!({"code": "drain_timed_out", "left": 4})),
        "{}",
        stop.text()
    );
    assert_eq!(client.get("/api/v1/disruptor/stuck/status").json()["status"], "draining");
    assert_eq!(client.ask("DELETE", "/api/v1/disruptor/stuck?force=true", &[], b"").status, 204);
}

/// The client of this test gives up after half a minute, and asks to wait for a whole one.
#[test]
fn who_waits_is_told_when_the_server_ends() {
    let other = "disruptors:\n- name: other\n  sinks: [{kind: webhook, url: 'http://127.0.0.1:9/'}]\n";
    let server = Running::start(&STUCK.replace("disruptors:\n", other));
    let events = "/api/v1/disruptor/stuck/events";
    (0..4).for_each(|_| assert_eq!(server.client().post(events, "1").status, 201));
    assert_eq!(server.client().post("/api/v1/disruptor/other/events", "1").status, 201);
    let ask = |method: &'static str, path: String| {
        let mut client = server.client();
        let body = if method == "POST" { "Content-Length: 1\r\n\r\n1" } else { "\r\n" };
        client.say(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{body}").as_bytes());
        client
    };
    let mut waiting = [
        ask("POST", format!("{events}?wait=60s")),
        ask("POST", format!("{events}/bulk?wait=60s")),
        ask("POST", "/api/v1/disruptor/other/stop?drain=60s".to_owned()),
        ask("GET", "/api/v1/disruptor/main/events?wait=60s".to_owned()),
    ];
    let wait =
        |_| server.client().get("/metrics").text().lines().any(|line| line == "badbatch_http_streams 4");
    assert!((0..1000).any(wait), "all of them wait");
    let ending = std::thread::spawn(move || server.stop());
    let statuses = waiting.each_mut().map(|client| client.answer(false).status);
    assert_eq!(statuses, [503, 503, 409, 200]);
    assert!(!ending.join().expect("it ended"));
}

#[test]
fn a_limit_per_second_is_told_apart_from_a_full_ring() {
    let server = Running::start("disruptors: [{name: slow, config: {max_events_per_second: 1}}]");
    let mut client = server.client();
    let events = "/api/v1/disruptor/slow/events";
    // A batch above the rate leaves a debt of seconds.
    assert_eq!(client.post(&format!("{events}/batch"), &format!("{:?}", [1; 60])).status, 201);
    let answer = client.post(events, "1");
    assert!(
        answer.status == 429 && fits(&answer.json(), &json!({"code": "rate_limited", "limit": 1})),
        "{}",
        answer.text()
    );
    assert!(!answer.header("retry-after").is_empty() && !answer.header("ratelimit").is_empty());
    assert_eq!(client.get("/api/v1/disruptor/slow/metrics").json()["rejected"]["rate_limited"], 1);
}

#[test]
fn clients_are_limited_too() {
    let server = Running::start("server: {requests_per_second: 1}");
    let mut client = server.client();
    let statuses: Vec<u16> = (0..50).map(|_| client.get("/api/v1/disruptor").status).collect();
    assert_eq!(statuses[0], 200);
    assert!(
        statuses.contains(&429) && statuses.iter().all(|status| matches!(status, 200 | 429)),
        "{statuses:?}"
    );
    assert_eq!(client.get("/health/live").status, 200);
}

#[test]
fn a_request_with_a_key_is_done_once() {
    let server = Running::start("");
    let mut client = server.client();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "k1")];
    let first = client.ask("POST", EVENTS, &headers, b"1");
    let again = client.ask("POST", EVENTS, &headers, b"1");
    assert_eq!((first.status, first.text()), (again.status, again.text()));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    let other = client.ask("POST", EVENTS, &headers, b"2");
    assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_conflict")));
    assert_eq!(data(&mut client, EVENTS), [json!(1)]);
    // Lines under a key are read as a whole.
    let bulk = [("Content-Type", "text/plain"), ("Idempotency-Key", "k2")];
    let answers = [0, 1].map(|_| client.ask("POST", &format!("{EVENTS}/bulk"), &bulk, b"a\nb\n").text());
    assert_eq!(answers[0], answers[1]);
    assert_eq!(data(&mut client, EVENTS).len(), 3);
    // What failed may be repeated.
    let wrong = [("Content-Type", "application/json"), ("Idempotency-Key", "k3")];
    assert_eq!(client.ask("POST", EVENTS, &wrong, b"{").status, 400);
    assert_eq!(client.ask("POST", EVENTS, &wrong, b"3").status, 201);
}

#[test]
fn what_is_overwritten_is_gone_and_what_follows_is_there() {
    let server = Running::start("disruptors: [{name: four, buffer_size: 4}]");
    let mut client = server.client();
    let events = "/api/v1/disruptor/four/events";
    (0..6).for_each(|number| {
        assert_eq!(client.post(&format!("{events}?wait=10s"), &number.to_string()).status, 201)
    });
    let gone = client.get(&format!("{events}/1"));
    assert!(
        gone.status == 410 && fits(&gone.json(), &json!({"code": "event_overwritten", "first_available": 2})),
        "{}",
        gone.text()
    );
    assert_eq!(client.get(&format!("{events}?from_sequence=1")).status, 410);
    let list = client.get(&format!("{events}?limit=2&offset=1")).json();
    assert!(
        fits(
            &list,
            &json!({"first_available": 2, "next_sequence": 5, "total": 4, "items": [{"data": 3}, {"data": 4}]})
        ),
        "{list}"
    );
    assert_eq!(data(&mut client, &format!("{events}?from_sequence=3&to_sequence=5")), [json!(3), json!(4)]);
}

#[test]
fn a_list_waits_for_what_comes() {
    let server = Running::start("");
    let mut reader = server.client();
    let waited = std::thread::spawn(move || reader.get(&format!("{EVENTS}?from_sequence=0&wait=30s")).json());
    let mut client = server.client();
    assert_eq!(client.post(EVENTS, "7").status, 201);
    assert_eq!(waited.join().expect("it read")["items"][0]["data"], 7);
    let none = client.get(&format!("{EVENTS}?from_sequence=5&wait=1ms")).json();
    assert_eq!((&none["items"], &none["next_sequence"]), (&json!([]), &json!(5)));
    assert_eq!(data(&mut client, &format!("{EVENTS}?correlation_id=x")), Vec::<Value>::new());
}

#[test]
fn events_of_a_certain_age_are_not_shown() {
    let server = Running::start("disruptors: [{name: old, config: {retention_seconds: 3600}}]");
    let disruptor = server.node.engine().find("old").expect("it is there");
    let draft = badbatch::engine::Draft::bare(badbatch::engine::ContentType::Json, b"1");
    let hour = 3600 * 1_000_000;
    let now = server.node.clock().unix_micros();
    let id = badbatch::base::ulid::Ulid(1);
    let made =
        [now - 2 * hour, now - 2 * hour, now].map(|time| badbatch::engine::Event::new(&draft, id, time));
    disruptor.publish(&made, Duration::ZERO).expect("there is room");
    let list = server.client().get("/api/v1/disruptor/old/events").json();
    assert!(fits(&list, &json!({"first_available": 2, "items": [{"sequence": 2}]})), "{list}");
}
