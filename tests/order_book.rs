//! The example `order_book`: its parts as functions, and the whole program as a process.
//!
//! `cargo test` builds the examples before it runs the tests; `cargo test --test order_book` alone
//! does not, and needs a `cargo build --example order_book` first.

#[path = "../examples/order_book/book.rs"]
mod book;
#[path = "../examples/order_book/flow.rs"]
mod flow;
#[path = "../examples/order_book/input.rs"]
mod input;
#[path = "../examples/order_book/lobster.rs"]
mod lobster;
#[path = "../examples/order_book/report.rs"]
mod report;

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use quickcheck::quickcheck;

use book::Book;
use flow::Flow;
use input::load;
use lobster::{Kind, Message, Price, Side, parse_message, parse_row};
use report::{Histogram, StageStats, table};

/// Six messages and, in the same lines, the book after each of them, two levels deep. The fifth
/// uncovers a bid that was there all along, below what the first row shows. There is no last line
/// end, as in the files of lobsterdata.com.
const MESSAGES: &str = "\
34200.000000001,1,11,100,5850000,1
34200.1,1,12,50,5851000,-1
34200.25,4,12,20,5851000,-1
34200.25,5,0,10,5850500,1
34201,3,7,80,5849000,1
34201.5,2,11,40,5850000,1";
const ROWS: &str = "\
5852000,200,5850000,100,9999999999,0,5849000,80
5851000,50,5850000,100,5852000,200,5849000,80
5851000,30,5850000,100,5852000,200,5849000,80
5851000,30,5850000,100,5852000,200,5849000,80
5851000,30,5850000,100,5852000,200,5848000,5
5851000,30,5850000,60,5852000,200,5848000,5";

#[test]
fn messages_survive_being_written_and_read_but_no_cut() {
    fn property(time_ns: u64, kind: u8, order_id: u64, size: u64, price: u64, buys: bool) -> bool {
        let kinds = [Kind::Add, Kind::Cancel, Kind::Delete, Kind::Execution, Kind::HiddenExecution];
        let message = Message {
            time_ns: time_ns % 86_400_000_000_000,
            kind: kinds[usize::from(kind) % kinds.len()],
            order_id,
            size: size.max(1),
            price: Price(price.max(1)),
            side: if buys { Side::Buy } else { Side::Sell },
        };
        let text = message.to_string().into_bytes();
        let mut cuts = (0..text.len()).map(|end| &text[..end]);
        parse_message(&text) == Ok(message) && cuts.all(|cut| parse_message(cut).is_err())
    }
    quickcheck(property as fn(u64, u8, u64, u64, u64, bool) -> bool);
}

#[test]
fn no_bytes_make_the_parsers_panic() {
    fn property(bytes: Vec<u8>) -> bool {
        parse_message(&bytes).is_err() || parse_row(&bytes).is_err()
    }
    quickcheck(property as fn(Vec<u8>) -> bool);
}

#[test]
fn the_made_up_flow_is_what_the_book_makes_of_its_lines() {
    let mut flow = Flow::new(1, 20_000);
    let mut book = Book::default();
    for step in flow.by_ref() {
        let step = step.expect("the flow has no file to fail on");
        let message = parse_message(&step.line).expect("the flow writes valid messages");
        book.apply(&message);
        let top = book.top();
        assert_eq!(Some(top), step.reference, "after {message}");
        assert!(top.bid.price < top.ask.price || top.ask.size == 0, "crossed after {message}");
    }
    assert_eq!(book, flow.book());
}

#[test]
fn a_book_from_the_first_row_becomes_the_other_rows() {
    let directory = fresh_directory("rows", &[("m.csv", MESSAGES), ("b.csv", ROWS)]);
    let (seed, steps) =
        load(&directory.join("m.csv"), Some(&directory.join("b.csv"))).expect("they are valid");
    let mut book = seed.expect("there is a first row");
    for step in steps.into_iter().skip(1) {
        let step = step.expect("the files are equally long");
        book.apply(&parse_message(&step.line).expect("the messages are valid"));
        assert_eq!(Some(book.top()), step.reference);
    }
}

#[test]
fn percentiles_are_at_most_a_bucket_too_high() {
    let mut histogram = Histogram::default();
    assert_eq!(histogram.percentile(999), Duration::ZERO);
    for micros in 1..=1000 {
        histogram.record(Duration::from_micros(micros));
    }
    for permille in [1, 500, 990, 999, 1000] {
        let exact = Duration::from_micros(permille);
        let found = histogram.percentile(permille);
        assert!(found >= exact && found <= exact * 33 / 32, "{permille}: {found:?}");
    }
    histogram.record(Duration::MAX);
    assert_eq!(histogram.percentile(1000), Duration::from_nanos(u64::MAX));
}

#[test]
fn the_table_has_a_line_for_each_stage() {
    let (busy, idle) = (&mut StageStats::default(), &StageStats::default());
    for (size, micros) in [(1, 10), (3, 1000)] {
        busy.batch(size);
        (0..size).for_each(|_| busy.event(Duration::from_micros(micros)));
    }
    assert_eq!(busy.events(), 4);
    let expected = "\
stage     batches  mean batch  max batch      p50 us      p99 us    p99.9 us
busy            2         2.0          3      1015.8      1015.8      1015.8
idle            0         0.0          0         0.0         0.0         0.0
";
    assert_eq!(table(&[("busy", busy), ("idle", idle)]), expected);
}

#[test]
fn a_replay_agrees_with_its_book_and_keeps_every_byte() {
    let run = run("good", &[("m.csv", MESSAGES), ("b.csv", ROWS)], &["m.csv", "b.csv"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{}", run.stdout);
    assert_eq!(run.stdout.lines().last(), Some("top of book matches 5 of 5 rows"));
    assert_eq!(run.journal.as_deref(), Some(MESSAGES));
    for figure in ["events", "seconds", "events per second", "max batch", "p50", "p99", "p99.9"] {
        assert!(run.stdout.contains(figure), "{figure} is missing from\n{}", run.stdout);
    }
}

#[test]
fn a_replay_without_a_book_starts_empty_and_compares_nothing() {
    let run = run("no_book", &[("m.csv", MESSAGES)], &["m.csv"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    assert!(!run.stdout.contains("matches"), "{}", run.stdout);
    assert_eq!(run.journal.as_deref(), Some(MESSAGES));
}

#[test]
fn a_difference_from_the_book_is_counted_and_not_hidden() {
    let rows = ROWS.replace("5850000,60", "5850000,61");
    let run = run("different", &[("m.csv", MESSAGES), ("b.csv", &rows)], &["m.csv", "b.csv"]);
    assert_eq!(run.code, Some(0));
    assert_eq!(run.stdout.lines().last(), Some("top of book matches 4 of 5 rows"));
}

#[test]
fn an_order_from_below_the_seed_takes_nothing_from_other_levels() {
    let messages = MESSAGES.replace("34201,3,7,80,5849000,1", "34201,3,7,80,5840000,1");
    let run = run("below", &[("m.csv", &messages), ("b.csv", ROWS)], &["m.csv", "b.csv"]);
    assert_eq!(run.stdout.lines().last(), Some("top of book matches 5 of 5 rows"));
}

#[test]
fn dos_line_ends_are_read_and_kept() {
    let (messages, rows) = (MESSAGES.replace('\n', "\r\n"), ROWS.replace('\n', "\r\n"));
    let run = run("dos", &[("m.csv", &messages), ("b.csv", &rows)], &["m.csv", "b.csv"]);
    assert_eq!(run.stdout.lines().last(), Some("top of book matches 5 of 5 rows"));
    assert_eq!(run.journal, Some(messages));
}

#[test]
fn every_cut_through_the_last_message_is_refused() {
    let start = MESSAGES.rfind('\n').expect("there are six lines") + 1;
    check_refused(&MESSAGES[..start], ROWS, "m.csv:6: the file ends here, but b.csv goes on");
    for end in start + 1..MESSAGES.len() {
        check_refused(&MESSAGES[..end], ROWS, "m.csv:6: ");
    }
}

#[test]
fn a_garbled_message_is_refused_with_its_line_and_field() {
    let fields = "fields are not the 6 of time,type,order_id,size,price,direction";
    let garbled = [
        ("", format!("m.csv:3: 1 {fields}")),
        ("34200.25,4,12,20,5851000,-1,9", format!("m.csv:3: 7 {fields}")),
        ("34200.25;4;12;20;5851000;-1", format!("m.csv:3: 1 {fields}")),
        ("86400,4,12,20,5851000,-1", "m.csv:3: time \"86400\" is not seconds".into()),
        ("1.,4,12,20,5851000,-1", "m.csv:3: time \"1.\" is not seconds".into()),
        ("1.0123456789,4,12,20,5851000,-1", "m.csv:3: time \"1.0123456789\" is".into()),
        ("-1,4,12,20,5851000,-1", "m.csv:3: time \"-1\" is not seconds".into()),
        ("1,6,12,20,5851000,-1", "m.csv:3: type \"6\" is not one of 1, 2, 3, 4 and 5".into()),
        ("1,4,-2,20,5851000,-1", "m.csv:3: order_id \"-2\" is not an integer of 0".into()),
        ("1,4,,20,5851000,-1", "m.csv:3: order_id \"\" is not an integer of 0".into()),
        (".5,4,12,20,5851000,-1", "m.csv:3: time \".5\" is not seconds".into()),
        ("1,4,12,abc,5851000,-1", "m.csv:3: size \"abc\" is not a positive integer".into()),
        ("1,4,12,0,5851000,-1", "m.csv:3: size \"0\" is not a positive integer".into()),
        ("1,4,12,+2,5851000,-1", "m.csv:3: size \"+2\" is not a positive integer".into()),
        (
            "1,4,12,18446744073709551616,1,-1",
            "m.csv:3: size \"18446744073709551616\" is not a positive integer".into(),
        ),
        ("1,4,12,20,,-1", "m.csv:3: price \"\" is not a positive integer".into()),
        ("1,4,12,20,5851000,0", "m.csv:3: direction \"0\" is not 1 (buy) or -1 (sell)".into()),
        ("1,4,12,20,5851000,\u{1}\u{e9}", "m.csv:3: direction \"\\x01\\xc3\\xa9\" is".into()),
        (&*"9".repeat(100_000), format!("m.csv:3: 1 {fields}")),
        (&*format!("1,4,12,20,{},1", "9".repeat(1000)), format!("m.csv:3: price \"{}\" is", "9".repeat(40))),
        ("1,4\n2,20,5851000,-1", "m.csv:3: 2 fields are not the 6 of".into()),
    ];
    for (line, expected) in garbled {
        check_refused(&MESSAGES.replace("34200.25,4,12,20,5851000,-1", line), ROWS, &expected);
    }
}

#[test]
fn the_first_of_two_garbled_lines_is_the_one_named() {
    let messages = MESSAGES.replace(",4,12,20,", ",4,12,x,") + "\n7\n8";
    check_refused(&messages, ROWS, "m.csv:3: size \"x\" is not a positive integer");
}

#[test]
fn a_book_that_does_not_fit_is_refused_with_its_line() {
    let last = ROWS.rfind('\n').expect("there are six lines");
    let refused = [
        (String::new(), "b.csv:1: the file is empty"),
        (ROWS[..last].into(), "b.csv:6: the file ends here, but m.csv goes on"),
        (format!("{ROWS}\n{}", &ROWS[last + 1..]), "m.csv:7: the file ends here, but b.csv goes on"),
        (ROWS[..ROWS.len() - 2].into(), "b.csv:6: 7 fields are not a multiple of the 4 of"),
        (ROWS[..ROWS.len() - 19].into(), "b.csv:6: 5 fields are not a multiple of the 4 of"),
        (ROWS[..ROWS.len() - 22].into(), "b.csv:6: 1 levels, where the first row has 2"),
        (ROWS.replace("5850000,60", "585o000,60"), "b.csv:6: bid price \"585o000\" is not"),
        (ROWS.replace("5850000,60", "5850000,0"), "b.csv:6: bid size \"0\" is not"),
        (ROWS.replace("9999999999,0", "9999999999,7"), "b.csv:1: ask size \"7\" is not 0"),
    ];
    for (rows, expected) in refused {
        check_refused(MESSAGES, &rows, expected);
    }
}

#[test]
fn what_is_no_message_file_is_refused_with_its_first_line() {
    check_refused("", ROWS, "m.csv:1: the file is empty");
    check_refused("\u{0}\u{1}\u{7f}ELF", ROWS, "m.csv:1: 1 fields are not the 6 of");
    for (path, expected) in [("no.csv", "no.csv:1: cannot read: "), (".", ".:1: cannot read: ")] {
        for arguments in [&[path][..], &[path, "b.csv"]] {
            let run = run("no_file", &[("b.csv", ROWS)], arguments);
            run.check_refused(expected);
        }
    }
    let run = run("no_book_file", &[("m.csv", MESSAGES)], &["m.csv", "no.csv"]);
    run.check_refused("no.csv:1: cannot read: ");
}

#[test]
fn a_refused_replay_leaves_an_older_journal_alone() {
    let files = [("m.csv", "garbled"), ("order_book.journal", "older")];
    let run = run("older", &files, &["m.csv"]);
    assert_eq!(run.code, Some(2));
    assert_eq!(run.journal.as_deref(), Some("older"));
}

#[test]
fn arguments_that_mean_nothing_get_the_usage_and_code_2() {
    for arguments in [&["a", "b", "c"][..], &["--version"]] {
        run("arguments", &[], arguments).check_refused("Usage: order_book [MESSAGES.csv [BOOK.csv]]");
    }
    let run = run("help", &[], &["--help"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""));
    assert!(run.stdout.starts_with("Usage: order_book "));
}

fn check_refused(messages: &str, rows: &str, expected: &str) {
    let name = format!("refused_{:?}", std::thread::current().id());
    let run = run(&name, &[("m.csv", messages), ("b.csv", rows)], &["m.csv", "b.csv"]);
    run.check_refused(expected);
}

/// What the program did, run in a directory of its own.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    journal: Option<String>,
    /// Files that it left beside those it was given and the journal.
    litter: Vec<String>,
}

impl Run {
    fn check_refused(&self, expected: &str) {
        assert!(self.stderr.starts_with(expected), "{} instead of {expected}", self.stderr);
        assert_eq!(self.code, Some(2), "{}", self.stderr);
        assert_eq!((&*self.stdout, &self.journal), ("", &None), "{}", self.stderr);
        assert_eq!(self.litter, [""; 0], "{}", self.stderr);
    }
}

fn run(name: &str, files: &[(&str, &str)], arguments: &[&str]) -> Run {
    let directory = fresh_directory(name, files);
    // target/debug/deps/order_book-0123 lies beside target/debug/examples/order_book.
    let tests = env::current_exe().expect("a test knows its path");
    let target = tests.ancestors().nth(2).expect("cargo puts tests two levels deep");
    let program = target.join("examples/order_book").with_extension(env::consts::EXE_EXTENSION);
    let output = Command::new(&program)
        .args(arguments)
        .current_dir(&directory)
        .envs(["TMPDIR", "TEMP", "TMP"].map(|name| (name, &directory)))
        .output()
        .unwrap_or_else(|error| panic!("`cargo build --example order_book` first: {error}"));
    let journal = fs::read_to_string(directory.join("order_book.journal")).ok();
    let entries = fs::read_dir(&directory).expect("the directory is still there");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name());
    let given = |name: &String| files.iter().any(|file| file.0 == name);
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("the program prints text"),
        stderr: String::from_utf8(output.stderr).expect("the program prints text"),
        journal,
        litter: names
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| !given(name) && name != "order_book.journal")
            .collect(),
    }
}

fn fresh_directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("order_book").join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the target directory takes files");
    for (name, content) in files {
        fs::write(directory.join(name), content).expect("the target directory takes files");
    }
    directory
}
