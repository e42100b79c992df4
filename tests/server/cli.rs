//! The command line against a real server: what it prints, and its status.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::shell::{Shell, program};
use crate::support::{Folder, Running};

/// Runs the program with an endpoint, and some standard input; returns the status, output and errors.
fn run(endpoint: &str, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = program(env!("CARGO_BIN_EXE_badbatch"))
        .args(arguments)
        .env("BADBATCH_ENDPOINT", endpoint)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Who does not read is done with it.
    let _written = child.stdin.take().expect("its input is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.code().expect("no signal ended it"), text(output.stdout), text(output.stderr))
}

fn endpoint(server: &Running) -> String {
    format!("http://{}", server.address)
}

#[test]
fn what_was_ever_promised_works_in_this_order() {
    let server = Running::start("");
    let rows: [(&[&str], &str); 37] = [
        (&["disruptor", "create", "my-disruptor"], "my-disruptor"),
        (
            &[
                "disruptor",
                "create",
                "my-disruptor-2",
                "--size",
                "2048",
                "--producer",
                "multi",
                "--wait-strategy",
                "busy-spin",
            ],
            "busy-spin",
        ),
        (&["disruptor", "create", "my-disruptor-2", "--if-not-exists"], "2048"),
        (
            &["event", "publish", "my-disruptor", "{\"message\": \"Hello, World!\"}"],
            "published to my-disruptor  sequence 0",
        ),
        (
            &[
                "event",
                "batch",
                "my-disruptor",
                "[{\"data\": \"event1\"}, {\"data\": \"event2\"}, {\"data\": \"event3\"}]",
            ],
            "SEQUENCE",
        ),
        (&["event", "generate", "my-disruptor", "--count", "50", "--rate", "0"], "Published   50"),
        (&["event", "get", "my-disruptor", "1"], "Data         event1"),
        (&["event", "list", "my-disruptor", "--limit", "2", "-o", "ndjson"], "\"sequence\":1"),
        (
            &["event", "tail", "my-disruptor", "--from", "0", "--count", "4", "-o", "json"],
            "\"data\":\"event3\"",
        ),
        (&["event", "tail", "my-disruptor", "--from", "50", "--exit-at-end"], "number"),
        (
            &["event", "publish", "main", "-", "-m", "k=v", "--correlation-id=c", "-o", "json"],
            "\"correlation_id\": \"c\"",
        ),
        (&["event", "broadcast", "{\"main\": [1]}"], "main       1          -"),
        (&["event", "publish-file", "main", "-"], "Published  1"),
        (&["disruptor", "ls"], "my-disruptor-2"),
        (&["disruptor", "list", "-o", "name"], "main\nmy-disruptor\nmy-disruptor-2\n"),
        (&["-o", "csv", "disruptor", "list"], "name,status,size"),
        (&["disruptor", "show", "main", "-o", "yaml"], "name: main"),
        (&["disruptor", "health", "main"], "healthy"),
        (&["disruptor", "pause", "main", "--output=json"], "\"status\": \"paused\""),
        (&["disruptor", "resume", "main"], ""),
        (&["disruptor", "stop", "main", "--drain", "5s"], ""),
        (&["disruptor", "start", "main"], ""),
        (&["disruptor", "rm", "my-disruptor-2", "-f"], ""),
        (&["monitor", "system"], "DISRUPTOR"),
        (&["monitor", "disruptor", "my-disruptor"], "Published     54"),
        (&["monitor", "health", "-o", "json"], "\"status\": \"healthy\""),
        (&["monitor", "export", "-", "--format", "prometheus"], "# TYPE badbatch_build_info gauge"),
        (&["monitor", "export", "-", "-f", "csv"], "disruptor,published"),
        (&["config", "show", "--server"], "server.bind_addr"),
        (&["config", "get", "logging.level", "-o", "name"], "info\n"),
        (&["config", "example"], "bind_addr: 127.0.0.1:8080"),
        (&["key", "create", "deploy", "--role", "writer", "--expires", "90d"], "bb_"),
        (&["key", "list", "-o", "csv"], "deploy,writer"),
        (&["api", "GET", "/health"], "\"status\": \"healthy\""),
        (&["api", "put", "/api/v1/disruptor/b", "{}", "-o", "ndjson"], "\"name\":\"b\""),
        (&["explain", "ring_full"], "503"),
        (&["version", "-o", "json"], "\"server\": \"0."),
    ];
    for (arguments, said) in rows {
        let (code, out, errors) = run(&endpoint(&server), arguments, "{\"from\": \"input\"}");
        assert!(code == 0 && out.contains(said), "{arguments:?}: {code}\n{out}{errors}");
    }
}

#[test]
fn what_goes_wrong_has_a_status_and_a_line() {
    let server = Running::start("disruptors: [{name: paused}]");
    assert_eq!(run(&endpoint(&server), &["disruptor", "pause", "paused"], "").0, 0);
    let rows: [(&[&str], i32, &str); 20] = [
        (&["disruptor", "show", "mian"], 3, "did you mean `main`?"),
        (&["event", "get", "main", "7"], 3, "does not exist yet"),
        (&["event", "publish", "paused", "1"], 5, "is paused and cannot take events"),
        (&["disruptor", "create", "main"], 5, "badbatch explain name_taken"),
        (&["disruptor", "create", "a b"], 2, "take 1 to 64 of"),
        (&["disruptor", "create", "a", "-s", "1000"], 2, "nearest are 512 and 1024"),
        (&["event", "publish", "main", "hello"], 2, "a text needs its own quotation marks"),
        (&["event", "publish", "main", "@/nothing"], 2, "/nothing"),
        (&["event", "publish", "main", "1", "-m", "x"], 2, "`x` is not name=value"),
        (&["event", "publish", "main"], 2, "data"),
        (&["disruptor", "list", "-o", "jsn"], 2, "there are table, wide, json"),
        (&["disruptor", "lst"], 2, "Did you mean 'disruptor list'?"),
        (
            &["disruptor", "list", "--endpoint", "localhost"],
            2,
            "flag --endpoint: `localhost` is not an endpoint",
        ),
        (&["config", "get", "logging.levl"], 3, "did you mean logging.level?"),
        (&["config", "validate", "/nothing"], 2, "/nothing"),
        (&["key", "revoke", "x", "-y"], 3, "there is no key `x`"),
        (&["key", "create", "x", "--role", "root"], 2, "viewer, writer, admin"),
        (&["monitor", "export", "-", "--format", "xml"], 2, "there are json, csv"),
        (&["explain", "ring_ful"], 3, "Did you mean ring_full?"),
        (&["event", "broadcast", "{\"x\": [1]}"], 7, "1 batches were refused"),
    ];
    for (arguments, status, said) in rows {
        let (code, out, errors) = run(&endpoint(&server), arguments, "");
        assert!(code == status && errors.contains(said), "{arguments:?}: {code}\n{out}{errors}");
    }
    let (code, _, errors) =
        run(&endpoint(&server), &["event", "publish-file", "main", "-", "--ndjson"], "1\nwrong\n2\n");
    assert!(code == 7 && errors.contains("line 2: ") && errors.contains("1 lines were refused"), "{errors}");
    let keys = Running::start("auth: {enabled: true, api_keys: [the-key]}");
    let (code, _, errors) = run(&endpoint(&keys), &["disruptor", "list"], "");
    assert!(code == 4 && errors.contains("--token-file"), "{errors}");
    let folder = Folder::new();
    let file = folder.0.join("key");
    std::fs::write(&file, "the-key\n").expect("it is written");
    let token = ["disruptor", "list", "--token-file", file.to_str().expect("it is text")];
    assert_eq!(run(&endpoint(&keys), &token, "").0, 0);
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("there is a port")
        .local_addr()
        .expect("it is bound");
    let (code, _, errors) = run(&format!("http://{closed}"), &["disruptor", "list"], "");
    assert!(
        code == 6
            && errors.contains("start one: badbatch server")
            && errors.contains("(now: environment BADBATCH_ENDPOINT)"),
        "{errors}"
    );
}

#[test]
fn a_server_that_is_unwell_is_told_by_the_status() {
    let server = Running::start(
        "disruptors: [{name: failed, sinks: [{kind: webhook, url: 'http://127.0.0.1:9/', attempts: 1}]}]\nserver: {drain_timeout: 0s}",
    );
    let publish = || run(&endpoint(&server), &["event", "publish", "failed", "1", "-q"], "").0;
    assert!((0..1000).any(|_| publish() == 5), "it fails");
    let (code, out, errors) = run(&endpoint(&server), &["monitor", "health"], "");
    assert!(code == 8 && out.contains("unhealthy") && errors.contains("unhealthy"), "{code}: {out}{errors}");
}

#[test]
fn a_configuration_is_written_checked_and_not_overwritten() {
    let folder = Folder::new();
    let path = folder.0.join("badbatch.yaml").display().to_string();
    let nowhere = "http://127.0.0.1:9";
    assert_eq!(run(nowhere, &["config", "example", &path], "").0, 0);
    let (code, out, errors) = run(nowhere, &["config", "validate", &path], "");
    assert!(code == 0 && out.contains("orders") && errors.is_empty(), "{out}{errors}");
    assert_eq!(run(nowhere, &["config", "example", &path], "").0, 1);
    std::fs::write(&path, "server:\n  bind_adr: x\n").expect("it is written");
    let (code, _, errors) = run(nowhere, &["config", "validate", &path], "");
    assert!(
        code == 2
            && errors.contains("line 2: `server.bind_adr` is not a known key; did you mean `bind_addr`?"),
        "{errors}"
    );
}

#[test]
fn a_demo_needs_no_server_and_proves_what_it_did() {
    let nowhere = "http://127.0.0.1:9";
    let lines: String = (0..2000).map(|number| format!("line {number} gr\u{fc}n\r\n")).collect();
    let rows: [(&[&str], i32, &str); 7] = [
        (&["demo", "--events", "20000"], 0, "20000 of 20000 events"),
        (
            &["demo", "--events", "20000", "--producers", "3", "--wait-strategy", "yielding", "-o", "json"],
            0,
            "\"checksum\": \"ok\"",
        ),
        (&["demo", "--input", "-"], 0, "2000 of 2000 lines, each once and in order,"),
        (&["demo", "--events", "0"], 0, "checksum ok"),
        (&["demo", "--size", "1000"], 2, "nearest are 512 and 1024"),
        (&["demo", "--producers", "0"], 2, "0 is not from 1 to 64"),
        (&["demo", "--wait-strategy", "lazy"], 2, "no wait strategy is called `lazy`"),
    ];
    for (arguments, status, said) in rows {
        let (code, out, errors) = run(nowhere, arguments, &lines);
        assert!(
            code == status && format!("{out}{errors}").contains(said),
            "{arguments:?}: {code}\n{out}{errors}"
        );
    }
}

#[test]
fn a_large_file_goes_through_and_a_reader_that_leaves_is_no_error() {
    let server = Running::start("disruptors: [{name: big, buffer_size: 131072}]");
    let lines: String = (0..100_000).map(|number| format!("{number:0>100}\n")).collect();
    let (code, out, errors) =
        run(&endpoint(&server), &["event", "publish-file", "big", "-", "-q", "-o", "json"], &lines);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    assert!(code == 0 && told["published_count"] == 100_000 && errors.is_empty(), "{errors}");
    let typed =
        Shell::new(&endpoint(&server)).line("badbatch event tail big --from 0 --exit-at-end | head -n 1");
    assert!(typed.status == 0 && typed.errors.is_empty() && typed.out.lines().count() == 1, "{typed:?}");
}
