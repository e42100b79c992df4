//! The program itself: what it prints, how it ends, and every shell block of the documents.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;

use badbatch::base::deadline::Deadline;
use serde_json::Value;

use crate::shell::Shell;
use crate::support::{Folder, PATIENCE, PROGRAM, Process};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM).args(arguments).output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_greeting_s_commands_work_as_they_are() {
    let server = Process::start(&["--bind", "127.0.0.1:0"]);
    assert!(server.greeting.contains("main  running  ring 1024"), "{}", server.greeting);
    let commands: Vec<_> =
        server.greeting.lines().filter(|line| line.trim_start().starts_with("curl")).collect();
    assert_eq!(commands.len(), 2, "{}", server.greeting);
    let publish =
        Command::new("sh").args(["-c", &format!("{} -sS", commands[0])]).output().expect("there is a shell");
    let answer: Value = serde_json::from_slice(&publish.stdout).expect("it answers JSON");
    assert_eq!(answer["sequence"], 0);
    let own: Vec<_> =
        server.greeting.lines().filter(|line| line.trim_start().starts_with("badbatch ")).skip(1).collect();
    // Watching and following do not end by themselves.
    let rows = [("", "published to main"), (" --count 1", "Hello, World!"), (" --once", "healthy  main")];
    assert_eq!(own.len(), rows.len(), "{}", server.greeting);
    let shell = Shell::new("");
    for (line, (end, said)) in own.iter().zip(rows) {
        let typed = shell.line(&format!("{line}{end}"));
        assert!(typed.status == 0 && typed.out.contains(said), "{line}: {typed:?}");
    }
    // Following does not end by itself.
    let tail = format!("{} -sS --max-time 3 | head -n 4", commands[1]);
    let tail = Command::new("sh").args(["-c", &tail]).output().expect("there is a shell");
    assert!(String::from_utf8_lossy(&tail.stdout).contains("Hello, World!"), "{tail:?}");
}

#[test]
fn each_signal_does_its_own() {
    for name in ["TERM", "INT"] {
        let server = Process::start(&["--bind", "127.0.0.1:0", "--log", "json"]);
        assert_eq!(server.client().post("/api/v1/disruptor/main/events", "1").status, 201);
        server.signal(name);
        let (code, _, errors) = server.end();
        assert_eq!(code, Some(0), "{errors}");
        let lines: Vec<Value> =
            errors.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
        assert!(lines.iter().any(|line| line["message"] == "ended"), "{errors}");
    }
    let folder = Folder::new();
    let config = folder.0.join("config.yaml");
    fs::write(&config, "server: {bind_addr: '127.0.0.1:0', drain_timeout: 1s}\n").expect("it is written");
    let path = config.to_str().expect("it is text").to_owned();
    let server = Process::start(&["--config", &path, "--log", "text"]);
    let new = "server: {bind_addr: '127.0.0.1:1', drain_timeout: 2s}\ndisruptors: [{name: later}]\n";
    fs::write(&config, new).expect("it is written");
    server.signal("HUP");
    let line = server.log_line();
    assert!(line.contains("settings read again") && line.contains("server.bind_addr"), "{line}");
    assert_eq!(server.client().get("/api/v1/disruptor/later").status, 200);
    fs::write(&config, "server: {drain_timeot: 2s}\n").expect("it is written");
    server.signal("HUP");
    let line = server.log_line();
    assert!(line.contains("not read again") && line.contains("did you mean `drain_timeout`?"), "{line}");
    assert_eq!(server.client().get("/health").status, 200);
}

/// Four clients publish as fast as they can while the server is told to end: each event that was acknowledged is in
/// the file, once, and the next start knows the disruptor and the key.
#[test]
fn what_was_acknowledged_under_load_is_handed_on_at_the_end() {
    let folder = Folder::new();
    let data = folder.0.join("data");
    let flags = ["--bind", "127.0.0.1:0", "--data-dir", data.to_str().expect("it is text")];
    let server = Process::start(&flags);
    let mut client = server.client();
    let sink = r#"{"name": "kept", "buffer_size": 64, "producer_type": "multi", "sinks": [{"kind": "file", "path": "k.ndjson"}]}"#;
    assert_eq!(client.post("/api/v1/disruptor", sink).status, 201);
    assert_eq!(client.post("/api/v1/key", r#"{"name": "k", "role": "viewer"}"#).status, 201);
    let address = server.address();
    let count = std::sync::atomic::AtomicU64::new(0);
    let (acknowledged, ended) = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..4)
            .map(|publisher| {
                let count = &count;
                scope.spawn(move || publish_until_the_end(address, publisher, count))
            })
            .collect();
        while count.load(std::sync::atomic::Ordering::Relaxed) < 2000 {
            std::thread::yield_now();
        }
        server.signal("TERM");
        let ended = server.end();
        let acknowledged =
            publishers.into_iter().flat_map(|publisher| publisher.join().expect("it published"));
        (acknowledged.collect::<std::collections::BTreeMap<u64, String>>(), ended)
    });
    assert_eq!(ended.0, Some(0), "{}", ended.2);
    let file = fs::read_to_string(data.join("files/k.ndjson")).expect("it was written");
    let written = file.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("it is JSON");
        (event["sequence"].as_u64().expect("a number"), event["data"].as_str().expect("a text").to_owned())
    });
    let written: Vec<_> = written.collect();
    assert!(written.iter().map(|(sequence, _)| *sequence).eq(0..written.len() as u64));
    for (sequence, data) in &acknowledged {
        assert_eq!(written[*sequence as usize].1, *data);
    }
    assert!(acknowledged.len() >= 2000);
    let again = Process::start(&flags);
    let mut client = again.client();
    assert_eq!(client.get("/api/v1/disruptor/kept/status").json()["status"], "running");
    assert_eq!(client.get("/api/v1/key").json()["total"], 1);
}

/// Publishes numbered texts, and returns those that were acknowledged, by sequence.
fn publish_until_the_end(
    address: std::net::SocketAddr,
    publisher: u32,
    count: &std::sync::atomic::AtomicU64,
) -> Vec<(u64, String)> {
    use std::io::Write;
    let mut acknowledged = Vec::new();
    let Ok(stream) = std::net::TcpStream::connect(address) else { return acknowledged };
    let mut stream = BufReader::new(stream);
    for number in 0_u32.. {
        let text = format!("{publisher}-{number}");
        let request = format!(
            "POST /api/v1/disruptor/kept/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n\"{text}\"",
            text.len() + 2
        );
        if stream.get_mut().write_all(request.as_bytes()).is_err() {
            break;
        }
        let (mut line, mut status, mut length) = (String::new(), 0_u16, 0);
        loop {
            line.clear();
            if !matches!(stream.read_line(&mut line), Ok(1..)) {
                return acknowledged;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest[..3].parse().expect("a status");
            } else if let Some(rest) = line.strip_prefix("Content-Length: ") {
                length = rest.trim().parse().expect("a number");
            } else if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).is_err() {
            break;
        }
        if status == 201 {
            let answer: Value = serde_json::from_slice(&body).expect("it is JSON");
            acknowledged.push((answer["sequence"].as_u64().expect("a number"), text));
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    acknowledged
}

#[test]
fn a_server_that_is_asked_to_end_by_a_client_ends() {
    let server = Process::start(&["--bind", "127.0.0.1:0"]);
    assert_eq!(server.client().post("/api/v1/server/shutdown", "").status, 202);
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn events_that_nobody_took_are_told_at_the_end() {
    let folder = Folder::new();
    let config = folder.0.join("config.json");
    let text = r#"{"server": {"bind_addr": "127.0.0.1:0", "drain_timeout": "100ms"},
        "disruptors": [{"name": "stuck", "sinks": [{"kind": "webhook", "url": "http://127.0.0.1:9/"}]}]}"#;
    fs::write(&config, text).expect("it is written");
    let server = Process::start(&["-c", config.to_str().expect("it is text"), "--log", "json"]);
    assert_eq!(server.client().post("/api/v1/disruptor/stuck/events", "1").status, 201);
    server.signal("TERM");
    let (code, _, errors) = server.end();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("\"events were not handed on\"") && errors.contains("\"events\":1"), "{errors}");
}

#[test]
fn beyond_this_machine_a_key_is_made_and_shown_once() {
    let folder = Folder::new();
    let data = folder.0.to_str().expect("it is text");
    let server = Process::start(&["--bind", "0.0.0.0:0", "--data-dir", data]);
    let key = server
        .greeting
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("bb_"))
        .expect("it shows a key")
        .to_owned();
    let mut client = server.client();
    assert_eq!(client.get("/api/v1/disruptor").status, 401);
    assert_eq!(client.ask("GET", "/api/v1/disruptor", &[("X-API-Key", &key)], b"").status, 200);
    let file = folder.0.join("admin.key");
    assert_eq!(fs::read_to_string(&file).expect("it is kept").trim(), key);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(&file).expect("it is kept").permissions().mode() & 0o777, 0o600);
    let told = |begin: &str| {
        let line = server.greeting.lines().map(str::trim).find(|line| line.starts_with(begin));
        line.unwrap_or_else(|| panic!("{}", server.greeting)).to_owned()
    };
    let lines = [told("export BADBATCH_TOKEN="), told("badbatch event publish"), told("curl -H")].join("\n");
    let typed = Shell::new("").line(&lines);
    assert!(typed.status == 0 && typed.out.contains("published to main  sequence 0"), "{lines}: {typed:?}");
    assert!(typed.out.contains("\"sequence\":1"), "{lines}: {typed:?}");
    server.signal("TERM");
    let (code, out, errors) = server.end();
    assert!(code == Some(0) && !out.contains(&key) && !errors.contains(&key));
    // The next start knows it, and shows it no more.
    let server = Process::start(&["--bind", "0.0.0.0:0", "--data-dir", data]);
    assert!(!server.greeting.contains(&key) && !server.greeting.contains("bb_"), "{}", server.greeting);
    assert_eq!(server.client().ask("GET", "/api/v1/disruptor", &[("X-API-Key", &key)], b"").status, 200);
    let open = Process::start(&["--bind", "0.0.0.0:0", "--insecure"]);
    assert!(open.greeting.contains("OFF: anybody") && open.client().get("/api/v1/disruptor").status == 200);
}

#[test]
fn wrong_commands_are_told_in_a_line() {
    let check = |arguments: &[&str], code: i32, said: &str| {
        let (status, out, errors) = run(arguments);
        assert_eq!(status, Some(code), "{arguments:?}: {out}{errors}");
        assert!(format!("{out}{errors}").contains(said), "{arguments:?}: {out}{errors}");
    };
    let folder = Folder::new();
    let config = folder.0.join("c.yaml");
    fs::write(&config, "server:\n  bind_adr: x\n").expect("it is written");
    let path = config.to_str().expect("it is text");
    check(&["--version"], 0, concat!("badbatch ", env!("CARGO_PKG_VERSION")));
    check(&["--help"], 0, "server");
    check(&["server", "--help"], 0, "--data-dir");
    check(&[], 0, "badbatch server");
    check(&["serve"], 2, "error: no command 'serve'. Did you mean 'server'?");
    check(&["server", "--bnd", "x"], 2, "--bnd");
    check(
        &["server", "--bind", "here"],
        2,
        "error: --bind: server.bind_addr: \"here\" is not an address such as 127.0.0.1:8080",
    );
    check(&["server", "-c", "/nothing"], 2, "error: /nothing: cannot read the configuration: No such file");
    check(
        &["server", "-c", path],
        2,
        "c.yaml: line 2: `server.bind_adr` is not a known key; did you mean `bind_addr`?",
    );
    check(&["server", "--bind", "127.0.0.1:0", "--data-dir", "/proc/nothing"], 1, "/proc/nothing");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    check(&["server", "--bind", &address], 1, "is in use by another program; take another port");
}

/// Shell blocks that are marked `sh server` are typed one after another at a server of their page.
#[test]
fn every_shell_block_of_the_documents_works() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut pages = vec![format!("{root}/README.md")];
    let docs = fs::read_dir(format!("{root}/docs")).expect("there are documents");
    pages.extend(
        docs.map(|page| page.expect("it is there").path().display().to_string())
            .filter(|page| page.ends_with(".md")),
    );
    let mut blocks = 0;
    for page in pages {
        let text = fs::read_to_string(&page).expect("it can be read");
        let found: Vec<&str> =
            text.split("```sh server\n").skip(1).filter_map(|rest| rest.split("\n```").next()).collect();
        if found.is_empty() {
            continue;
        }
        let folder = Folder::new();
        let data = folder.0.join("data");
        let server =
            Process::start(&["--bind", "127.0.0.1:0", "--data-dir", data.to_str().expect("it is text")]);
        let shell = Shell::new(&format!("http://{}", server.address()));
        for block in found {
            blocks += 1;
            // Documents say where a server usually is, and follow without an end.
            let block = block
                .replace("localhost:8080", &server.address().to_string())
                .replace("curl ", "curl -sS --fail-with-body --max-time 3 ");
            let typed = shell.line(&format!("set -eu\n{block}"));
            let timed_out = typed.status == 28 && block.contains("stream");
            assert!(typed.status == 0 || timed_out, "{page}:\n{block}\n{typed:?}");
        }
    }
    assert!(blocks >= 3, "{blocks}");
}

/// Shell blocks that are marked `sh cluster` are terminals: servers that go on, and lines that are typed at the first one.
#[test]
fn every_cluster_of_the_documents_works() {
    let root = env!("CARGO_MANIFEST_DIR");
    for page in ["README.md", "docs/SERVER.md"] {
        let text = fs::read_to_string(format!("{root}/{page}")).expect("it can be read");
        let blocks = text.split("```sh cluster\n").skip(1).filter_map(|rest| rest.split("\n```").next());
        let (starts, lines): (Vec<&str>, Vec<&str>) =
            blocks.flat_map(str::lines).partition(|line| line.starts_with("badbatch server "));
        assert!(starts.len() == 3 && lines.len() >= 3, "{page}: {starts:?} {lines:?}");
        // The documents' ports, and those that are free here.
        let ports = ["8081", "8082", "7946", "7947", "7948"];
        let free = ports.map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("there is a port"));
        let free = free.map(|listener| listener.local_addr().expect("it is bound").port().to_string());
        let servers: Vec<Process> = starts
            .iter()
            .map(|line| {
                let here = |line: String, (port, free): (&str, &String)| line.replace(port, free);
                let line = ports.into_iter().zip(&free).fold((*line).to_owned(), here);
                let words = line.split(' ').skip(2);
                let first = (!line.contains("--bind")).then_some(["--bind", "127.0.0.1:0"]);
                Process::start(&words.chain(first.into_iter().flatten()).collect::<Vec<_>>())
            })
            .collect();
        let shell = Shell::new(&format!("http://{}", servers[0].address()));
        let deadline = Deadline::after(PATIENCE);
        while shell.line("badbatch cluster nodes --state alive -o name").out.lines().count() < 3 {
            assert!(!deadline.has_passed(), "{page}: {:?}", shell.line("badbatch cluster nodes"));
        }
        for line in lines {
            let typed = shell.line(line);
            let says_something = !(typed.out.is_empty() && typed.errors.is_empty());
            assert!(typed.status == 0 && says_something, "{line}: {typed:?}");
        }
    }
}
