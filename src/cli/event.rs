//! `badbatch event`: saying something, and hearing it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use serde_json::{Map, Value, json};

use super::exit::{Failure, PARTLY};
use super::human;
use super::input;
use super::latency::Latency;
use super::output::{Format, View};
use super::progress::{Goal, Progress};
use super::session::{Session, span};
use super::template::Template;
use crate::client::{Body, LineKind, Tailed, disruptor_path};

/// Publish, read and follow events.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "event")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Publish(Publish),
    Batch(Batch),
    Broadcast(Broadcast),
    Get(Get),
    List(List),
    Tail(Tail),
    PublishFile(PublishFile),
    Generate(Generate),
}

/// Publish an event.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "publish",
    example = "badbatch event publish main '{{\"message\": \"Hello, World!\"}}' -m source=shell"
)]
pub struct Publish {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// the event as JSON, or @file, or @- for standard input
    #[argh(positional)]
    data: String,
    /// metadata as name=value, may be given several times
    #[argh(option, short = 'm')]
    metadata: Vec<String>,
    /// what the event belongs to
    #[argh(option)]
    correlation_id: Option<String>,
    /// how long to wait for room in the ring
    #[argh(option)]
    wait: Option<String>,
    /// a key under which the event is published once, however often this is called
    #[argh(option)]
    idempotency_key: Option<String>,
}

/// Publish up to 1000 events, all or none.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "batch",
    example = "badbatch event batch main '[{{\"data\": 1}}, {{\"data\": 2}}]'"
)]
pub struct Batch {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// a JSON list, or @file, or @- for standard input
    #[argh(positional)]
    events: String,
}

/// Publish a file: an event per line.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "publish-file", example = "badbatch event publish-file main server.log")]
pub struct PublishFile {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// the file, or - for standard input
    #[argh(positional)]
    file: String,
    /// lines are JSON, not text
    #[argh(switch)]
    ndjson: bool,
    /// lines of a request at most, 1 to send each as it comes [default: as many as make a megabyte]
    #[argh(option, short = 'b')]
    batch_size: Option<usize>,
}

/// Publish events that say nothing, to try things.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "generate", example = "badbatch event generate main --count 500 --rate 1000")]
pub struct Generate {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// how many [default: 1000, or as many as go in --duration]
    #[argh(option, short = 'c')]
    count: Option<u64>,
    /// when to end, if that is earlier, such as 10s
    #[argh(option)]
    duration: Option<String>,
    /// how many per second, 0 for as many as go [default: 100]
    #[argh(option, short = 'r', default = "100")]
    rate: u64,
    /// bytes of an event's JSON, about [default: 256]
    #[argh(option, short = 's', default = "256")]
    size: usize,
}

/// List events that are kept.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "badbatch event list main --limit 10 -o ndjson")]
pub struct List {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// the first sequence [default: the oldest that is kept]
    #[argh(option)]
    from: Option<u64>,
    /// how many at most [default: 100]
    #[argh(option, default = "100")]
    limit: u64,
}

/// Show an event.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "get", example = "badbatch event get main 0")]
pub struct Get {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// the event's sequence
    #[argh(positional)]
    sequence: u64,
}

/// Follow a disruptor.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "tail", example = "badbatch event tail main --from 0 --exit-at-end -o ndjson")]
pub struct Tail {
    /// a disruptor's name or identifier
    #[argh(positional)]
    disruptor: String,
    /// the first sequence [default: what comes next]
    #[argh(option)]
    from: Option<u64>,
    /// after how many events to end
    #[argh(option)]
    count: Option<u64>,
    /// end when there is nothing more
    #[argh(switch)]
    exit_at_end: bool,
    /// how an event looks: {sequence}, {id}, {created_at}, {data} and their members as {data.user}
    #[argh(option)]
    template: Option<String>,
}

/// Publish batches to several disruptors.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "broadcast", example = "badbatch event broadcast '{{\"main\": [1, 2]}}'")]
pub struct Broadcast {
    /// an object of lists by disruptor, or @file, or @- for standard input
    #[argh(positional)]
    batches: String,
}

const PUBLISHED: View<'_> = View {
    rows: None,
    columns: &[("Sequence", "/sequence"), ("Id", "/event_id"), ("Published", "/published_at")],
    wide: &[],
    name: "/event_id",
};
const BATCH: View<'_> = View {
    rows: Some("events"),
    columns: &[("SEQUENCE", "/sequence"), ("ID", "/event_id"), ("PUBLISHED", "/published_at")],
    wide: &[],
    name: "/event_id",
};
const LINES: View<'_> = View {
    rows: None,
    columns: &[
        ("Published", "/published_count"),
        ("Rejected", "/rejected_count"),
        ("First", "/first_sequence"),
        ("Next", "/next_sequence"),
    ],
    wide: &[],
    name: "/published_count",
};
const EVENTS: View<'_> = View {
    rows: Some("items"),
    columns: &[
        ("SEQUENCE", "/sequence"),
        ("CREATED", "/created_at"),
        ("DATA", "/data"),
        ("METADATA", "/metadata"),
    ],
    wide: &[("ID", "/id"), ("TYPE", "/content_type"), ("CORRELATION", "/correlation_id")],
    name: "/sequence",
};
const EVENT: View<'_> = View {
    rows: None,
    columns: &[
        ("Sequence", "/sequence"),
        ("Id", "/id"),
        ("Created", "/created_at"),
        ("Type", "/content_type"),
        ("Data", "/data"),
        ("Metadata", "/metadata"),
        ("Correlation", "/correlation_id"),
    ],
    wide: &[],
    name: "/sequence",
};
const RESULTS: View<'_> = View {
    rows: Some("results"),
    columns: &[("DISRUPTOR", "/disruptor"), ("PUBLISHED", "/published_count"), ("PROBLEM", "/problem")],
    wide: &[],
    name: "/disruptor",
};

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Publish(arguments) => publish(&arguments, session),
        Command::Batch(arguments) => {
            let events = input::json("the batch", &arguments.events)?;
            let path = format!("{}/events/batch", disruptor_path(&arguments.disruptor));
            session.show(&session.ask("POST", &path, Some(Body::Json(events)))?, &BATCH)
        }
        Command::PublishFile(arguments) => publish_file(&arguments, session),
        Command::Generate(arguments) => generate(&arguments, session),
        Command::List(arguments) => {
            let from = arguments.from.map_or_else(String::new, |from| format!("&from_sequence={from}"));
            let path =
                format!("{}/events?limit={}{from}", disruptor_path(&arguments.disruptor), arguments.limit);
            session.show(&session.ask("GET", &path, None)?, &EVENTS)
        }
        Command::Get(arguments) => {
            let event = session.client.event(&arguments.disruptor, arguments.sequence);
            session.show(&event.map_err(|error| session.failed(&error))?, &EVENT)
        }
        Command::Tail(arguments) => tail(&arguments, session),
        Command::Broadcast(arguments) => {
            let batches = input::json("the batches", &arguments.batches)?;
            let answer = session.ask("POST", "/api/v1/batch/events", Some(Body::Json(batches)))?;
            let row = |(name, result): (&String, &Value)| {
                let (ok, problem) = (&result["ok"], &result["problem"]);
                json!({"disruptor": name, "published_count": ok["published_count"], "problem": problem["detail"]})
            };
            let rows: Vec<Value> = answer.as_object().into_iter().flatten().map(row).collect();
            let refused = rows.iter().filter(|row| !row["problem"].is_null()).count();
            session.show(&json!({ "results": rows }), &RESULTS)?;
            match refused {
                0 => Ok(()),
                count => Err(Failure::with_code(PARTLY, format!("{count} batches were refused"))),
            }
        }
    }
}

/// Metadata given as `name=value`.
pub fn pairs(given: &[String]) -> Result<Value, Failure> {
    let mut pairs = Map::new();
    for pair in given {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("--metadata: `{pair}` is not name=value")))?;
        pairs.insert(name.to_owned(), json!(value));
    }
    Ok(Value::Object(pairs))
}

fn publish(arguments: &Publish, session: &Session) -> Result<(), Failure> {
    let mut event = json!({"data": input::json("the event", &arguments.data)?});
    event["metadata"] = pairs(&arguments.metadata)?;
    event["correlation_id"] = json!(arguments.correlation_id);
    let wait = match &arguments.wait {
        Some(text) => format!("?wait={}ms", span("--wait", text)?.as_millis()),
        None => String::new(),
    };
    let path = format!("{}/events{wait}", disruptor_path(&arguments.disruptor));
    let body = Some(Body::Json(event));
    let published = match &arguments.idempotency_key {
        None => session.ask("POST", &path, body)?,
        Some(key) => session.ask_as(key, "POST", &path, body)?,
    };
    if !session.format.is_table() {
        return session.show(&published, &PUBLISHED);
    }
    let (name, sequence) = (&arguments.disruptor, &published["sequence"]);
    let line =
        format!("published to {name}  sequence {sequence}   (see it: badbatch event get {name} {sequence})");
    Ok(super::output::print(&line)?)
}

fn publish_file(arguments: &PublishFile, session: &Session) -> Result<(), Failure> {
    let kind = if arguments.ndjson { LineKind::Json } else { LineKind::Text };
    let lines_max = arguments.batch_size.unwrap_or(usize::MAX);
    if lines_max == 0 {
        return Err(Failure::usage("--batch-size: a request has at least 1 line"));
    }
    let (file, bytes) = (input::open(&arguments.file)?, input::length(&arguments.file));
    let mut progress = Progress::new(session, &arguments.disruptor, bytes.map_or(Goal::Open, Goal::Bytes), 0);
    let file = progress.reads(file);
    let told = session.client.publish_lines(&arguments.disruptor, kind, lines_max, file, |so_far| {
        progress.show(so_far.published + so_far.rejected, || rejected(so_far.rejected));
    });
    drop(progress);
    let told = told.map_err(|error| session.failed(&error))?;
    for (line, problem) in &told.rejections {
        session.say(&format!("line {line}: {}", problem["detail"].as_str().unwrap_or_default()));
    }
    let result = json!({
        "published_count": told.published,
        "rejected_count": told.rejected,
        "first_sequence": told.sequences.map(|(first, _)| first),
        "next_sequence": told.sequences.map(|(_, next)| next),
    });
    session.show(&result, &LINES)?;
    match told.rejected {
        0 => Ok(()),
        count => Err(Failure::with_code(PARTLY, format!("{count} lines were refused"))),
    }
}

/// What a progress line says of wrong events, if there are any.
fn rejected(count: u64) -> String {
    if count == 0 { String::new() } else { format!("{} rejected", human::count(count as f64)) }
}

const COUNT: u64 = 1000;
/// Events of a second go in tenths of one, so that the rate is even and a request carries several.
const SLICES_PER_SECOND: u64 = 10;
const SLICE_MAX: u64 = 10_000;
const SLICE_BYTES_MAX: u64 = 1 << 20;
const SIZE_MAX: usize = 64 << 20;

fn generate(arguments: &Generate, session: &Session) -> Result<(), Failure> {
    if arguments.size > SIZE_MAX {
        return Err(Failure::usage(format!("--size: {} is more than {SIZE_MAX}", arguments.size)));
    }
    let duration = arguments.duration.as_deref().map(|text| span("--duration", text)).transpose()?;
    let count = arguments.count.unwrap_or(if duration.is_some() { u64::MAX } else { COUNT });
    let end = duration.unwrap_or(Duration::MAX);
    let goal = match duration {
        Some(duration) if arguments.count.is_none() => Goal::Time(duration),
        _ => Goal::Events(count),
    };
    let slice = match arguments.rate {
        0 => SLICE_MAX,
        rate => rate.div_ceil(SLICES_PER_SECOND).min(SLICE_MAX),
    };
    let slice = slice.min(SLICE_BYTES_MAX / arguments.size.max(1) as u64).max(1);
    let (started, mut published, mut refused) = (Instant::now(), 0, 0);
    let (mut times, mut why) = (Latency::default(), String::new());
    let mut progress = Progress::new(session, &arguments.disruptor, goal, arguments.rate);
    while published + refused < count && started.elapsed() < end {
        let done = published + refused;
        let numbers = done..count.min(done + slice);
        let lines: String = numbers.map(|number| format!("{}\n", line(number, arguments.size))).collect();
        let sent = Instant::now();
        let answer = session
            .client
            .publish_lines(&arguments.disruptor, LineKind::Json, usize::MAX, lines.as_bytes(), |_| {})
            .map_err(|error| session.failed(&error))?;
        times.record(sent.elapsed().as_nanos() as u64);
        published += answer.published;
        refused += answer.rejected;
        if let Some((_, problem)) = answer.rejections.first() {
            why = problem["detail"].as_str().unwrap_or_default().to_owned();
        }
        progress
            .show(published, || format!("p99 {}  {}", human::nanos(times.quantile(0.99)), rejected(refused)));
        if arguments.rate > 0 {
            let due = Duration::from_secs_f64((published + refused) as f64 / arguments.rate as f64);
            std::thread::sleep(due.min(end).saturating_sub(started.elapsed()));
        }
    }
    drop(progress);
    let seconds = started.elapsed().as_secs_f64();
    let result = json!({
        "published_count": published,
        "rejected_count": refused,
        "seconds": seconds,
        "events_per_second": published as f64 / seconds,
        "request_p50_nanos": times.quantile(0.5),
        "request_p99_nanos": times.quantile(0.99),
    });
    const GENERATED: View<'_> = View {
        rows: None,
        columns: &[
            ("Published", "/published_count"),
            ("Rejected", "/rejected_count"),
            ("Seconds", "/seconds"),
            ("Per second", "/events_per_second"),
            ("P50 ns", "/request_p50_nanos"),
            ("P99 ns", "/request_p99_nanos"),
        ],
        wide: &[],
        name: "/published_count",
    };
    session.show(&result, &GENERATED)?;
    match refused {
        0 => Ok(()),
        count => Err(Failure::with_code(PARTLY, format!("{count} events were refused: {why}"))),
    }
}

/// An event of about so many bytes.
pub fn line(number: u64, size: usize) -> Value {
    let bare = json!({"number": number, "pad": ""}).to_string().len();
    json!({"number": number, "pad": "x".repeat(size.saturating_sub(bare))})
}

fn tail(arguments: &Tail, session: &Session) -> Result<(), Failure> {
    let template = arguments.template.as_deref().map(Template::parse).transpose()?;
    let from = match arguments.from {
        Some(from) => from,
        None => {
            let shown = session.client.show(&arguments.disruptor).map_err(|error| session.failed(&error))?;
            shown["next_sequence"].as_u64().unwrap_or(0)
        }
    };
    let mut tail = session.client.tail(&arguments.disruptor, from);
    let mut left = arguments.count.unwrap_or(u64::MAX);
    let wait = if arguments.exit_at_end { Duration::ZERO } else { Duration::from_secs(10) };
    while left > 0 {
        match tail.poll(wait).map_err(|error| session.failed(&error))? {
            Some(Tailed::Event(event)) => {
                let text = match session.format {
                    _ if template.is_some() => {
                        let lines = template.as_ref().map(|template| template.fill(&event));
                        lines.map_or_else(String::new, |line| line + "\n")
                    }
                    Format::Json | Format::Ndjson => format!("{event}\n"),
                    Format::Table | Format::Wide => {
                        let data =
                            event.get("data").or_else(|| event.get("data_base64")).unwrap_or(&Value::Null);
                        format!(
                            "{:>8}  {}  {data}\n",
                            event["sequence"],
                            event["created_at"].as_str().unwrap_or("-")
                        )
                    }
                    format => super::output::text(format, &json!({"items": [event]}), &EVENTS),
                };
                let mut out = io::stdout().lock();
                out.write_all(text.as_bytes())?;
                out.flush()?;
                left -= 1;
            }
            Some(Tailed::Gap(from, to)) => {
                session.say(&format!("gap: events {from} to {} were overwritten", to - 1))
            }
            None if arguments.exit_at_end => break,
            None => {}
        }
    }
    Ok(())
}
