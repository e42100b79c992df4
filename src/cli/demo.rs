//! `badbatch demo`: the library's main job, with no server and no port.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;
use std::sync::Arc;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::exit::Failure;
use super::human;
use super::input;
use super::latency::Latency;
use super::output::{View, print};
use super::progress::{Goal, Progress};
use super::ring_run::{self, EVENTS_MAX, Plan, THREADS_MAX};
use super::session::Session;
use crate::disruptor::{DisruptorBuilder, NamedWaitStrategy};

/// Send events through a ring in this process, and tell how fast that was.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "demo", example = "badbatch demo\nbadbatch demo --input server.log")]
pub struct Demo {
    /// how many events [default: 1000000]
    #[argh(option, default = "1_000_000")]
    events: u64,
    /// how many threads publish [default: 1]
    #[argh(option, default = "1")]
    producers: u64,
    /// how the consumer waits [default: blocking] [values: busy-spin, yielding, sleeping, blocking, timeout-blocking, phased-backoff]
    #[argh(option, default = "String::from(\"blocking\")")]
    wait_strategy: String,
    /// slots of the ring, a power of two [default: 1024]
    #[argh(option, default = "1024")]
    size: usize,
    /// send this file's lines instead, or - for standard input
    #[argh(option)]
    input: Option<String>,
}

const CODE: &str = include_str!("demo_lines.txt");

pub fn run(arguments: &Demo, session: &Session) -> Result<(), Failure> {
    let wait = arguments.wait_strategy.parse();
    let wait = wait.map_err(|error| Failure::usage(format!("--wait-strategy: {error}")))?;
    let result = match &arguments.input {
        Some(path) => send_lines(arguments, path, wait, session)?,
        None => send_numbers(arguments, wait, session)?,
    };
    show(&result, arguments, session)?;
    match result["checksum"] == "ok" {
        true => Ok(()),
        false => Err(Failure::with_code(1, "what arrived is not what was sent")),
    }
}

fn send_numbers(arguments: &Demo, wait: NamedWaitStrategy, session: &Session) -> Result<Value, Failure> {
    if !(1..=THREADS_MAX).contains(&arguments.producers) {
        let given = arguments.producers;
        return Err(Failure::usage(format!("--producers: {given} is not from 1 to {THREADS_MAX}")));
    }
    if arguments.events > EVENTS_MAX {
        return Err(Failure::usage(format!("--events: {} is more than {EVENTS_MAX}", arguments.events)));
    }
    let plan = Plan {
        producers: arguments.producers,
        consumers: 1,
        events: arguments.events,
        duration: None,
        batch: 1,
        slots: arguments.size,
        wait,
        payload: 0,
        rate: 0,
        stamp_every: 1,
    };
    let mut progress = Progress::new(session, "ring", Goal::Events(arguments.events), 0);
    let run = ring_run::run(&plan, &mut |now| {
        progress.show(now.events(), || format!("ring {} %  p99 {}", now.fill(), human::nanos(now.p99())));
        true
    })?;
    Ok(told(run.seen, run.published, run.took, &run.latency, run.is_right))
}

/// What a slot holds while lines are sent.
#[derive(Default)]
struct Line {
    number: u64,
    text: Vec<u8>,
    sent: Option<Instant>,
}

/// Lines that were sent, or seen.
#[derive(Default)]
struct Lines {
    count: u64,
    hash: DefaultHasher,
}

impl Lines {
    /// The order counts, and so does where a line ends.
    fn add(&mut self, number: u64, text: &[u8]) {
        self.count += 1;
        (number, text).hash(&mut self.hash);
    }
}

fn send_lines(
    arguments: &Demo,
    path: &str,
    wait: NamedWaitStrategy,
    session: &Session,
) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::with_code(1, error.to_string());
    let builder = DisruptorBuilder::new().buffer_size(arguments.size).single_producer();
    let built = builder.wait_strategy(wait.build()).build::<Line>();
    let mut disruptor = built.map_err(|error| Failure::usage(format!("--size: {error}")))?;
    let seen = Arc::new(Mutex::new((Lines::default(), Latency::default())));
    let own = Arc::clone(&seen);
    let watch = move |line: &Line, _: u64, _: bool| {
        let mut seen = own.lock();
        seen.0.add(line.number, &line.text);
        seen.1.record(line.sent.map_or(0, |sent| sent.elapsed().as_nanos() as u64));
    };
    disruptor.handle_events_with(watch).map_err(|error| failed(&error))?;
    disruptor.start().map_err(|error| failed(&error))?;
    let goal = input::length(path).map_or(Goal::Open, Goal::Bytes);
    let mut progress = Progress::new(session, "ring", goal, 0);
    let mut input = progress.reads(input::open(path)?);
    let (started, mut sent, mut text) = (Instant::now(), Lines::default(), Vec::new());
    while input.read_until(b'\n', &mut text).map_err(|error| failed(&format!("--input: {path}: {error}")))?
        > 0
    {
        let number = sent.count;
        sent.add(number, &text);
        let published = disruptor.ring_buffer().publish_event(|line, _| {
            line.number = number;
            // The slot's old memory is used for the next line.
            std::mem::swap(&mut line.text, &mut text);
            line.sent = Some(Instant::now());
        });
        published.map_err(|error| failed(&error))?;
        text.clear();
        progress.show(sent.count, || format!("p99 {}", human::nanos(seen.lock().1.quantile(0.99))));
    }
    disruptor.shutdown().map_err(|error| failed(&error))?;
    let took = started.elapsed();
    let (lines, latency) = &*seen.lock();
    let is_right = lines.count == sent.count && lines.hash.finish() == sent.hash.finish();
    Ok(told(lines.count, sent.count, took, latency, is_right))
}

fn told(seen: u64, sent: u64, took: Duration, latency: &Latency, is_right: bool) -> Value {
    let seconds = took.as_secs_f64();
    json!({
        "events": seen,
        "of": sent,
        "seconds": seconds,
        "events_per_second": (seen as f64 / seconds.max(f64::MIN_POSITIVE)).round(),
        "p50_nanos": latency.quantile(0.5),
        "p99_nanos": latency.quantile(0.99),
        "p999_nanos": latency.quantile(0.999),
        "max_nanos": latency.max(),
        "checksum": if is_right { "ok" } else { "wrong" },
    })
}

fn show(result: &Value, arguments: &Demo, session: &Session) -> Result<(), Failure> {
    const VIEW: View<'_> = View {
        rows: None,
        columns: &[
            ("Events", "/events"),
            ("Of", "/of"),
            ("Seconds", "/seconds"),
            ("Per second", "/events_per_second"),
            ("P50 ns", "/p50_nanos"),
            ("P99 ns", "/p99_nanos"),
            ("P99.9 ns", "/p999_nanos"),
            ("Max ns", "/max_nanos"),
            ("Checksum", "/checksum"),
        ],
        wide: &[],
        name: "/events",
    };
    if !session.format.is_table() {
        return session.show(result, &VIEW);
    }
    let is_right = result["checksum"] == "ok";
    let what = match (&arguments.input, is_right) {
        (Some(_), true) => "lines, each once and in order,",
        (Some(_), false) => "lines, not as they were sent,",
        (None, _) => "events",
    };
    let time = |name: &str| human::nanos(result[name].as_u64().unwrap_or_default());
    let rate = human::count(result["events_per_second"].as_f64().unwrap_or_default());
    print(&format!(
        "{} of {} {what} in {:.3} s: {rate} per second\n\
         from producer to consumer: p50 {}, p99 {}, p99.9 {}, max {}\n\
         checksum {}",
        result["events"],
        result["of"],
        result["seconds"].as_f64().unwrap_or_default(),
        time("p50_nanos"),
        time("p99_nanos"),
        time("p999_nanos"),
        time("max_nanos"),
        result["checksum"].as_str().unwrap_or_default(),
    ))?;
    if arguments.input.is_none() {
        print(&format!("\nThe same in Rust:\n\n{CODE}\nnext: badbatch server"))?;
    }
    Ok(())
}
