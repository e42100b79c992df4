//! A server that runs, told what to do from the command line.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use serde_json::Value;

use crate::cli::{endpoint, run};
use crate::support::{Folder, Process, Running};

/// A port where nobody is.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

fn at(server: &Process) -> String {
    format!("http://{}", server.address())
}

fn json(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// Starts a server with this configuration file.
fn start(config: &Path, text: &str) -> Process {
    fs::write(config, text).expect("it is written");
    Process::start(&["--config", config.to_str().expect("it is text"), "--log", "json"])
}

#[test]
fn the_status_tells_how_the_server_does_in_every_form() {
    let server = Running::start("");
    let status =
        |arguments: &[&str]| run(&endpoint(&server), &[&["server", "status"], arguments].concat(), "");
    let (code, out, errors) = status(&["-o", "json"]);
    assert!(code == 0 && errors.is_empty(), "{errors}");
    let told = json(&out);
    assert_eq!((&told["status"], &told["draining"]), (&"healthy".into(), &false.into()), "{out}");
    assert_eq!(told["pid"], std::process::id());
    assert_eq!(told["address"], server.address.to_string());
    assert_eq!(
        (&told["version"], &told["active_disruptors"]),
        (&env!("CARGO_PKG_VERSION").into(), &1.into())
    );
    let rows = [
        ("table", "Status    healthy"),
        ("yaml", "status: healthy"),
        ("ndjson", "\"status\":\"healthy\""),
        ("csv", "endpoint,status,version,pid,"),
        ("name", "healthy\n"),
    ];
    for (format, said) in rows {
        let (code, out, _) = status(&["-o", format]);
        assert!(code == 0 && out.contains(said), "{format}: {out}");
    }
    // Without a key, what everybody may know.
    let keys = Running::start("auth: {enabled: true, api_keys: [the-key]}");
    let (code, out, _) = run(&endpoint(&keys), &["server", "status", "-o", "json"], "");
    let told = json(&out);
    assert!(code == 0 && told["pid"].is_null() && told["status"] == "healthy", "{out}");
}

#[test]
fn a_server_that_is_unwell_or_away_has_a_status_of_its_own() {
    let server = Running::start(
        "disruptors: [{name: failed, sinks: [{kind: webhook, url: 'http://127.0.0.1:9/', attempts: 1}]}]\nserver: {drain_timeout: 0s}",
    );
    let publish = || run(&endpoint(&server), &["event", "publish", "failed", "1", "-q"], "").0;
    assert!((0..1000).any(|_| publish() == 5), "it fails");
    let (code, out, errors) = run(&endpoint(&server), &["server", "status"], "");
    assert!(code == 8 && out.contains("`webhook`") && errors.contains("unhealthy"), "{out}{errors}");
    let draining = Running::start("");
    draining.node.begin_drain();
    let (code, _, errors) = run(&endpoint(&draining), &["server", "status"], "");
    assert!(code == 8 && errors.contains("about to end"), "{errors}");
    for command in ["status", "stop", "reload"] {
        let (code, out, errors) = run(&nowhere(), &["server", command], "");
        assert!(code == 6 && out.is_empty() && errors.contains("start one: badbatch server"), "{errors}");
    }
}

#[test]
fn words_behind_server_are_told_from_its_flags() {
    let rows: [(&[&str], i32, &str); 6] = [
        (&["server", "stat"], 2, "Did you mean 'server status'?"),
        (&["server", "--bind", "127.0.0.1:0", "status"], 2, "--bind"),
        (&["server", "status", "--bind", "127.0.0.1:0"], 2, "--bind"),
        (&["server", "stop", "--drain", "soon"], 2, "`soon` is not a span of time"),
        (&["server", "--help"], 0, "reload"),
        (&["help", "server", "stop"], 0, "--drain"),
    ];
    for (arguments, status, said) in rows {
        let (code, out, errors) = run(&nowhere(), arguments, "");
        assert!(code == status && format!("{out}{errors}").contains(said), "{arguments:?}: {out}{errors}");
    }
}

#[test]
fn a_server_is_stopped_when_the_command_returns() {
    let server = Process::start(&["--bind", "127.0.0.1:0", "--log", "json"]);
    let (address, pid) = (at(&server), server.child.id());
    assert_eq!(run(&address, &["event", "publish", "main", "1"], "").0, 0);
    let (code, out, errors) = run(&address, &["server", "stop", "--drain", "10s", "-o", "json"], "");
    assert!(code == 0 && errors.contains("has ended"), "{errors}");
    let told = json(&out);
    assert_eq!((&told["status"], &told["pid"]), (&"ended".into(), &pid.into()), "{out}");
    // It has ended, not only promised to.
    assert!(fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z ")));
    let (code, _, errors) = server.end();
    assert!(code == Some(0) && errors.contains("\"ended\""), "{errors}");
    assert_eq!(run(&address, &["server", "stop"], "").0, 6);
}

/// What a server on another machine would say: its process is none of this one.
#[test]
fn a_server_elsewhere_is_stopped_when_it_answers_no_more() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let pid = std::process::id();
    let answers = [
        format!("{{\"pid\": {pid}, \"start_ticks\": 0}}"),
        "{\"status\": \"draining\", \"drain_ms\": 7000}".to_owned(),
        "{\"status\": \"alive\"}".to_owned(),
    ];
    let server = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("it is asked");
            let _asked = stream.read(&mut [0; 4096]).expect("it is asked");
            let head =
                format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all((head + &answer).as_bytes()).expect("it is heard");
        }
    });
    let (code, out, errors) = run(&address, &["server", "stop", "-o", "json"], "");
    server.join().expect("it answered three times");
    assert!(code == 0 && json(&out)["status"] == "closed", "{out}{errors}");
    assert!(errors.contains("answers no more; it may hand on events for 7s"), "{errors}");
}

/// A webhook that nobody takes: the drain that was asked for counts, not the hour of the settings.
#[test]
fn a_drain_has_its_time_and_no_more() {
    let folder = Folder::new();
    let server = start(
        &folder.0.join("c.yaml"),
        "server: {bind_addr: '127.0.0.1:0', drain_timeout: 1h}\ndisruptors:\n- name: stuck\n  sinks: [{kind: webhook, url: 'http://127.0.0.1:9/'}]\n",
    );
    assert_eq!(run(&at(&server), &["event", "publish", "stuck", "1"], "").0, 0);
    let (code, out, errors) = run(&at(&server), &["server", "stop", "--drain=100ms"], "");
    assert!(code == 0 && out.is_empty() && errors.contains("has ended"), "{out}{errors}");
    let (code, _, errors) = server.end();
    assert!(code == Some(1) && errors.contains("\"events were not handed on\""), "{errors}");
}

#[test]
fn a_reload_takes_what_is_live_and_a_wrong_file_changes_nothing() {
    let folder = Folder::new();
    let config = folder.0.join("c.yaml");
    let server = start(&config, "server: {bind_addr: '127.0.0.1:0', drain_timeout: 1s}\n");
    let drain_timeout = || run(&at(&server), &["config", "get", "server.drain_timeout", "-o", "name"], "").1;
    let reload = || run(&at(&server), &["server", "reload", "-o", "json"], "");
    assert_eq!(drain_timeout(), "1s\n");
    let new = "server: {bind_addr: '127.0.0.1:1', drain_timeout: 2s}\ndisruptors: [{name: later}]\n";
    fs::write(&config, new).expect("it is written");
    let (code, out, errors) = reload();
    assert!(code == 0 && errors.contains("the next start"), "{errors}");
    assert_eq!(
        json(&out),
        serde_json::json!({"taken": ["server.drain_timeout", "disruptors.later"], "waiting": ["server.bind_addr"], "failed": []})
    );
    assert_eq!(drain_timeout(), "2s\n");
    assert_eq!(run(&at(&server), &["disruptor", "show", "later"], "").0, 0);
    // Every mistake is told, with its line.
    fs::write(&config, "server:\n  drain_timeot: 3s\nlogging:\n  level: inf\n").expect("it is written");
    let (code, out, errors) = reload();
    assert!(code == 2 && out.is_empty(), "{out}{errors}");
    for said in [
        "c.yaml: line 2: `server.drain_timeot`",
        "did you mean `drain_timeout`?",
        "c.yaml: line 4: logging.level",
    ] {
        assert!(errors.contains(said), "{errors}");
    }
    assert_eq!(drain_timeout(), "2s\n");
    fs::remove_file(&config).expect("it was there");
    let (code, _, errors) = reload();
    assert!(code == 2 && errors.contains("c.yaml: cannot read the configuration"), "{errors}");
    // Another definition of what there is waits, and one that cannot be is told.
    let other = "server: {bind_addr: '127.0.0.1:0', drain_timeout: 2s, max_disruptors: 256}\ndisruptors:\n- {name: later, buffer_size: 64}\n- {name: round, sinks: [{kind: forward, to: round}]}\n";
    fs::write(&config, other).expect("it is written");
    let (code, out, errors) = reload();
    let told = json(&out);
    assert!(code == 7 && errors.contains("1 new disruptors cannot be"), "{out}{errors}");
    assert_eq!(told["waiting"], serde_json::json!(["disruptors.later"]));
    assert_eq!(told["failed"][0]["key"], "disruptors.round");
    server.signal("TERM");
    let (_, _, log) = server.end();
    // As a signal would, it tells the log.
    for said in
        ["these wait for a restart: server.bind_addr", "settings not read again", "disruptors.round: "]
    {
        assert!(log.contains(said), "{log}");
    }
}

#[test]
fn a_reset_empties_a_disruptor_that_has_failed() {
    let server = Running::start(
        "disruptors: [{name: failed, sinks: [{kind: webhook, url: 'http://127.0.0.1:9/', attempts: 1}]}]\nserver: {drain_timeout: 0s}",
    );
    let publish = || run(&endpoint(&server), &["event", "publish", "failed", "1", "-q"], "").0;
    assert!((0..1000).any(|_| publish() == 5), "it fails");
    let (code, out, errors) =
        run(&endpoint(&server), &["disruptor", "reset", "failed", "-y", "-o", "json"], "");
    let told = json(&out);
    assert!(code == 0 && told["status"] == "running" && told["reason"].is_null(), "{out}{errors}");
    assert!(told["not_handed_on"].as_u64().is_some_and(|left| left >= 1), "{out}");
    assert_eq!(told["first_available"], told["next_sequence"]);
    let (code, out, errors) = run(&endpoint(&server), &["disruptor", "reset", "failed", "-y"], "");
    assert!(code == 0 && out.is_empty() && errors.contains("failed is empty and running"), "{out}{errors}");
    assert_eq!(run(&endpoint(&server), &["disruptor", "reset", "flaied", "-y"], "").0, 3);
    // Asked again because an answer got lost, it is not done again.
    let mut client = server.client();
    let mut reset =
        || client.ask("POST", "/api/v1/disruptor/main/reset", &[("Idempotency-Key", "once")], b"").status;
    assert_eq!(reset(), 200);
    assert_eq!(run(&endpoint(&server), &["event", "publish", "main", "1"], "").0, 0);
    assert_eq!(reset(), 200);
    assert_eq!(run(&endpoint(&server), &["event", "get", "main", "0"], "").0, 0);
}
