//! The command line against a real server: what it prints, and its status.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::shell::{Shell, program};
use crate::support::{Folder, Running};

/// Runs the program with an endpoint, and some standard input; returns the status, output and errors.
pub fn run(endpoint: &str, arguments: &[&str], input: &str) -> (i32, String, String) {
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

pub fn endpoint(server: &Running) -> String {
    format!("http://{}", server.address)
}

#[test]
fn what_was_ever_promised_works_in_this_order() {
    let server = Running::start("");
    let rows: [(&[&str], &str); 39] = [
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
        (&["disruptor", "reset", "main", "-y", "-o", "csv"], "not_handed_on"),
        (&["disruptor", "rm", "my-disruptor-2", "-f"], ""),
        (&["monitor", "system"], "DISRUPTOR"),
        (&["monitor", "disruptor", "my-disruptor"], "Published     54"),
        (&["monitor", "health", "-o", "json"], "\"status\": \"healthy\""),
        (&["monitor", "export", "-", "--format", "prometheus"], "# TYPE badbatch_build_info gauge"),
        (&["monitor", "export", "-", "-f", "csv"], "disruptor,published"),
        (&["server", "status", "-o", "name"], "healthy\n"),
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
        (&["disruptor", "list", "-o", "jsn"], 2, "did you mean json?"),
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

#[test]
fn with_json_an_error_is_a_problem_on_standard_error() {
    let server = Running::start("");
    let shell = Shell::new(&endpoint(&server));
    let rows = [
        ("disruptor show mian -o json", 3, "disruptor_not_found"),
        ("-ojson disruptor create a --size 1000", 2, "invalid_request"),
        ("disruptor lst --output=json", 2, "usage"),
        ("disruptor list -e http://127.0.0.1:9 -o json", 6, "unreachable"),
        ("explain nothing --format json", 3, "not_found"),
        ("context use nothing -o ndjson", 3, "not_found"),
    ];
    for (line, status, code) in rows {
        let typed = shell.line(&format!("badbatch {line}"));
        let problem: Value =
            serde_json::from_str(&typed.errors).unwrap_or_else(|_| panic!("{line}: {typed:?}"));
        assert_eq!(
            (typed.status, &problem["code"], &problem["exit_status"]),
            (status, &code.into(), &status.into())
        );
        assert!(
            problem["detail"].is_string() && problem["title"].is_string() && typed.out.is_empty(),
            "{problem}"
        );
    }
    let typed = shell.line_with("badbatch disruptor lst", &[("BADBATCH_OUTPUT", "json")], "");
    assert!(typed.errors.starts_with('{'), "{typed:?}");
}

/// A server that says these bytes to everybody, and then closes or, if there are none, waits.
fn saying(bytes: &'static [u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for socket in listener.incoming() {
            let mut socket = socket.expect("somebody comes");
            // Read the head, so that closing is no reset.
            let _read = std::io::Read::read(&mut socket, &mut [0; 4096]);
            // Whoever has gone is not told.
            let _said = socket.write_all(bytes);
            if bytes.is_empty() {
                held.push(socket);
            }
        }
    });
    format!("http://{address}")
}

#[test]
fn what_is_no_server_of_ours_is_told_in_a_line() {
    let rows: [(&[u8], i32, &str); 7] = [
        (b"", 6, "does not answer within"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", 6, "no answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"items\"", 6, "cannot reach"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 1, "not JSON"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>", 1, "status 404 without a problem"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n", 1, "302"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 1, "badbatch server"),
    ];
    for (bytes, status, said) in rows {
        let shell = Shell::new(&saying(bytes));
        for line in ["badbatch disruptor list --timeout 1s", "badbatch event publish main 1 --timeout 1s"] {
            let typed = shell.line(line);
            assert!(
                typed.status == status && typed.errors.contains(said) && typed.errors.starts_with("error: "),
                "{}: {line}: {typed:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        // Once is enough to see that it gives up.
        if bytes.is_empty() {
            continue;
        }
        // Their status is their answer, or that there is none; they must not panic.
        for line in
            ["badbatch version --timeout 1s", "badbatch monitor health --timeout 1s", "badbatch --timeout 1s"]
        {
            let typed = shell.line(line);
            assert!(typed.status != 101 && !typed.errors.contains("panicked"), "{line}: {typed:?}");
        }
    }
}

#[test]
fn large_data_is_read_and_refused_by_the_server_s_limit() {
    let server = Running::start("");
    let shell = Shell::new(&endpoint(&server));
    let text = "x".repeat(10 << 20);
    std::fs::write(shell.home.0.join("large.json"), format!("\"{text}\"")).expect("it is written");
    let typed = shell.line("badbatch event publish main @large.json");
    assert!(typed.status == 2 && typed.errors.contains("payload_too_large"), "{typed:?}");
    let line = format!("badbatch event publish main {}", "x".repeat(100_000));
    let typed = shell.line_with("badbatch event publish main @-", &[], &format!("\"{}\"", &text[..1000]));
    assert_eq!(typed.status, 0, "{typed:?}");
    let typed = shell.line(&line);
    assert!(typed.status == 2 && typed.errors.len() < 1000, "{} bytes", typed.errors.len());
}

#[test]
fn colours_are_for_those_who_want_them() {
    let server = Running::start("");
    let shell = Shell::new(&endpoint(&server));
    let is_coloured = |line: &str, variables: &[(&str, &str)]| {
        let typed = shell.line_with(line, variables, "");
        format!("{}{}", typed.out, typed.errors).contains('\u{1b}')
    };
    let forced = [("CLICOLOR_FORCE", "1")];
    for line in ["badbatch disruptor list", "badbatch --help", "badbatch disruptor show nothing"] {
        assert!(!is_coloured(line, &[]), "{line}");
        assert!(is_coloured(line, &forced), "{line}");
        assert!(!is_coloured(&format!("{line} --no-color"), &forced), "{line}");
    }
    assert!(!is_coloured("badbatch disruptor list -o json", &forced));
}
