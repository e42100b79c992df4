//! The Rust client against a real server, and against what is none.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use badbatch::client::{Client, ClientError, LineKind, Tailed};
use serde_json::json;

use crate::support::Running;

fn client(server: &Running) -> Client {
    Client::new(&format!("http://{}", server.address)).expect("it is an endpoint")
}

/// Answers each connection with the next of these, and returns the idempotency keys that it was sent.
fn scripted(answers: Vec<String>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    let script = thread::spawn(move || {
        let mut keys = Vec::new();
        for answer in answers {
            let (stream, _) = listener.accept().expect("somebody connects");
            let mut stream = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                if let Some((name, value)) = line.trim().split_once(": ") {
                    match name.to_lowercase().as_str() {
                        "idempotency-key" => keys.push(value.to_owned()),
                        "content-length" => length = value.parse().expect("a number"),
                        _ => {}
                    }
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("the body comes");
            stream.get_mut().write_all(answer.as_bytes()).expect("it is read");
        }
        keys
    });
    (endpoint, script)
}

#[test]
fn everything_can_be_done_from_rust() {
    let server = Running::start("");
    let client = client(&server);
    let made = client.create(&json!({"name": "a", "buffer_size": 8})).expect("made");
    assert_eq!(made["status"], "running");
    for (action, status) in
        [("pause", "paused"), ("resume", "running"), ("stop", "stopped"), ("start", "running")]
    {
        assert_eq!(client.change("a", action).expect(action)["status"], status);
    }
    assert_eq!(client.publish("a", &json!({"n": 1})).expect("published")["sequence"], 0);
    assert_eq!(client.publish_batch("a", &[json!(2), json!(3)]).expect("published")["published_count"], 2);
    assert_eq!(client.event("a", 2).expect("read")["data"], 3);
    assert_eq!(client.show("a").expect("shown")["next_sequence"], 3);
    client.delete("a").expect("deleted");
    let error = client.show("a").expect_err("it is gone");
    assert_eq!((error.code(), error.is_transient()), (Some("disruptor_not_found"), false));
    let odd = client.show("a/b c?d").expect_err("no such name");
    assert_eq!(odd.code(), Some("disruptor_not_found"));
}

#[test]
fn a_tail_resumes_and_tells_its_gaps() {
    let server = Running::start("disruptors: [{name: four, buffer_size: 4}]");
    let client = client(&server);
    let mut tail = client.tail("four", 0);
    let data = |tailed: Option<Result<Tailed, ClientError>>| match tailed
        .expect("it goes on")
        .expect("it is reached")
    {
        Tailed::Event(event) => event["data"].as_u64().expect("a number"),
        Tailed::Gap(from, to) => panic!("{from} to {to}"),
    };
    client.publish_batch("four", &[json!(0), json!(1)]).expect("published");
    assert_eq!([data(tail.next()), data(tail.next())], [0, 1]);
    for number in 2..10 {
        let path = "/api/v1/disruptor/four/events?wait=10s";
        let body = Some(badbatch::client::Body::Json(json!(number)));
        client.json("POST", path, body).expect("published");
    }
    assert!(matches!(tail.next(), Some(Ok(Tailed::Gap(2, 6)))));
    assert_eq!(data(tail.next()), 6);
    assert_eq!(tail.next_sequence(), 10);
    let waiting = thread::scope(|scope| {
        let later = scope.spawn(|| {
            let mut tail = client.tail("four", 10);
            data(tail.next())
        });
        client.publish("four", &json!(10)).expect("published");
        later.join().expect("it read")
    });
    assert_eq!(waiting, 10);
    assert_eq!(client.tail("four", 11).poll(Duration::from_millis(1)).expect("reached"), None);
}

#[test]
fn lines_go_in_pieces_and_wrong_ones_are_told_by_number() {
    let server = Running::start("disruptors: [{name: lines, buffer_size: 65536}]");
    let client = client(&server);
    let mut text: String =
        (0..50_000).map(|number| format!("{{\"data\": {number}, \"pad\": \"{:60}\"}}\n", "")).collect();
    text += "wrong\n{\"data\": 1}";
    let mut steps = 0;
    let told = client
        .publish_lines("lines", LineKind::Json, usize::MAX, text.as_bytes(), |_| steps += 1)
        .expect("published");
    assert_eq!((told.published, told.rejected, told.sequences), (50_001, 1, Some((0, 50_001))));
    assert!(told.rejections[0].0 == 50_001 && steps > 2, "{told:?}");
    let mut requests = 0;
    let text = client.publish_lines("lines", LineKind::Text, 2, &b"a\r\n\nb"[..], |_| requests += 1);
    assert_eq!((text.expect("published").published, requests), (3, 2));
}

#[test]
fn what_may_be_tried_again_is_tried_again_under_the_same_key() {
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    };
    let problem = json!({"status": 503, "code": "ring_full", "detail": "full", "retry_after_ms": 1});
    let full = || answer("503 No", &problem.to_string());
    let good = answer("201 Created", "{\"sequence\": 5}");
    // The second connection breaks before it is answered.
    let (endpoint, script) = scripted(vec![full(), String::new(), good]);
    let client = Client::new(&endpoint).expect("it is an endpoint");
    assert_eq!(
        client.publish("main", &json!(1)).map(|answer| answer["sequence"].clone()).expect("published"),
        5
    );
    let keys = script.join().expect("it ended");
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let (endpoint, script) = scripted(vec![full()]);
    let error = Client::new(&endpoint).expect("it is an endpoint").attempts(1).publish("main", &json!(1));
    assert_eq!(error.expect_err("refused").code(), Some("ring_full"));
    script.join().expect("it ended");
}

#[test]
fn what_is_no_server_is_told_from_one_that_is_away() {
    let check = |answer: &str, is_garbage: bool| {
        let (endpoint, script) = scripted(vec![answer.to_owned()]);
        let client = Client::new(&endpoint).expect("it is an endpoint").attempts(1);
        let error = client.show("main").expect_err(answer);
        assert_eq!(matches!(error, ClientError::Garbage { .. }), is_garbage, "{answer}: {error}");
        script.join().expect("it ended");
    };
    check("SSH-2.0-OpenSSH\r\n\r\n", false);
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<html", true);
    check("HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", true);
    check("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n{}", true);
    check("", false);
    let closed = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let endpoint = format!("http://{}", closed.local_addr().expect("it is bound"));
    drop(closed);
    let error =
        Client::new(&endpoint).expect("it is an endpoint").attempts(1).show("main").expect_err("away");
    assert!(
        matches!(&error, ClientError::Unreachable { .. }) && error.to_string().contains(&endpoint),
        "{error}"
    );
    // One that accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("it is bound"));
    let client =
        Client::new(&endpoint).expect("it is an endpoint").attempts(1).timeout(Duration::from_secs(1));
    assert!(matches!(client.show("main").expect_err("silent"), ClientError::TimedOut { .. }));
    for wrong in ["", "localhost:8080", "https://h", "http://", "http://h/path", "http://user:secret@h"] {
        let error = Client::new(wrong).expect_err(wrong);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let shown = format!("{:?}", Client::new("http://h").expect("it is an endpoint").key("secret"));
    assert!(!shown.contains("secret"), "{shown}");
}
