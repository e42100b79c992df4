//! `badbatch bench local`: the library's ring in this process.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::exit::Failure;
use super::super::human;
use super::super::output::{Format, View};
use super::super::progress::{Goal, Progress};
use super::super::ring_run::{EVENTS_MAX, Plan, THREADS_MAX, run as run_ring};
use super::super::session::{Session, span};
use super::saved::Wishes;
use super::{Interruption, outcome, to_micros, warn_of_debug_build, within};

/// Measure the ring in this process, with no server.
///
/// Without --rate the ring is full, and the latencies tell how long events queue in it; one event in up to 1024 is
/// measured, so that clocks cost next to nothing. With --rate every event is measured, from the time at which it was
/// to be published, which holds what a late producer makes it wait.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "local",
    example = "badbatch bench local --wait-strategy busy-spin\nbadbatch bench local --rate 100000 --duration 1s"
)]
pub struct Local {
    /// how many threads publish [default: 1]
    #[argh(option, default = "1")]
    producers: u64,
    /// how many threads consume, each every event [default: 1]
    #[argh(option, default = "1")]
    consumers: u64,
    /// how many events [default: 10000000, or as many as go in --duration]
    #[argh(option)]
    events: Option<u64>,
    /// when to end, if that is earlier, such as 10s
    #[argh(option)]
    duration: Option<String>,
    /// how many events are published at once [default: 1]
    #[argh(option, default = "1")]
    batch: u64,
    /// slots of the ring, a power of two [default: 1024]
    #[argh(option, default = "1024")]
    size: usize,
    /// how consumers wait [default: blocking] [values: busy-spin, yielding, sleeping, blocking, timeout-blocking, phased-backoff]
    #[argh(option, default = "String::from(\"blocking\")")]
    wait_strategy: String,
    /// bytes of an event beside its number [default: 0]
    #[argh(option, default = "0")]
    payload: usize,
    /// events per second of all producers, 0 for as many as go [default: 0]
    #[argh(option, default = "0")]
    rate: u64,
    /// print a row of CSV with its heading, as -o csv does
    #[argh(switch)]
    csv: bool,
    /// write the result to this file
    #[argh(option)]
    save: Option<String>,
    /// show how the result compares with a saved one
    #[argh(option)]
    compare: Option<String>,
    /// compare runs with different parameters, too
    #[argh(switch)]
    force: bool,
}

const EVENTS: u64 = 10_000_000;
const PAYLOAD_MAX: usize = 1 << 20;
/// At least so many latencies, if there are as many events, and at most one in so many events.
const LATENCIES_MIN: u64 = 10_000;
const STAMP_EVERY_MAX: u64 = 1024;

pub const VIEW: View<'_> = View {
    rows: None,
    columns: &[
        ("Events", "/result/events"),
        ("Seconds", "/result/seconds"),
        ("Events/s", "/result/events_per_second"),
        ("Ns/event", "/result/nanos_per_event"),
        ("Payload MB/s", "/result/payload_mb_per_second"),
        ("P50 ns", "/result/latency/p50_nanos"),
        ("P90 ns", "/result/latency/p90_nanos"),
        ("P99 ns", "/result/latency/p99_nanos"),
        ("P99.9 ns", "/result/latency/p999_nanos"),
        ("Max ns", "/result/latency/max_nanos"),
        ("Latencies", "/result/latency/count"),
        ("Measured", "/result/latency_of"),
        ("Checksum", "/result/checksum"),
        ("Producers", "/parameters/producers"),
        ("Consumers", "/parameters/consumers"),
        ("Batch", "/parameters/batch"),
        ("Slots", "/parameters/size"),
        ("Wait strategy", "/parameters/wait_strategy"),
        ("Payload", "/parameters/payload"),
        ("Rate", "/parameters/rate"),
        ("CPUs", "/machine/cpus"),
        ("Version", "/machine/version"),
        ("Profile", "/machine/profile"),
    ],
    wide: &[],
    name: "/result/events_per_second",
};

pub fn run(arguments: &Local, mut session: Session) -> Result<(), Failure> {
    let plan = plan(arguments)?;
    let parameters = json!({
        "producers": plan.producers,
        "consumers": plan.consumers,
        "events": arguments.events.or(plan.duration.is_none().then_some(EVENTS)),
        "duration_seconds": plan.duration.map(|duration| duration.as_secs_f64()),
        "batch": plan.batch,
        "size": plan.slots,
        "wait_strategy": arguments.wait_strategy,
        "payload": plan.payload,
        "rate": plan.rate,
    });
    let (save, compare) = (arguments.save.as_deref(), arguments.compare.as_deref());
    let wishes = Wishes::new(save, compare, arguments.force, "local", &parameters)?;
    if arguments.csv {
        session.format = Format::Csv;
    }
    warn_of_debug_build(&session);
    let measured = measure(&plan, &session)?;
    wishes.fulfil(&outcome("local", &parameters, &measured), &session)?;
    match measured["checksum"] == "ok" {
        true => Ok(()),
        false => Err(Failure::with_code(1, "what arrived is not what was sent")),
    }
}

fn plan(arguments: &Local) -> Result<Plan, Failure> {
    within("--producers", arguments.producers, THREADS_MAX)?;
    within("--consumers", arguments.consumers, THREADS_MAX)?;
    within("--batch", arguments.batch, arguments.size as u64)?;
    let duration = arguments.duration.as_deref().map(|text| span("--duration", text)).transpose()?;
    if duration.is_some_and(|duration| duration.is_zero()) {
        return Err(Failure::usage("--duration: a run of no time measures nothing"));
    }
    let events = arguments.events.unwrap_or(if duration.is_some() { EVENTS_MAX } else { EVENTS });
    within("--events", events, EVENTS_MAX)?;
    if arguments.payload > PAYLOAD_MAX {
        return Err(Failure::usage(format!("--payload: {} is more than {PAYLOAD_MAX}", arguments.payload)));
    }
    let wait = arguments.wait_strategy.parse();
    let sparse = 1 << (events / LATENCIES_MIN).clamp(1, STAMP_EVERY_MAX).ilog2();
    Ok(Plan {
        producers: arguments.producers,
        consumers: arguments.consumers,
        events,
        duration,
        batch: arguments.batch,
        slots: arguments.size,
        wait: wait.map_err(|error| Failure::usage(format!("--wait-strategy: {error}")))?,
        payload: arguments.payload,
        rate: arguments.rate,
        stamp_every: if arguments.rate > 0 { 1 } else { sparse },
    })
}

fn measure(plan: &Plan, session: &Session) -> Result<Value, Failure> {
    let interruption = Interruption::hold_back()?;
    let goal = match plan.duration {
        Some(duration) if plan.events == EVENTS_MAX => Goal::Time(duration),
        _ => Goal::Events(plan.events),
    };
    let mut progress = Progress::new(session, "ring", goal, plan.rate);
    let mut interrupted = None;
    let run = run_ring(plan, &mut |now| {
        progress.show(now.events(), || format!("ring {} %  p99 {}", now.fill(), human::nanos(now.p99())));
        interrupted = interrupted.take().or_else(|| interruption.failure());
        interrupted.is_none()
    })?;
    drop(progress);
    if let Some(failure) = interrupted {
        return Err(failure);
    }
    let (events, seconds) = (run.published as f64, run.took.as_secs_f64());
    let latency_of = match (plan.rate, plan.stamp_every) {
        (0, 1) => "queueing in a full ring, every event".to_owned(),
        (0, every) => format!("queueing in a full ring, one event in {every}"),
        _ => "from the intended time, every event".to_owned(),
    };
    Ok(json!({
        "events": run.published,
        "seconds": to_micros(seconds),
        "events_per_second": (events / seconds).round() as u64,
        "nanos_per_event": (1e11 * seconds / events).round() / 100.0,
        "payload_mb_per_second": (events * plan.payload as f64 / seconds / 1e4).round() / 100.0,
        "latency": run.latency.to_json(),
        "latency_of": latency_of,
        "checksum": if run.is_right { "ok" } else { "wrong" },
    }))
}
