//! What is acknowledged arrives, whatever happens in between.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use badbatch::base::rng::Rng;
use badbatch::engine::{
    Author, ContentType, Defaults, Definition, Draft, Engine, EngineError, EngineOptions, Lifecycle,
    NamedDisruptor, Subscription, Tailed,
};
use serde_json::{Value, json};

use crate::support::{Folder, PATIENCE, Running, fits};

fn make(engine: &Engine, definition: &Value) -> Arc<NamedDisruptor> {
    let definition =
        Definition::from_json(definition, None, &Defaults::default()).expect("the definition is right");
    let (disruptor, _) = engine.create(definition, Author::Operator).expect("it can be made");
    disruptor.start().expect("it starts");
    disruptor
}

fn number(disruptor: &NamedDisruptor, number: u64) -> badbatch::engine::Event {
    disruptor.accept(&Draft::bare(ContentType::Json, number.to_string().as_bytes()))
}

/// A web server that fails every second request, sometimes after it has taken it, and remembers what it took by key.
struct Flaky {
    url: String,
    taken: thread::JoinHandle<Vec<(String, Vec<String>)>>,
    is_over: Arc<AtomicBool>,
}

impl Flaky {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let taken = thread::spawn(move || {
            let mut taken: Vec<(String, Vec<String>)> = Vec::new();
            for (count, stream) in listener.incoming().enumerate() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let mut stream = BufReader::new(stream.expect("it connects"));
                let (mut length, mut key) = (0, String::new());
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).expect("a line comes");
                    let line = line.trim().to_lowercase();
                    match line.split_once(": ") {
                        Some(("content-length", value)) => length = value.parse().expect("a number"),
                        Some(("idempotency-key", value)) => key = value.to_owned(),
                        Some(_) => {}
                        None if line.is_empty() => break,
                        None => {}
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).expect("the body comes");
                let lines = String::from_utf8(body).expect("it is text").lines().map(str::to_owned).collect();
                let (takes, answer) = match count % 4 {
                    0 => (false, "HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                    // Taken, and the answer is lost.
                    2 => (true, ""),
                    _ => (true, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                };
                if takes && taken.iter().all(|(known, _)| *known != key) {
                    taken.push((key, lines));
                }
                let _told = stream.get_mut().write_all(answer.as_bytes());
            }
            taken
        });
        Self { url, taken, is_over }
    }

    /// What was taken, each key once, in the order in which it came.
    fn stop(self) -> Vec<u64> {
        self.is_over.store(true, Ordering::SeqCst);
        let _woken =
            std::net::TcpStream::connect(self.url.trim_start_matches("http://").trim_end_matches("/hook"));
        let taken = self.taken.join().expect("it served");
        let data = |line: &String| {
            let event: Value = serde_json::from_str(line).expect("it is JSON");
            event["data"].as_u64().expect("a number")
        };
        taken.iter().flat_map(|(_, lines)| lines).map(data).collect()
    }
}

/// Publishers, a pauser and a gating reader at once, then a drain: what was acknowledged was seen exactly once, by the
/// reader and by a web server that fails half of the time.
#[test]
fn what_is_acknowledged_is_seen_exactly_once() {
    let mut total = 0;
    for seed in 0..6 {
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let engine = Engine::new(EngineOptions::default());
        let flaky = Flaky::start();
        let size = 1 << (1 + rng.below(7));
        let producers = if rng.below(2) == 0 { "single" } else { "multi" };
        let limit = if rng.below(2) == 0 { 0 } else { 20_000 };
        let disruptor = make(
            &engine,
            &json!({
                "name": "d", "buffer_size": size, "producer_type": producers,
                "sinks": [{"kind": "webhook", "url": flaky.url, "batch": 1 + rng.below(50)}, {"kind": "count"}],
                "config": {"max_events_per_second": limit},
            }),
        );
        let mut reader = Subscription::gating(Arc::clone(&disruptor), 0, u64::MAX).expect("it runs");
        let next = AtomicU64::new(0);
        let acknowledged = parking_lot::Mutex::new(BTreeMap::new());
        let seen = thread::scope(|scope| {
            let publishers: Vec<_> = (0..3)
                .map(|publisher| {
                    let (disruptor, next, acknowledged) = (&disruptor, &next, &acknowledged);
                    let mut rng = Rng::new(seed * 10 + publisher);
                    scope.spawn(move || {
                        for _ in 0..40 {
                            let count = 1 + rng.below(size.min(5));
                            let first = next.fetch_add(count, Ordering::SeqCst);
                            let events: Vec<_> =
                                (first..first + count).map(|one| number(disruptor, one)).collect();
                            let patience =
                                if rng.below(3) == 0 { Duration::ZERO } else { Duration::from_millis(50) };
                            if let Ok(published) = disruptor.publish(&events, patience) {
                                let numbers = published.sequences.zip(first..first + count);
                                acknowledged.lock().extend(numbers);
                            }
                        }
                    })
                })
                .collect();
            let pauser = scope.spawn(|| {
                for _ in 0..20 {
                    disruptor.pause().expect("it runs");
                    thread::yield_now();
                    disruptor.resume().expect("it is paused");
                }
            });
            let reading = scope.spawn(move || {
                let mut seen = Vec::new();
                loop {
                    match reader.next(PATIENCE) {
                        Tailed::Event(sequence, event) => {
                            let text = std::str::from_utf8(event.payload()).expect("it is text").to_owned();
                            seen.push((sequence, text.parse::<u64>().expect("a number")));
                        }
                        Tailed::Ended(_) => break seen,
                        other => panic!("{other:?}"),
                    }
                }
            });
            publishers.into_iter().for_each(|publisher| publisher.join().expect("it published"));
            pauser.join().expect("it paused");
            assert_eq!(engine.shut_down(PATIENCE), []);
            reading.join().expect("it read")
        });
        let acknowledged = acknowledged.into_inner();
        assert!(
            seen.iter().copied().eq(acknowledged.iter().map(|(sequence, one)| (*sequence, *one))),
            "seed {seed}"
        );
        let hooked = flaky.stop();
        assert!(
            hooked.iter().copied().eq(acknowledged.values().copied()),
            "seed {seed}: {hooked:?} {acknowledged:?}"
        );
        total += acknowledged.len();
    }
    assert!(total > 0, "{total}");
}

#[test]
fn sinks_form_a_graph_and_files_are_rotated() {
    let folder = Folder::new();
    let engine = Engine::new(EngineOptions { files: Some(folder.0.clone()), ..EngineOptions::default() });
    let disruptor = make(
        &engine,
        &json!({
            "name": "d", "buffer_size": 64,
            "sinks": [{"kind": "file", "path": "sub/a.ndjson", "rotate_bytes": 1024, "keep": 1000}, {"kind": "count", "after": ["file"]}],
        }),
    );
    for one in 0..300 {
        disruptor.publish(&[number(&disruptor, one)], PATIENCE).expect("there is room in time");
    }
    assert_eq!(engine.shut_down(PATIENCE), []);
    assert_eq!(disruptor.sink_reports().iter().map(|sink| sink.handled).collect::<Vec<_>>(), [300, 300]);
    let mut files: Vec<_> = fs::read_dir(folder.0.join("sub"))
        .expect("it is there")
        .map(|file| {
            let path = file.expect("it is there").path();
            let age = path.extension().and_then(|number| number.to_str()?.parse::<u32>().ok()).unwrap_or(0);
            (std::cmp::Reverse(age), fs::read_to_string(path).expect("it can be read"))
        })
        .collect();
    files.sort();
    assert!(files.len() > 10, "{}", files.len());
    let lines = files.iter().flat_map(|(_, text)| text.lines());
    let numbers = lines.map(|line| {
        serde_json::from_str::<Value>(line).expect("it is JSON")["data"].as_u64().expect("a number")
    });
    assert!(numbers.eq(0..300));
}

#[test]
fn events_are_forwarded_by_their_metadata_and_never_in_a_circle() {
    let engine = Engine::new(EngineOptions::default());
    let target = make(&engine, &json!({"name": "b", "buffer_size": 8}));
    let only = json!({"name": "a", "buffer_size": 8, "sinks": [{"kind": "forward", "to": "b", "only": {"kind": "x"}}]});
    let source = make(&engine, &only);
    for one in 0..100 {
        let mut draft = Draft::bare(ContentType::Text, b"text");
        let payload = one.to_string();
        draft.payload = payload.as_bytes().into();
        draft.metadata.push(("kind".into(), if one % 2 == 0 { "x" } else { "y" }.into()));
        source.publish(&[source.accept(&draft)], PATIENCE).expect("there is room in time");
    }
    let circle = json!({"name": "c", "sinks": [{"kind": "forward", "to": "a"}]});
    make(&engine, &circle);
    engine.delete(&target, PATIENCE).expect("it drains");
    let back = json!({"name": "b", "sinks": [{"kind": "forward", "to": "c"}]});
    let back = Definition::from_json(&back, None, &Defaults::default()).expect("the definition is right");
    assert!(matches!(engine.create(back, Author::Operator), Err(EngineError::Invalid { .. })));
}

#[test]
fn what_is_forwarded_is_the_same_event() {
    let engine = Engine::new(EngineOptions::default());
    let target = make(&engine, &json!({"name": "b"}));
    let source = make(&engine, &json!({"name": "a", "sinks": [{"kind": "forward", "to": "b"}]}));
    let event = number(&source, 7);
    source.publish(std::slice::from_ref(&event), Duration::ZERO).expect("there is room");
    assert_eq!(engine.shut_down(PATIENCE), []);
    let there = target.event(0).expect("it arrived");
    assert_eq!((there.id(), there.payload()), (event.id(), event.payload()));
}

#[test]
fn a_sink_that_fails_for_good_is_told_and_a_new_start_goes_on() {
    let engine = Engine::new(EngineOptions::default());
    let hook = json!({"kind": "webhook", "url": "http://127.0.0.1:9/", "attempts": 1});
    let disruptor = make(&engine, &json!({"name": "d", "buffer_size": 8, "sinks": [hook]}));
    disruptor.publish(&[number(&disruptor, 1)], Duration::ZERO).expect("there is room");
    let error = loop {
        match disruptor.publish(&[number(&disruptor, 2)], PATIENCE) {
            Ok(_) | Err(EngineError::RingFull { .. }) => thread::yield_now(),
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, EngineError::Failed { reason, .. } if reason.contains("webhook")), "{error}");
    let (lifecycle, reason) = disruptor.lifecycle();
    assert!(lifecycle == Lifecycle::Failed && reason.is_some_and(|reason| reason.contains("127.0.0.1:9")));
    let end = disruptor.next_sequence();
    disruptor.start().expect("it starts again");
    let published = disruptor.publish(&[number(&disruptor, 3)], Duration::ZERO).expect("there is room");
    assert_eq!(published.sequences.start, end);
    engine.shut_down(Duration::ZERO);
    // Left out instead, if that is wanted.
    let hook = json!({"kind": "webhook", "url": "http://127.0.0.1:9/", "attempts": 1, "on_failure": "skip"});
    let disruptor = make(&engine, &json!({"name": "e", "buffer_size": 8, "sinks": [hook]}));
    for one in 0..20 {
        disruptor.publish(&[number(&disruptor, one)], PATIENCE).expect("there is room in time");
    }
    disruptor.stop(PATIENCE).expect("it drains");
    assert!(disruptor.sink_reports()[0].errors >= 20);
}

#[test]
fn what_a_node_must_remember_comes_back() {
    let folder = Folder::new();
    let settings = format!(
        "server: {{data_dir: '{}'}}\ndisruptors: [{{name: defined}}]\nauth: {{enabled: true, api_keys: [k]}}",
        folder.0.display()
    );
    let key = [("X-API-Key", "k"), ("Content-Type", "application/json")];
    let (made, published);
    {
        let server = Running::start(&settings);
        let mut client = server.client();
        let file =
            json!({"name": "kept", "buffer_size": 64, "sinks": [{"kind": "file", "path": "kept.ndjson"}]});
        assert_eq!(client.ask("POST", "/api/v1/disruptor", &key, file.to_string().as_bytes()).status, 201);
        assert_eq!(client.ask("POST", "/api/v1/disruptor", &key, br#"{"name": "stopped"}"#).status, 201);
        assert_eq!(client.ask("POST", "/api/v1/disruptor/stopped/stop", &key, b"").status, 200);
        assert_eq!(client.ask("DELETE", "/api/v1/disruptor/main", &key, b"").status, 204);
        let answer = client.ask("POST", "/api/v1/key", &key, br#"{"name": "w", "role": "writer"}"#);
        made = answer.json()["key"].as_str().expect("a text").to_owned();
        let once = [key[0], key[1], ("Idempotency-Key", "once")];
        published = client.ask("POST", "/api/v1/disruptor/kept/events", &once, b"1").text();
        assert!(server.stop());
    }
    let server = Running::start(&settings);
    let mut client = server.client();
    let list = client.ask("GET", "/api/v1/disruptor", &key, b"").json();
    let shape = json!({"items": [{"name": "defined", "status": "running"}, {"name": "kept", "status": "running", "buffer_size": 64},
        {"name": "stopped", "status": "stopped"}]});
    let created =
        json!({"items": [{"name": "defined"}, {"name": "kept"}, {"name": "stopped", "status": "created"}]});
    assert!(fits(&list, &shape) || fits(&list, &created), "{list}");
    assert_eq!(client.ask("GET", "/api/v1/disruptor", &[("X-API-Key", &made)], b"").status, 200);
    let once = [key[0], key[1], ("Idempotency-Key", "once")];
    let again = client.ask("POST", "/api/v1/disruptor/kept/events", &once, b"1");
    assert_eq!((again.text(), again.header("idempotency-replayed")), (published, "true"));
    let file = fs::read_to_string(folder.0.join("files/kept.ndjson")).expect("it was written");
    assert_eq!(file.lines().count(), 1);
    // Nobody else uses the folder meanwhile.
    let second =
        badbatch::node::Settings::gather(Some(&settings), |_| None, &[]).expect("the settings are right");
    let error = badbatch::node::Node::start(second, || {}).err().expect("the folder is in use");
    assert!(error.to_string().contains("is used by another server"), "{error}");
}

#[test]
fn a_second_server_holds_what_the_first_one_sends() {
    let second = Running::start("disruptors: [{name: copy, buffer_size: 4096}]");
    let to = format!("http://{}/api/v1/disruptor/copy/events/bulk", second.address);
    let first = Running::start(&format!(
        "disruptors:
- name: original
  buffer_size: 4096
  sinks: [{{kind: forward, to: local}}, {{kind: webhook, url: '{to}'}}]
- name: local
  buffer_size: 4096"
    ));
    let lines: String =
        (0..2000).map(|line| format!("{line}: \"quoted\" {{braced}} gr\u{fc}n\t\r\n")).collect();
    let media = [("Content-Type", "text/plain")];
    let answer =
        first.client().ask("POST", "/api/v1/disruptor/original/events/bulk", &media, lines.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let read = "events/stream?format=text&from_sequence=0&count=2000";
    for (server, name) in [(&first, "original"), (&first, "local"), (&second, "copy")] {
        let held = server.client().get(&format!("/api/v1/disruptor/{name}/{read}")).text();
        assert!(held == lines, "{name}");
    }
}

#[test]
fn names_and_identifiers_are_unique() {
    let engine = Engine::new(EngineOptions { disruptors_max: 3, ..EngineOptions::default() });
    let made: Vec<_> = ["a", "b", "c"].map(|name| make(&engine, &json!({"name": name}))).into();
    let ids: BTreeSet<_> = made.iter().map(|disruptor| disruptor.id()).collect();
    assert_eq!(ids.len(), 3);
    for disruptor in &made {
        assert!(Arc::ptr_eq(
            disruptor,
            &engine.find(&disruptor.id().to_string()).expect("by its identifier")
        ));
    }
    let one_more = Definition::from_json(&json!({"name": "d"}), None, &Defaults::default()).expect("right");
    assert!(matches!(engine.create(one_more, Author::Operator), Err(EngineError::TooMany { max: 3 })));
}

/// Waits until every sink has had everything.
fn settle(disruptor: &NamedDisruptor) {
    while disruptor.sink_reports().iter().any(|sink| sink.lag > 0) {
        thread::yield_now();
    }
}

/// A web server that takes nothing.
const NOWHERE: &str = "http://127.0.0.1:9/";

#[test]
fn a_reset_works_from_every_state_and_forgets_all_but_the_sequence() {
    let engine = Engine::new(EngineOptions::default());
    let none = Duration::ZERO;
    let check = |disruptor: &NamedDisruptor, left: u64| {
        let next = disruptor.next_sequence();
        let (state, _) = disruptor.lifecycle();
        assert_eq!(disruptor.reset().expect("it starts"), left, "from {state}");
        assert_eq!(disruptor.lifecycle(), (Lifecycle::Running, None), "from {state}");
        let rejections = disruptor.rejections();
        let numbers = [
            disruptor.published(),
            rejections.ring_full.value(),
            rejections.rate_limited.value(),
            rejections.wrong_state.value(),
            disruptor.latency().snapshot().count(),
            disruptor.used(),
        ];
        assert_eq!(numbers, [0; 6], "from {state}");
        assert!(disruptor.sink_reports().iter().all(|sink| sink.handled == 0), "from {state}");
        assert_eq!((disruptor.first_available(), disruptor.next_sequence()), (next, next), "from {state}");
        if next > 0 {
            assert!(
                matches!(disruptor.event(next - 1), Err(EngineError::Overwritten { .. })),
                "from {state}"
            );
        }
        let published = disruptor.publish(&[number(disruptor, next)], none).expect("it runs");
        assert_eq!(published.sequences, next..next + 1, "from {state}");
        assert!(disruptor.event(next).is_ok(), "from {state}");
        disruptor.sample();
        assert!(disruptor.events_per_second() >= 0.0);
    };
    let well = make(&engine, &json!({"name": "well", "buffer_size": 8}));
    well.sample();
    check(&well, 0);
    settle(&well);
    well.pause().expect("it runs");
    assert!(well.publish(&[number(&well, 0)], none).is_err());
    check(&well, 0);
    well.stop(PATIENCE).expect("it drains");
    check(&well, 0);
    // Nobody takes what it has: draining does not end, and a reset does.
    let stuck = make(
        &engine,
        &json!({"name": "stuck", "buffer_size": 8, "sinks": [{"kind": "webhook", "url": NOWHERE}]}),
    );
    let events: Vec<_> = (0..3).map(|one| number(&stuck, one)).collect();
    stuck.publish(&events, none).expect("there is room");
    assert!(matches!(stuck.stop(Duration::from_millis(1)), Err(EngineError::DrainTimedOut { .. })));
    check(&stuck, 3);
    check(&stuck, 1);
    let failed = make(
        &engine,
        &json!({"name": "failed", "buffer_size": 8, "sinks": [{"kind": "webhook", "url": NOWHERE, "attempts": 1}]}),
    );
    failed.publish(&events, none).expect("there is room");
    while failed.lifecycle().0 != Lifecycle::Failed {
        thread::yield_now();
    }
    assert!(failed.sink_reports()[0].errors > 0);
    check(&failed, 3);
    let made = Definition::from_json(&json!({"name": "made"}), None, &Defaults::default()).expect("right");
    let (made, _) = engine.create(made, Author::Operator).expect("it can be made");
    check(&made, 0);
    engine.shut_down(none);
}

#[test]
fn a_reader_is_told_of_a_gap_and_one_that_holds_up_producers_ends() {
    let engine = Engine::new(EngineOptions::default());
    let disruptor = make(&engine, &json!({"name": "d", "buffer_size": 8}));
    let publish = |one| disruptor.publish(&[number(&disruptor, one)], PATIENCE).expect("there is room");
    for one in 0..3 {
        publish(one);
    }
    let mut reader = Subscription::follow(Arc::clone(&disruptor), 0);
    assert!(matches!(reader.next(PATIENCE), Tailed::Event(0, _)));
    let mut gating = Subscription::gating(Arc::clone(&disruptor), 3, 8).expect("it runs");
    publish(3);
    // What a reader holds up is no sink's.
    settle(&disruptor);
    assert_eq!(disruptor.reset().expect("it starts"), 0);
    assert!(matches!(gating.next(PATIENCE), Tailed::Ended(_)));
    publish(4);
    assert!(matches!(reader.next(PATIENCE), Tailed::Gap(1, 4)));
    assert!(matches!(reader.next(PATIENCE), Tailed::Event(4, _)));
}

/// Four publishers and a reader while the disruptor is reset again and again: sequences are given once and only grow,
/// everything that is acknowledged after the last reset is readable, and no event is found under another's sequence.
#[test]
fn what_is_published_during_a_reset_is_acknowledged_or_refused() {
    for producers in ["single", "multi"] {
        let engine = Engine::new(EngineOptions::default());
        let disruptor = make(&engine, &json!({"name": "d", "buffer_size": 1024, "producer_type": producers}));
        let (is_over, next) = (AtomicBool::new(false), AtomicU64::new(0));
        let acknowledged = parking_lot::Mutex::new(BTreeMap::new());
        let refused = AtomicU64::new(0);
        let (mut firsts, mut seen) = (Vec::new(), Vec::new());
        let publish = |one: u64| match disruptor.publish(&[number(&disruptor, one)], PATIENCE) {
            Ok(published) => {
                let other = acknowledged.lock().insert(published.sequences.start, one);
                assert_eq!(other, None, "a sequence is given once");
            }
            Err(EngineError::WrongState { .. }) => drop(refused.fetch_add(1, Ordering::SeqCst)),
            Err(error) => panic!("{error}"),
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        publish(next.fetch_add(1, Ordering::SeqCst));
                    }
                });
            }
            let reader = scope.spawn(|| {
                let mut reader = Subscription::follow(Arc::clone(&disruptor), 0);
                let mut seen = Vec::new();
                while !is_over.load(Ordering::SeqCst) {
                    if let Tailed::Event(sequence, event) = reader.next(Duration::from_millis(1)) {
                        seen.push((sequence, event.payload().to_vec()));
                    }
                }
                seen
            });
            for _ in 0..50 {
                firsts.push((disruptor.next_sequence(), disruptor.reset(), disruptor.first_available()));
                let before = acknowledged.lock().len();
                while acknowledged.lock().len() < before + 20 {
                    thread::yield_now();
                }
            }
            is_over.store(true, Ordering::SeqCst);
            seen = reader.join().expect("it read");
        });
        for (end, reset, first) in firsts {
            assert!(reset.is_ok() && first >= end, "{reset:?}: {first} after {end}");
        }
        let acknowledged = acknowledged.into_inner();
        for (sequence, payload) in seen {
            assert_eq!(acknowledged[&sequence].to_string().as_bytes(), payload, "{sequence}");
        }
        assert_eq!(
            acknowledged.len() as u64 + refused.into_inner(),
            next.into_inner(),
            "each was acknowledged or refused"
        );
        assert_eq!(acknowledged.keys().last().map(|last| last + 1), Some(disruptor.next_sequence()));
        // No sequence is given that nobody was told of.
        assert!(acknowledged.keys().copied().eq(0..disruptor.next_sequence()));
        for (sequence, one) in acknowledged.range(disruptor.first_available()..) {
            let event = disruptor.event(*sequence).expect("it is kept");
            assert_eq!(event.payload(), one.to_string().as_bytes());
        }
        disruptor.stop(PATIENCE).expect("it drains");
        assert_eq!(disruptor.sink_reports()[0].handled, disruptor.published());
    }
}
