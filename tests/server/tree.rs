//! The whole tree of commands: every leaf has help and examples, every example runs, every result is told in every
//! form, and nothing of it changes unnoticed.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;

use serde_json::Value;

use crate::shell::{Shell, Typed};
use crate::support::{Folder, Process};

/// Commands whose example ends the server, does not end by itself, or needs another server; they have tests of their own.
const ELSEWHERE: [&str; 5] = [
    "badbatch server",
    "badbatch server stop",
    "badbatch cluster join",
    "badbatch cluster leave",
    "badbatch cluster force-leave",
];

/// Commands that change nothing: their examples may be typed again and again.
const READS: &[&str] = &[
    "server status",
    "manual",
    "completion",
    "version",
    "disruptor list",
    "disruptor show",
    "disruptor health",
    "disruptor replication",
    "event list",
    "event get",
    "event tail",
    "monitor system",
    "monitor disruptor",
    "monitor health",
    "monitor cluster",
    "cluster status",
    "cluster nodes",
    "cluster health",
    "cluster services",
    "cluster key list",
    "config show",
    "config get",
    "config path",
    "config validate",
    "context list",
    "context show",
    "key list",
    "explain",
];

/// What is told of this machine or of this moment, and so differs from run to run; and what docs/CLI.md has.
const VARIES: &[&str] = &[
    "badbatch doctor",
    "badbatch bench",
    "badbatch monitor watch",
    "badbatch demo",
    "badbatch manual",
    "badbatch cluster keygen",
];

const FORMATS: [&str; 7] = ["table", "wide", "json", "yaml", "ndjson", "csv", "name"];

/// A node of a cluster of one, with a key.
const SETTINGS: &str = "\
cluster:
  enabled: true
  node_id: node-1
  bind_addr: 127.0.0.1:0
  enable_encryption: true
  encryption_key: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
";

struct Walk {
    _server: Process,
    _settings: Folder,
    shell: Shell,
    leaves: Vec<Value>,
}

impl Walk {
    fn start() -> Self {
        let folder = Folder::new();
        let config = folder.0.join("server.yaml");
        fs::write(&config, SETTINGS).expect("it is written");
        let config = config.to_str().expect("it is text");
        let server = Process::start(&["--bind", "127.0.0.1:0", "--config", config]);
        let shell = Shell::new(&format!("http://{}", server.address()));
        fs::write(shell.home.0.join("server.log"), "first\nsecond\n").expect("it is written");
        let told = shell.line("badbatch help --json");
        let tree: Value = serde_json::from_str(&told.out).expect("it is JSON");
        let leaves = tree["commands"].as_array().expect("there are commands").clone();
        Self { _server: server, _settings: folder, shell, leaves }
    }

    fn examples(&self) -> Vec<(String, String)> {
        let of = |leaf: &Value| {
            let command = text(&leaf["command"]);
            let lines = leaf["examples"].as_array().expect("a list").clone();
            lines.iter().map(|line| (command.clone(), text(line))).collect::<Vec<_>>()
        };
        let all = self.leaves.iter().flat_map(of);
        all.filter(|(command, _)| !ELSEWHERE.contains(&command.as_str())).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Zero, or what is told of a machine that is not at its best, or busy.
fn is_well(command: &str, typed: &Typed) -> bool {
    matches!((command, typed.status), (_, 0) | ("badbatch doctor", 8) | ("badbatch bench server", 7))
}

#[test]
fn every_leaf_has_help_and_there_are_as_many_as_promised() {
    let walk = Walk::start();
    assert!(walk.leaves.len() >= 50, "{} leaves", walk.leaves.len());
    for leaf in &walk.leaves {
        let command = text(&leaf["command"]);
        let examples = leaf["examples"].as_array().expect("a list");
        assert!(examples.iter().any(|line| text(line).contains(&command)), "{command}: {examples:?}");
        let page = walk.shell.line(&format!("{command} --help"));
        assert!(page.status == 0 && page.out.contains(&text(&leaf["usage"])), "{command}: {page:?}");
        for example in examples {
            assert!(page.out.contains(&text(example)), "{command}: {}", page.out);
        }
        for option in leaf["options"].as_array().expect("a list") {
            assert!(!text(&option["about"]).is_empty(), "{command} {}", option["name"]);
            assert!(page.out.contains(&text(&option["name"])), "{command}: {}", page.out);
        }
    }
}

#[test]
fn every_value_that_help_names_is_taken() {
    let walk = Walk::start();
    let mut count = 0;
    for leaf in &walk.leaves {
        let (command, example) = (text(&leaf["command"]), text(&leaf["examples"][0]));
        for option in leaf["options"].as_array().expect("a list") {
            for value in option["values"].as_array().expect("a list") {
                let given = format!("{} {}", text(&option["name"]), text(value));
                let short = match command.as_str() {
                    "badbatch demo" | "badbatch bench local" => " --events 10",
                    "badbatch monitor watch" if text(value) == "disruptor" => " --target main",
                    _ => "",
                };
                let typed = walk.shell.line(&format!("{example} {given}{short}"));
                assert!(typed.status != 2, "{example} {given}: {typed:?}");
                let wrong = walk.shell.line(&format!("{example} {} strange{short}", text(&option["name"])));
                assert!(wrong.status == 2 && wrong.errors.starts_with("error: "), "{example}: {wrong:?}");
                count += 1;
            }
        }
    }
    assert!(count > 20, "{count} values");
}

#[test]
fn the_page_of_the_command_line_is_what_the_program_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CLI.md");
    let told = Shell::new("").line("badbatch help --markdown");
    let kept = fs::read_to_string(page).unwrap_or_default();
    assert!(kept == told.out, "docs/CLI.md is old; write it again: badbatch help --markdown > docs/CLI.md");
}

#[test]
fn every_example_runs_and_says_what_it_said() {
    let walk = Walk::start();
    let mut told = String::new();
    for (command, line) in walk.examples() {
        let typed = walk.shell.line(&line);
        assert!(is_well(&command, &typed), "$ {line}\n{typed:?}");
        let varies = VARIES.iter().any(|varies| command.starts_with(varies));
        let said = if varies { String::new() } else { format!("{}{}", typed.out, typed.errors) };
        write!(told, "$ {line}\n{}\n", masked(&said)).expect("a text takes all");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/golden.txt");
    if std::env::var_os("BADBATCH_BLESS").is_some() {
        fs::write(path, &told).expect("it is written");
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    let differs = kept.lines().zip(told.lines()).position(|(kept, told)| kept != told);
    assert!(
        kept == told,
        "tests/server/golden.txt differs from line {:?} on; look at it, and set BADBATCH_BLESS=1 to write it:\n{told}",
        differs.map(|line| line + 1)
    );
}

#[test]
fn every_example_answers_programs_in_json() {
    let walk = Walk::start();
    let mut shapes = String::new();
    for (command, line) in walk.examples() {
        if line.starts_with("source") {
            continue;
        }
        let typed = walk.shell.line_with(&line, &[("BADBATCH_OUTPUT", "json")], "");
        assert!(is_well(&command, &typed), "$ {line}\n{typed:?}");
        if ["--markdown", "prometheus", " -o "].iter().any(|form| line.contains(form)) {
            continue;
        }
        let values = serde_json::Deserializer::from_str(&typed.out).into_iter::<Value>();
        let values: Result<Vec<Value>, _> = values.collect();
        let values = values.unwrap_or_else(|error| panic!("$ {line}\n{error}: {}", typed.out));
        assert!(!values.is_empty(), "$ {line}\n{typed:?}");
        let members = values[0].as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
        writeln!(shapes, "$ {line}\n{}", members.unwrap_or_default().join(" ")).expect("a text takes all");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/server/golden_json.txt");
    if std::env::var_os("BADBATCH_BLESS").is_some() {
        fs::write(path, &shapes).expect("it is written");
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == shapes, "tests/server/golden_json.txt differs; BADBATCH_BLESS=1 writes it:\n{shapes}");
}

#[test]
fn every_reading_command_answers_in_every_form() {
    let walk = Walk::start();
    // What the examples read.
    for line in [
        "badbatch event batch main '[1, {\"data\": {\"a\": \"b,c\"}}, \"x\"]'",
        "badbatch context add local http://127.0.0.1:9",
        "badbatch key create reader --role viewer",
        "badbatch cluster service register web 80 --tag blue",
        "badbatch config example badbatch.yaml",
        "badbatch disruptor create ledger --replicas 3",
    ] {
        assert_eq!(walk.shell.line(line).status, 0, "{line}");
    }
    let mut seen = BTreeSet::new();
    for (command, line) in walk.examples() {
        let Some(read) = READS.iter().find(|read| command == format!("badbatch {read}")) else { continue };
        if line.starts_with("source") || line.contains("help --") {
            continue;
        }
        let bare = line.split(" -o ").next().unwrap_or_default().to_owned();
        seen.insert(*read);
        let told = FORMATS.map(|format| {
            let typed = walk.shell.line_with(&bare, &[("BADBATCH_OUTPUT", format)], "");
            assert!(typed.status == 0 && !typed.out.is_empty(), "{line} -o {format}\n{typed:?}");
            typed.out
        });
        let [table, wide, json, yaml, ndjson, csv, name] = told;
        let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(&json).into_iter().collect();
        let values = values.unwrap_or_else(|error| panic!("{line}: {error}\n{json}"));
        assert!(!values.is_empty(), "{line}");
        assert!(yaml.contains(": "), "{line}\n{yaml}");
        let lines: Result<Vec<Value>, _> = ndjson.lines().map(serde_json::from_str).collect();
        let lines = lines.unwrap_or_else(|error| panic!("{line}: {error}\n{ndjson}"));
        assert_eq!(name.lines().count(), lines.len(), "{line}\n{name}");
        assert!(wide.len() >= table.len(), "{line}\n{table}\n{wide}");
        if matches!(read, &"completion" | &"manual" | &"event tail") {
            continue;
        }
        let mut rows = cells(&csv).into_iter();
        let headings = rows.next().expect("there are headings");
        let shown = wide.to_lowercase();
        assert!(headings.iter().all(|heading| shown.contains(heading)), "{line}\n{wide}\n{csv}");
        assert_eq!(rows.len(), lines.len(), "{line}\n{csv}");
        let mut known = BTreeSet::from(["-".to_owned()]);
        lines.iter().for_each(|value| gather(value, &mut known));
        // Numbers may have changed in between, a setting is the form itself, and a table writes lists for people.
        let is_steady = |cell: &String| {
            let is_composite = cell.starts_with(['[', '{']);
            let is_number = cell.chars().any(|letter| letter.is_ascii_digit());
            !is_composite && !is_number && !FORMATS.contains(&cell.as_str())
        };
        for cell in rows.flatten().filter(is_steady) {
            assert!(known.contains(&cell), "{line}: `{cell}` is not in {known:?}");
            assert!(wide.contains(&cell), "{line}: `{cell}` is not in {wide}");
        }
    }
    let missing: Vec<_> = READS.iter().filter(|read| !seen.contains(*read)).collect();
    assert!(missing.iter().all(|read| *read == &"completion"), "not read: {missing:?}");
}

/// The rows of a CSV text.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut letters = csv.chars().peekable();
    let mut is_quoted = false;
    while let Some(letter) = letters.next() {
        let row = rows.last_mut().expect("there is one");
        match letter {
            '"' if is_quoted && letters.peek() == Some(&'"') => {
                row.last_mut().expect("there is one").extend(letters.next());
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(String::new()),
            '\n' if !is_quoted => rows.push(vec![String::new()]),
            other => row.last_mut().expect("there is one").push(other),
        }
    }
    rows.pop();
    rows
}

/// Everything that is in a value, as a cell would show it.
fn gather(value: &Value, known: &mut BTreeSet<String>) {
    known.insert(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, known)),
        Value::Object(members) => members.values().for_each(|member| gather(member, known)),
        _ => {}
    }
}

/// What differs from run to run, as `#`: numbers, times, identifiers, and what follows `up`.
fn masked(text: &str) -> String {
    let is_part =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | ':' | '+' | '-' | '/');
    let mut lines = Vec::new();
    for line in text.lines() {
        let (mut shown, mut is_up) = (String::new(), false);
        for piece in line.split_inclusive(|letter| !is_part(letter)) {
            let word: String = piece.chars().take_while(|letter| is_part(*letter)).collect();
            let rest = &piece[word.len()..];
            let has_digit = word.chars().any(|letter| letter.is_ascii_digit());
            let is_number = word.parse::<f64>().is_ok();
            let is_masked = has_digit && (is_number || is_up || word.len() > 7);
            shown += if is_masked { "#" } else { word.as_str() };
            is_up = if word.is_empty() { is_up } else { word.eq_ignore_ascii_case("up") };
            shown += rest;
        }
        lines.push(shown.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
