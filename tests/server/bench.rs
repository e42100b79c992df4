//! `badbatch bench`, and what else sends events at a pace: counts, forms and ends, never speeds.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{endpoint, run};
use crate::support::{Folder, PATIENCE, Running};

const NOWHERE: &str = "http://127.0.0.1:9";

/// The program that `badbatch demo` shows, compiled.
mod shown {
    include!("../../src/cli/demo_lines.txt");

    #[test]
    fn the_lines_that_the_demo_shows_run() {
        main().expect("every event is what its sequence says");
    }
}

#[test]
fn the_demo_shows_lines_that_are_compiled_here() {
    let (code, out, errors) = run(NOWHERE, &["demo", "--events", "1000"], "");
    assert!(code == 0 && errors.is_empty(), "{errors}");
    assert!(out.contains(include_str!("../../src/cli/demo_lines.txt")), "{out}");
}

#[test]
fn every_bench_says_the_same_in_every_form() {
    let server = Running::start("");
    let folder = Folder::new();
    let path = folder.0.join("run.json").display().to_string();
    type Columns<'c> = &'c [(&'c str, &'c str)];
    let rows: [(&[&str], Columns<'_>); 2] = [
        (
            &["bench", "local", "--events", "20000", "--payload", "16"],
            &[
                ("Events", "/result/events"),
                ("P99.9 ns", "/result/latency/p999_nanos"),
                ("Slots", "/parameters/size"),
            ],
        ),
        (
            &["bench", "server", "--duration", "500ms", "--clients", "2", "--batch", "10"],
            &[
                ("Accepted", "/result/accepted"),
                ("Service max ns", "/result/service_time/max_nanos"),
                ("Batch", "/parameters/batch"),
            ],
        ),
    ];
    for (arguments, columns) in rows {
        for form in ["table", "json", "yaml", "ndjson", "csv", "name"] {
            let arguments = [arguments, &["--save", &path, "-q", "-o", form]].concat();
            let (code, out, errors) = run(&endpoint(&server), &arguments, "");
            assert!(code == 0 && errors.is_empty(), "{arguments:?}: {code}\n{out}{errors}");
            let saved = saved(&path);
            let cell = |at: &str| saved.pointer(at).unwrap_or_else(|| panic!("{at}: {saved}")).to_string();
            match form {
                "json" | "ndjson" => assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON"), saved),
                "yaml" => assert_eq!(serde_saphyr::from_str::<Value>(&out).expect("YAML"), saved),
                "name" => assert_eq!(out.trim(), cell("/result/events_per_second")),
                "csv" => {
                    let (heading, row) = out.trim().split_once('\n').expect("a heading and a row");
                    assert!(heading.contains(&columns[0].0.to_lowercase()), "{heading}");
                    assert_eq!(row.split(',').next(), Some(&*cell(columns[0].1)), "{row}");
                }
                _ => columns.iter().for_each(|(name, at)| {
                    let line = out.lines().find_map(|line| line.strip_prefix(&format!("{name}  ")));
                    assert_eq!(line.map(str::trim), Some(&*cell(at)), "{name} in\n{out}");
                }),
            }
        }
    }
    let (code, out, _) = run(NOWHERE, &["bench", "local", "--events", "1000", "--csv"], "");
    assert!(code == 0 && out.starts_with("events,seconds") && out.lines().count() == 2, "{out}");
}

#[test]
fn a_comparison_tells_each_figure_and_refuses_other_parameters() {
    let folder = Folder::new();
    let file = |name: &str| folder.0.join(name).display().to_string();
    let (old, new, other) = (file("old"), file("new"), file("other"));
    let run_of = |events: u64, batch: u64| {
        json!({
            "bench": "local",
            "parameters": {"batch": batch},
            "machine": {"cpus": 2},
            "result": {"events": events, "seconds": 0, "checksum": "ok", "latency": {"p50_nanos": 10}},
        })
    };
    for (path, run) in [(&old, run_of(400, 1)), (&new, run_of(500, 1)), (&other, run_of(500, 2))] {
        std::fs::write(path, run.to_string()).expect("it is written");
    }
    let compare = |arguments: &[&str]| run(NOWHERE, &[&["bench", "compare"], arguments].concat(), "");
    let (code, out, errors) = compare(&[&old, &new, "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    assert!(code == 0 && errors.is_empty(), "{errors}");
    let figures = json!([
        {"figure": "events", "old": 400, "new": 500, "ratio": 1.25},
        {"figure": "seconds", "old": 0, "new": 0, "ratio": null},
        {"figure": "latency/p50_nanos", "old": 10, "new": 10, "ratio": 1.0},
    ]);
    assert_eq!((&told["figures"], &told["different_parameters"]), (&figures, &json!([])));
    let forms = [
        ("table", "FIGURE             OLD  NEW  RATIO\nevents             400  500  1.25\n"),
        ("csv", "figure,old,new,ratio\nevents,400,500,1.25\n"),
        ("ndjson", "{\"figure\":\"events\""),
        ("name", "events\nseconds\nlatency/p50_nanos\n"),
        ("yaml", "figures:"),
    ];
    for (form, said) in forms {
        let (code, out, errors) = compare(&[&old, &new, "-o", form]);
        assert!(code == 0 && out.contains(said), "{form}: {out}{errors}");
    }
    let (code, out, errors) = compare(&[&old, &other]);
    assert!(code == 2 && out.is_empty() && errors.contains("batch (1 and 2)"), "{out}{errors}");
    let (code, out, errors) = compare(&[&old, &other, "--force"]);
    assert!(code == 0 && out.contains("1.25") && errors.contains("batch (1 and 2)"), "{out}{errors}");
}

#[test]
fn a_run_is_compared_with_a_saved_one() {
    let folder = Folder::new();
    let path = folder.0.join("old").display().to_string();
    let bench = |arguments: &[&str]| run(NOWHERE, &[&["bench", "local"], arguments].concat(), "");
    assert_eq!(bench(&["--events", "3000", "--save", &path]).0, 0);
    let (code, out, errors) = bench(&["--events", "3000", "--compare", &path, "-o", "json"]);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    let events = json!({"figure": "events", "old": 3000, "new": 3000, "ratio": 1.0});
    assert!(code == 0 && told["figures"][0] == events, "{out}{errors}");
    let (code, out, errors) = bench(&["--events", "4000", "--compare", &path]);
    assert!(code == 2 && out.is_empty() && errors.contains("events (3000 and 4000)"), "{out}{errors}");
    let (code, _, errors) = run(NOWHERE, &["bench", "server", "--compare", &path], "");
    assert!(code == 2 && errors.contains("a run of bench local cannot be compared"), "{errors}");
}

#[test]
fn wrong_arguments_are_told_before_anything_is_measured() {
    let folder = Folder::new();
    let file = |name: &str, text: &str| {
        let path = folder.0.join(name);
        std::fs::write(&path, text).expect("it is written");
        path.display().to_string()
    };
    let (empty, foreign) = (file("empty", ""), file("foreign", "{\"bench\": \"other\"}"));
    let half = file("half", "{\"bench\": \"local\", \"parameters\": {}, \"machine\": {}}");
    let rows: [(&[&str], &str); 27] = [
        (&["bench", "local", "--producers", "0"], "--producers: 0 is not from 1 to 64"),
        (&["bench", "local", "--consumers", "65"], "--consumers: 65 is not from 1 to 64"),
        (&["bench", "local", "--events", "0"], "--events: 0 is not from 1 to"),
        (&["bench", "local", "--batch", "1025"], "--batch: 1025 is not from 1 to 1024"),
        (&["bench", "local", "--batch", "0"], "--batch: 0"),
        (&["bench", "local", "--size", "1000"], "nearest are 512 and 1024"),
        (&["bench", "local", "--size", "1073741824"], "--size: 1073741824 slots take"),
        (&["bench", "local", "--payload", "1048577"], "--payload: 1048577 is more than 1048576"),
        (&["bench", "local", "--wait-strategy", "lazy"], "no wait strategy is called `lazy`"),
        (&["bench", "local", "--duration", "10"], "--duration: `10` is not a span of time"),
        (&["bench", "local", "--duration", "0s"], "--duration: a run of no time"),
        (&["bench", "local", "--rate", "-1"], "rate"),
        (&["bench", "local", "--compare", "/nothing"], "/nothing: "),
        (&["bench", "local", "--compare", &empty], "is not a saved run: EOF"),
        (&["bench", "local", "--compare", &foreign], "`bench` is neither `local` nor `server`"),
        (&["bench", "compare", &half, &half], "`result` is not an object"),
        (&["bench", "compare", &half], "new"),
        (&["bench", "server", "--clients", "257"], "--clients: 257 is not from 1 to 256"),
        (&["bench", "server", "--batch", "1001"], "--batch: 1001 is not from 1 to 1000"),
        (&["bench", "server", "--payload", "0"], "--payload: 0 is not from 1 to"),
        (&["bench", "server", "--batch", "1000", "--payload", "1000000"], "is more than 67108864"),
        (&["bench", "server", "--duration", "soon"], "--duration: `soon` is not a span"),
        (&["demo", "--size", "1073741824"], "--size: 1073741824 slots take"),
        (&["demo", "--input", "/nothing"], "/nothing: "),
        (&["event", "publish-file", "main", "-", "-b", "0"], "--batch-size: a request has at least 1 line"),
        (&["event", "generate", "main", "--duration", "x"], "--duration: `x` is not a span"),
        (&["event", "generate", "main", "--size", "99999999"], "--size: 99999999 is more than"),
    ];
    for (arguments, said) in rows {
        let (code, out, errors) = run(NOWHERE, arguments, "");
        assert!(code == 2 && out.is_empty(), "{arguments:?}: {code}\n{out}{errors}");
        assert!(errors.contains(said) && !errors.contains("panicked"), "{arguments:?}: {errors}");
    }
    assert_eq!(run(NOWHERE, &["bench", "server", "--duration", "1s"], "").0, 6);
    let server = Running::start("");
    let (code, _, errors) = run(&endpoint(&server), &["bench", "server", "--disruptor", "mian"], "");
    assert!(code == 3 && errors.contains("did you mean `main`?"), "{errors}");
}

#[test]
fn a_paced_run_publishes_and_measures_every_event() {
    let arguments =
        ["--events", "2001", "--rate", "20000", "--producers", "2", "--consumers", "3", "--batch", "8"];
    let (code, out, errors) = run(NOWHERE, &[&["bench", "local", "-o", "json"], &arguments[..]].concat(), "");
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
    let result = &told["result"];
    assert!(code == 0 && result["checksum"] == "ok" && result["events"] == 2001, "{out}");
    assert!(result["latency"]["count"] == 3 * 2001, "{out}");
    assert!(errors.contains("debug build") == cfg!(debug_assertions), "{errors}");
}

#[test]
fn a_run_of_many_producers_is_checked_and_ends_in_time() {
    let wide = ["--producers", "3", "--consumers", "2", "--batch", "7", "--payload", "9", "--size", "64"];
    for arguments in [["--events", "10000"], ["--duration", "50ms"]] {
        let arguments = [&["bench", "local", "-o", "json", "-q"], &wide[..], &arguments[..]].concat();
        let (code, out, errors) = run(NOWHERE, &arguments, "");
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
        assert!(code == 0 && errors.is_empty() && told["result"]["checksum"] == "ok", "{out}{errors}");
        assert!(told["result"]["latency"]["count"].as_u64() > Some(0), "{out}");
    }
}

#[test]
fn what_a_server_refuses_and_what_was_not_sent_is_counted() {
    let server = Running::start("disruptors: [{name: paused}]");
    assert_eq!(run(&endpoint(&server), &["disruptor", "pause", "paused"], "").0, 0);
    let bench = |arguments: &[&str]| {
        let arguments = [&["bench", "server", "-o", "json", "--duration", "1s"], arguments].concat();
        let (code, out, errors) = run(&endpoint(&server), &arguments, "");
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}"));
        (code, told["result"].clone(), errors)
    };
    let (code, result, errors) = bench(&["--disruptor", "paused", "--batch", "5"]);
    assert!(code == 7 && errors.contains("events were rejected"), "{errors}");
    let codes: Vec<&String> = result["rejections"].as_object().expect("by code").keys().collect();
    assert!(codes == ["invalid_state"] && result["accepted"] == 0, "{result}");
    assert_eq!(result["rejected"], result["rejections"]["invalid_state"]);
    let (code, result, errors) = bench(&["--batch", "1", "--rate", "100000000"]);
    assert!(code == 0 && result["unsent"].as_u64() > Some(0), "{result}");
    assert!(errors.contains("slower than the rate"), "{errors}");
    assert!(
        result["latency"]["max_nanos"].as_u64() > result["service_time"]["max_nanos"].as_u64(),
        "{result}"
    );
    assert!(result["loop"] == "open, at the rate", "{result}");
}

#[test]
fn the_temporary_disruptor_is_gone_afterwards_and_after_ctrl_c() {
    let server = Running::start("");
    let names = || run(&endpoint(&server), &["disruptor", "list", "-o", "name"], "").1;
    let (code, out, errors) = run(&endpoint(&server), &["bench", "server", "--duration", "300ms"], "");
    assert!(code == 0 && out.contains("closed, a client waits"), "{out}{errors}");
    assert_eq!(names(), "main\n");
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let child = start(&endpoint(&server), &["bench", "server", "--duration", "1h"]);
        assert!(until(|| names().starts_with("bench-")), "it makes one");
        let (code, errors) = end(child, signal);
        assert!(code == Some(status) && errors.contains("interrupted"), "{signal}: {code:?} {errors}");
        assert_eq!(names(), "main\n", "{signal}");
    }
}

#[test]
fn ctrl_c_ends_a_local_run() {
    for arguments in [&["bench", "local", "--duration", "1h"][..], &["bench", "local", "--rate", "1"]] {
        let child = start(NOWHERE, arguments);
        let blocked = format!("/proc/{}/status", child.id());
        // The signal is held back from the moment on at which the run can be ended.
        let is_ready = || {
            std::fs::read_to_string(&blocked).is_ok_and(|text| !text.contains("SigBlk:\t0000000000000000"))
        };
        assert!(until(is_ready), "it starts");
        let (code, errors) = end(child, "INT");
        assert!(code == Some(130) && errors.contains("interrupted"), "{arguments:?}: {code:?} {errors}");
    }
}

#[test]
fn events_are_generated_for_a_time_and_lines_go_in_small_requests() {
    let server = Running::start("disruptors: [{name: big, buffer_size: 65536}]");
    let told = |arguments: &[&str], input: &str| {
        let (code, out, errors) = run(&endpoint(&server), &[arguments, &["-o", "json"]].concat(), input);
        assert!(code == 0 && errors.is_empty(), "{arguments:?}: {code} {errors}");
        serde_json::from_str::<Value>(&out).expect("JSON")
    };
    let timed = told(&["event", "generate", "big", "--duration", "300ms", "--rate", "0"], "");
    assert!(timed["published_count"].as_u64() > Some(0), "{timed}");
    assert!(timed["request_p50_nanos"].as_u64() <= timed["request_p99_nanos"].as_u64(), "{timed}");
    let counted =
        told(&["event", "generate", "big", "-c", "30", "--duration", "1h", "-r", "1000", "-s", "100"], "");
    assert_eq!(counted["published_count"], 30);
    let last =
        told(&["event", "tail", "big", "--from", &(next(&timed) + 29).to_string(), "--count", "1"], "");
    assert_eq!(last["data"].to_string().len(), 100, "{last}");
    let lines = told(&["event", "publish-file", "main", "-", "-b", "2"], "1\n2\n3\n4\n5\n");
    assert_eq!((&lines["published_count"], &lines["next_sequence"]), (&json!(5), &json!(5)));
}

/// The sequence after what was generated into an empty ring.
fn next(generated: &Value) -> u64 {
    generated["published_count"].as_u64().expect("a number")
}

fn saved(path: &str) -> Value {
    let text = std::fs::read_to_string(path).expect("it was saved");
    serde_json::from_str(&text).expect("it is JSON")
}

fn start(endpoint: &str, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_badbatch"))
        .args(arguments)
        .env("BADBATCH_ENDPOINT", endpoint)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

/// Sends a signal, and returns the status and what was said.
fn end(child: Child, signal: &str) -> (Option<i32>, String) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success());
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("it is text"))
}

/// Whether a condition comes true while there is patience.
fn until(is_so: impl Fn() -> bool) -> bool {
    let step = Duration::from_millis(10);
    (0..PATIENCE.as_millis() / step.as_millis()).any(|_| {
        thread::park_timeout(step);
        is_so()
    })
}
