//! `badbatch monitor watch` on a terminal, on a pipe, and while the server comes and goes.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{endpoint, run};
use crate::pty::Terminal;
use crate::support::{Folder, Running};

/// A size at which everything is shown.
const LARGE: (u16, u16) = (24, 100);
/// Between two events, and between two ticks.
const PAUSE: Duration = Duration::from_millis(5);
const QUICK: &str = "100ms";

fn watch(server: &Running, folder: &Folder, arguments: &[&str]) -> Terminal {
    let endpoint = endpoint(server);
    let all = [&["monitor", "watch", "--endpoint", &endpoint, "-i", QUICK], arguments].concat();
    Terminal::start(LARGE, &folder.0, &[], &all)
}

/// Publishes to `main` for as long as something takes.
fn while_publishing<T>(server: &Running, work: impl FnOnce() -> T) -> T {
    let mut client = server.client();
    let (end, ended) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                client.post("/api/v1/disruptor/main/events", "1");
            }
        });
        let done = work();
        drop(end);
        done
    })
}

/// What stands in the line of a disruptor.
fn row<'s>(screen: &'s str, name: &str) -> Vec<&'s str> {
    let mut lines = screen.lines().map(|line| line.trim_start_matches('>').split_whitespace().collect());
    lines.find(|words: &Vec<_>| words.first() == Some(&name)).unwrap_or_default()
}

#[test]
fn the_picture_follows_the_server() {
    let (server, folder) = (Running::start(""), Folder::new());
    let mut terminal = watch(&server, &folder, &[]);
    let address = server.address.to_string();
    terminal.until("was whole", |screen| screen.contains(&address) && row(screen, "main").len() > 4);
    assert!(terminal.is_alternate());
    while_publishing(&server, || {
        // DISRUPTOR STATE BAR PERCENT IN OUT
        let moves = |screen: &str| {
            let row = row(screen, "main");
            row.get(1) == Some(&"running")
                && [4, 5].iter().all(|place| row.get(*place).is_some_and(|rate| !matches!(*rate, "-" | "0")))
        };
        terminal.until("showed rates", moves);
    });
    assert_eq!(server.client().post("/api/v1/disruptor", "{\"name\": \"later\"}").status, 201);
    terminal.shows("later");
    assert_eq!(server.client().post("/api/v1/disruptor/later/pause", "").status, 200);
    terminal.until("paused it", |screen| row(screen, "later").get(1) == Some(&"paused"));
    terminal.resize(10, 40);
    terminal.until("became small", |screen| screen.lines().count() == 10 && !screen.contains("OUT/s"));
    terminal.resize(30, 120);
    terminal.until("became large", |screen| screen.lines().count() == 30 && screen.contains("CONSUMERS"));
    terminal.press("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn each_key_does_its_own() {
    let (server, folder) = (Running::start("disruptors: [{name: a}, {name: b}]"), Folder::new());
    let mut terminal = watch(&server, &folder, &[]);
    terminal.shows("every 100ms");
    terminal.until("had lines", |screen| row(screen, "main").len() > 4);
    terminal.press("?");
    terminal.shows("next view");
    terminal.press("?");
    terminal.hides("next view");
    terminal.press("o");
    terminal.shows("by state");
    terminal.press(" ");
    terminal.shows("PAUSED");
    terminal.press(" ");
    terminal.hides("PAUSED");
    terminal.press("+");
    terminal.shows("every 250ms");
    terminal.press("-");
    terminal.shows("every 100ms");
    terminal.press("t");
    terminal.shows("published 0");
    terminal.press("t/ai");
    terminal.shows("filter: ai_");
    terminal.until("was filtered", |screen| !row(screen, "main").is_empty() && row(screen, "a").is_empty());
    terminal.press("\r");
    terminal.shows("filter ai  by state");
    terminal.press("/\x7f\x7fzzz\r");
    terminal.shows("no disruptor fits the filter");
    terminal.press("\x1b");
    terminal.until("showed all", |screen| !row(screen, "b").is_empty());
    terminal.press("j\r");
    terminal.shows(" b  running  healthy");
    terminal.press("\t");
    terminal.shows("no errors, and nothing was refused");
    terminal.press("e");
    terminal.shows("CONSUMERS");
    terminal.press("w");
    terminal.shows("written to badbatch-");
    let written =
        std::fs::read_dir(&folder.0).expect("it is there").map(|entry| entry.expect("a file").path());
    let files: Vec<_> = written.collect();
    assert_eq!(files.len(), 1);
    let text = std::fs::read_to_string(&files[0]).expect("it is text");
    let snapshot: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(snapshot["disruptors"][0]["name"], "a");
    terminal.press("q");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn every_end_leaves_the_terminal_as_it_was() {
    let (server, folder) = (Running::start(""), Folder::new());
    let shown = |arguments: &[&str]| {
        let mut terminal = watch(&server, &folder, arguments);
        terminal.until("had lines", |screen| screen.contains("main"));
        assert!(terminal.is_alternate());
        terminal
    };
    let terminal = shown(&[]);
    terminal.press("\x03");
    assert_eq!(terminal.end(), 130);
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let terminal = shown(&[]);
        terminal.signal(signal);
        assert_eq!(terminal.end(), status, "{signal}");
    }
    shown(&[]).close();
    assert_eq!(watch(&server, &folder, &["--count", "2"]).end(), 0);
    let mut terminal = watch(&server, &folder, &["--until", "healthy"]);
    terminal.shows("healthy  main  in");
    assert_eq!(terminal.end(), 0);
}

#[test]
fn the_last_picture_stays_until_the_server_is_back() {
    let (server, folder) = (Running::start(""), Folder::new());
    let address = server.address;
    let mut terminal = watch(&server, &folder, &["--type", "disruptor", "--target", "main"]);
    terminal.shows("main  running  healthy");
    server.stop();
    terminal.shows("STALE");
    terminal.shows("cannot reach");
    terminal.shows("main  running  healthy");
    terminal.press("?");
    terminal.shows("next view");
    terminal.press("?");
    let _server = Running::start_at(address);
    terminal.shows("the server answers again");
    terminal.hides("STALE");
    terminal.press("q");
    assert_eq!(terminal.end(), 0);
}

/// What answers here answers once, for the look before the picture, and then never again.
#[test]
fn keys_work_while_an_answer_takes_its_time() {
    let (server, folder) = (Running::start(""), Folder::new());
    let numbers = server.client().get("/api/v1/metrics").text();
    let slow = TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let endpoint = format!("http://{}", slow.local_addr().expect("it is bound"));
    let (held, holds) = channel();
    let answer = move || {
        let (mut first, _) = slow.accept().expect("somebody asks");
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ";
        write!(first, "{head}{}\r\n\r\n{numbers}", numbers.len()).expect("it is written");
        let second = slow.accept().expect("somebody asks");
        // Nobody may be there any more, which is no matter.
        let _held = held.send(second);
    };
    thread::scope(|scope| {
        scope.spawn(answer);
        let arguments = ["monitor", "watch", "--endpoint", &endpoint, "--timeout", "10m"];
        let mut terminal = Terminal::start(LARGE, &folder.0, &[], &arguments);
        let _second = holds.recv().expect("it asks a second time");
        terminal.shows("waiting for an answer");
        terminal.press("?");
        terminal.shows("next view");
        terminal.press("q");
        assert_eq!(terminal.end(), 0);
    });
}

#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let (server, folder) = (Running::start(""), Folder::new());
    let endpoint = endpoint(&server);
    let arguments = ["monitor", "watch", "--endpoint", &endpoint];
    let plain = [&arguments[..], &["--no-color"]].concat();
    type Row<'r> = (&'r [(&'r str, &'r str)], &'r [&'r str], bool);
    let rows: [Row<'_>; 3] =
        [(&[], &arguments, true), (&[("NO_COLOR", "1")], &arguments, false), (&[], &plain, false)];
    for (variables, arguments, is_coloured) in rows {
        let mut terminal = Terminal::start(LARGE, &folder.0, variables, arguments);
        terminal.shows("HEALTHY");
        // The codes for colours from a palette.
        assert_eq!(terminal.written.contains("\x1b[38;5;"), is_coloured, "{:?}", terminal.written);
        terminal.press("q");
        assert_eq!(terminal.end(), 0);
    }
    let mut dumb =
        Terminal::start(LARGE, &folder.0, &[("TERM", "dumb")], &[&arguments[..], &["--count", "2"]].concat());
    dumb.shows("healthy  main");
    assert!(!dumb.is_alternate());
    assert_eq!(dumb.end(), 0);
}

#[test]
fn on_a_pipe_each_tick_is_a_line_or_a_document() {
    let server = Running::start("disruptors: [{name: my-disruptor}]");
    while_publishing(&server, || {
        let out = |arguments: &[&str]| {
            let all = [&["monitor", "watch", "-i", QUICK], arguments].concat();
            let (code, out, errors) = run(&endpoint(&server), &all, "");
            assert!(code == 0 && errors.is_empty(), "{arguments:?}: {code}\n{out}{errors}");
            out
        };
        let table = out(&["--count", "3"]);
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.lines().all(|line| line.contains("healthy  2 disruptors  in ")), "{table}");
        assert_eq!(out(&["--once"]).lines().count(), 1);
        for format in ["json", "ndjson"] {
            let text = out(&["--count", "3", "-o", format]);
            let ticks: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
            let members =
                ticks.iter().map(|tick| tick.as_object().expect("an object").keys().collect::<Vec<_>>());
            assert_eq!((ticks.len(), members.collect::<BTreeSet<_>>().len()), (3, 1), "{text}");
            assert!(ticks.iter().all(|tick| tick["in_per_second"].is_number()), "{text}");
        }
        let csv = out(&["--count", "2", "-o", "csv"]);
        assert!(csv.starts_with("timestamp,health,") && csv.lines().count() == 3, "{csv}");
        let yaml = out(&["--count", "2", "-o", "yaml"]);
        assert_eq!(yaml.matches("---\n").count(), 2, "{yaml}");
        assert_eq!(out(&["--count", "2", "-o", "name"]), "healthy\nhealthy\n");
        let one = out(&["--type", "disruptor", "--target", "my-disruptor", "--once"]);
        assert!(one.contains("healthy  my-disruptor  in 0/s"), "{one}");
    });
    let shell = format!("{} monitor watch -i {QUICK} | head -n 1", env!("CARGO_BIN_EXE_badbatch"));
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &shell])
        .env("BADBATCH_ENDPOINT", endpoint(&server))
        .output()
        .expect("there is a shell");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
}

#[test]
fn health_can_be_waited_for() {
    let server = Running::start(
        "disruptors: [{name: failed, sinks: [{kind: webhook, url: 'http://127.0.0.1:9/', attempts: 1}]}]\nserver: {drain_timeout: 0s}",
    );
    let until = |arguments: &[&str]| {
        let all = [&["monitor", "watch", "-i", QUICK, "--until", "healthy"], arguments].concat();
        run(&endpoint(&server), &all, "")
    };
    let (code, out, errors) = until(&[]);
    assert!(code == 0 && out.lines().count() == 1, "{code}\n{out}{errors}");
    let publish = || run(&endpoint(&server), &["event", "publish", "failed", "1", "-q"], "").0;
    assert!((0..1000).any(|_| publish() == 5), "it fails");
    let (code, out, errors) = until(&["--count", "2"]);
    assert!(
        code == 8 && out.lines().count() == 2 && errors.contains("it is unhealthy"),
        "{code}\n{out}{errors}"
    );
    let (code, ..) = until(&["--type", "disruptor", "--target", "failed", "--once"]);
    assert_eq!(code, 8);
    assert_eq!(until(&["--type", "disruptor", "--target", "main"]).0, 0);
    let address = server.address;
    let nowhere = format!("http://{address}");
    server.stop();
    let (code, out, errors) =
        run(&nowhere, &["monitor", "watch", "-i", QUICK, "--until", "healthy", "--count", "1"], "");
    assert!(code == 8 && out.is_empty() && errors.contains("cannot reach"), "{code}\n{out}{errors}");
    let (code, ..) = run(&nowhere, &["monitor", "watch", "-i", QUICK], "");
    assert_eq!(code, 6);
}

#[test]
fn what_cannot_be_watched_is_told_at_once() {
    let server = Running::start("");
    let rows: [(&[&str], i32, &str); 11] = [
        (&["--type", "disruptor", "--target", "mian"], 3, "did you mean `main`?"),
        (&["--type", "disruptor"], 2, "needs --target"),
        (&["--target", "main"], 2, "is for --type disruptor"),
        (&["--type", "cluster"], 5, "this node is in no cluster"),
        (&["--type", "galaxy"], 2, "there are system, disruptor and cluster"),
        (&["--interval", "99ms"], 2, "is not from 100ms to 24h"),
        (&["--interval", "soon"], 2, "is not a span of time"),
        (&["--interval", "1e300"], 2, "1e300"),
        (&["--count", "0"], 2, "at least 1"),
        (&["--count", "-1"], 2, "count"),
        (&["--until", "friday"], 2, "there is healthy"),
    ];
    for (arguments, status, said) in rows {
        let all = [&["monitor", "watch"], arguments].concat();
        let (code, out, errors) = run(&endpoint(&server), &all, "");
        assert!(
            code == status && errors.contains(said) && out.is_empty(),
            "{arguments:?}: {code}\n{out}{errors}"
        );
    }
    let folder = Folder::new();
    let mut terminal = watch(&server, &folder, &["--type", "disruptor", "--target", "mian"]);
    terminal.shows("did you mean `main`?");
    assert!(!terminal.written.contains("\x1b[?1049h"));
    assert_eq!(terminal.end(), 3);
    // A key for one disruptor is enough to watch that one.
    let keys = Running::start("auth: {enabled: true, api_keys: [the-key]}");
    let admin = |arguments: &[&str]| run(&endpoint(&keys), arguments, "").1;
    let file = folder.0.join("key");
    std::fs::write(&file, "the-key").expect("it is written");
    let path = file.to_str().expect("it is text");
    let made = admin(&[
        "key",
        "create",
        "k",
        "--role",
        "viewer",
        "--scope",
        "main",
        "-o",
        "json",
        "--token-file",
        path,
    ]);
    let made: Value = serde_json::from_str(&made).expect("it is JSON");
    std::fs::write(&file, made["key"].as_str().expect("it is a key")).expect("it is written");
    let scoped = |arguments: &[&str]| {
        let all = [&["monitor", "watch", "-i", QUICK, "--once", "--token-file", path], arguments].concat();
        run(&endpoint(&keys), &all, "").0
    };
    assert_eq!(scoped(&["--type", "disruptor", "--target", "main"]), 0);
    assert_eq!(scoped(&[]), 4);
}
