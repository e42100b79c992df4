//! `badbatch demo`: the library's main job, with no server and no port.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::exit::Failure;
use super::output::View;
use super::session::Session;
use crate::disruptor::{
    ClaimError, Disruptor, DisruptorBuilder, Monitor, MultiProducer, NamedWaitStrategy, RingBuffer,
    WaitStrategy,
};
use crate::metrics::Histogram;

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
    /// how the consumer waits [values: blocking, yielding, busy-spin, sleeping] [default: blocking]
    #[argh(option, default = "String::from(\"blocking\")")]
    wait_strategy: String,
    /// slots of the ring, a power of two [default: 1024]
    #[argh(option, default = "1024")]
    size: usize,
    /// send this file's lines instead, or - for standard input
    #[argh(option)]
    input: Option<String>,
}

/// What a slot holds.
#[derive(Default)]
struct Event {
    number: u64,
    line: Vec<u8>,
    sent: Option<Instant>,
}

/// What the consumer has seen, for comparison with what was sent.
#[derive(Default)]
struct Seen {
    events: u64,
    sum: u64,
    in_order: bool,
    lines: DefaultHasher,
}

type Ring = RingBuffer<Event, MultiProducer, Box<dyn WaitStrategy>>;

const PRODUCERS_MAX: u64 = 64;
const REDRAW: Duration = Duration::from_millis(100);

const CODE: &str = "\
let mut disruptor = DisruptorBuilder::new().buffer_size(1024).build::<u64>()?;
disruptor.handle_events_with(|event: &u64, _sequence: u64, _end_of_batch: bool| sum += event)?;
disruptor.start()?;
for number in 0..1_000_000 {
    disruptor.ring_buffer().publish_event(|slot, _sequence| *slot = number)?;
}
disruptor.shutdown()?;";

pub fn run(arguments: &Demo, session: &Session) -> Result<(), Failure> {
    if !(1..=PRODUCERS_MAX).contains(&arguments.producers) {
        return Err(Failure::usage(format!(
            "--producers: {} is not from 1 to {PRODUCERS_MAX}",
            arguments.producers
        )));
    }
    let wait: NamedWaitStrategy = arguments
        .wait_strategy
        .parse()
        .map_err(|error| Failure::usage(format!("--wait-strategy: {error}")))?;
    let failed = |error: &dyn std::fmt::Display| Failure::with_code(1, error.to_string());
    let builder = DisruptorBuilder::new().buffer_size(arguments.size).wait_strategy(wait.build());
    let mut disruptor: Disruptor<Event, MultiProducer, Box<dyn WaitStrategy>> =
        builder.build().map_err(|error| Failure::usage(format!("--size: {error}")))?;
    let latency = Arc::new(Histogram::default());
    let seen = Arc::new(Mutex::new(Seen { in_order: true, ..Seen::default() }));
    let (recorded, own) = (Arc::clone(&latency), Arc::clone(&seen));
    let watch = move |event: &Event, _: u64, _: bool| {
        // Nobody else holds the lock until the end.
        let mut seen = own.lock();
        seen.in_order &= event.number == seen.events;
        seen.events += 1;
        seen.sum = seen.sum.wrapping_add(event.number);
        event.line.hash(&mut seen.lines);
        if let Some(sent) = event.sent {
            recorded.record(sent.elapsed());
        }
    };
    disruptor.handle_events_with(watch).map_err(|error| failed(&error))?;
    disruptor.start().map_err(|error| failed(&error))?;
    let monitor = disruptor.monitor();
    let started = Instant::now();
    let sent = match &arguments.input {
        Some(path) => send_lines(&mut disruptor.producer(), path)?,
        None => send_numbers(&disruptor, arguments, session, &monitor).map_err(|error| failed(&error))?,
    };
    disruptor.shutdown().map_err(|error| failed(&error))?;
    let took = started.elapsed();
    let seen = seen.lock();
    let is_ordered = seen.in_order || arguments.producers > 1;
    let is_same = seen.events == sent.events && seen.sum == sent.sum && is_ordered;
    let is_right = is_same && (arguments.input.is_none() || seen.lines.finish() == sent.lines.finish());
    let latency = latency.snapshot();
    let nanos = |share: f64| latency.quantile(share).as_nanos() as u64;
    let result = json!({
        "events": seen.events,
        "of": sent.events,
        "seconds": took.as_secs_f64(),
        "events_per_second": seen.events as f64 / took.as_secs_f64(),
        "p50_nanos": nanos(0.5), "p99_nanos": nanos(0.99), "p999_nanos": nanos(0.999), "max_nanos": nanos(1.0),
        "in_order": seen.in_order,
        "checksum": if is_right { "ok" } else { "wrong" },
    });
    show(&result, arguments, session)?;
    if is_right { Ok(()) } else { Err(Failure::with_code(1, "what arrived is not what was sent")) }
}

/// Publishes a file's lines, in order.
fn send_lines(ring: &mut Ring, path: &str) -> Result<Seen, Failure> {
    let mut input: Box<dyn BufRead> = match path {
        "-" | "@-" => Box::new(io::stdin().lock()),
        path => match File::open(path) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => return Err(Failure::usage(format!("--input: {path}: {error}"))),
        },
    };
    let mut sent = Seen::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.read_until(b'\n', &mut line) {
            Ok(0) => return Ok(sent),
            Ok(_) => {}
            Err(error) => return Err(Failure::with_code(1, format!("--input: {path}: {error}"))),
        }
        line.hash(&mut sent.lines);
        let (number, bytes) = (sent.events, &line);
        let published = ring.publish_event(|event, _| {
            event.number = number;
            // The slot's own memory is used again.
            event.line.clear();
            event.line.extend_from_slice(bytes);
            event.sent = Some(Instant::now());
        });
        published.map_err(|error| Failure::with_code(1, error.to_string()))?;
        sent.sum = sent.sum.wrapping_add(number);
        sent.events += 1;
    }
}

/// Publishes numbers from several threads, and draws how far it is.
fn send_numbers(
    disruptor: &Disruptor<Event, MultiProducer, Box<dyn WaitStrategy>>,
    arguments: &Demo,
    session: &Session,
    monitor: &Monitor,
) -> Result<Seen, ClaimError> {
    let (total, producers) = (arguments.events, arguments.producers);
    let send = |mut ring: Ring, first: u64| -> Result<(), ClaimError> {
        for number in (first..total).step_by(producers as usize) {
            ring.publish_event(|event, _| {
                event.number = number;
                event.sent = Some(Instant::now());
            })?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..producers)
            .map(|producer| {
                let ring = disruptor.producer();
                let name = format!("producer-{producer}");
                thread::Builder::new().name(name).spawn_scoped(scope, move || send(ring, producer))
            })
            .collect();
        if io::stderr().is_terminal() && session.format.is_table() {
            draw(total, monitor, || threads.iter().flatten().all(thread::ScopedJoinHandle::is_finished));
        }
        for thread in threads {
            let thread = thread.expect("a thread starts while there are at most 64");
            thread.join().expect("a producer's panic is a bug that has been printed")?;
        }
        Ok(())
    })?;
    let sum = if total == 0 { 0 } else { (0..total).fold(0_u64, |sum, number| sum.wrapping_add(number)) };
    Ok(Seen { events: total, sum, ..Seen::default() })
}

/// One line, drawn again and again until it is done, and then wiped out.
fn draw(total: u64, monitor: &Monitor, is_done: impl Fn() -> bool) {
    let (mut before, mut at) = (0, Instant::now());
    while !is_done() {
        thread::sleep(REDRAW);
        let stats = monitor.stats();
        let rate = (stats.cursor - before) as f64 / at.elapsed().as_secs_f64();
        let fill = stats
            .slowest()
            .map_or(0, |slowest| 100 * slowest.lag.min(stats.capacity as u64) / stats.capacity as u64);
        // A terminal that has gone is no reason to stop.
        let _drawn =
            write!(io::stderr(), "\r{:>12} of {total}  {:>12.0}/s  ring {fill:>3} %  ", stats.cursor, rate);
        (before, at) = (stats.cursor, Instant::now());
    }
    let _wiped = write!(io::stderr(), "\r{:70}\r", "");
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
    let number = |name: &str| result[name].as_f64().unwrap_or_default();
    let what = if arguments.input.is_some() { "lines, each once and in order," } else { "events" };
    let card = format!(
        "{} of {} {what} in {:.3} s: {:.2} million per second\n\
         from producer to consumer: p50 {} ns, p99 {} ns, p99.9 {} ns, max {} ns\n\
         checksum {}",
        result["events"],
        result["of"],
        number("seconds"),
        number("events_per_second") / 1e6,
        result["p50_nanos"],
        result["p99_nanos"],
        result["p999_nanos"],
        result["max_nanos"],
        result["checksum"].as_str().unwrap_or_default(),
    );
    super::output::print(&card)?;
    if arguments.input.is_none() {
        super::output::print(&format!(
            "\nThe lines of Rust that do this:\n\n{CODE}\n\nnext: badbatch server"
        ))?;
    }
    Ok(())
}
