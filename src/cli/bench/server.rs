//! `badbatch bench server`: batches of events over HTTP, from several clients at once.

use std::collections::BTreeMap;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::super::event::line;
use super::super::exit::{Failure, PARTLY};
use super::super::human;
use super::super::latency::Latency;
use super::super::output::{Format, View};
use super::super::progress::{Goal, Progress};
use super::super::schedule::{Schedule, wait_until};
use super::super::session::{Session, span};
use super::saved::Wishes;
use super::{Interruption, outcome, to_micros, warn_of_debug_build, within};
use crate::base::clock::Clock;
use crate::base::ulid::UlidSource;
use crate::client::{Body, Client, ClientError, disruptor_path};

/// Measure a server: publish batches from several clients at once.
///
/// With --rate batches are sent at intended times, which do not wait for a server that is late; latencies are told from
/// the intended time, and from the sending too. Without it each client sends its next batch when it has the answer to
/// the last one, so latencies hold no queueing. Latencies are those of accepted batches. The first tenth, at most 2 s, is
/// not counted. Every request opens a connection of its own, which takes much of the time of a small batch.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "server",
    example = "badbatch bench server --duration 2s\nbadbatch bench server --disruptor main --rate 10000 --duration 2s"
)]
pub struct Server {
    /// a disruptor's name or identifier [default: one that is made for this and deleted at the end]
    #[argh(option)]
    disruptor: Option<String>,
    /// how many clients publish at once [default: 4]
    #[argh(option, default = "4")]
    clients: u64,
    /// events of a request [default: 100]
    #[argh(option, default = "100")]
    batch: u64,
    /// events per second of all clients, 0 for as many as go [default: 0]
    #[argh(option, default = "0")]
    rate: u64,
    /// how long, with the first tenth that is not counted [default: 10s]
    #[argh(option, default = "String::from(\"10s\")")]
    duration: String,
    /// bytes of an event, about [default: 256]
    #[argh(option, default = "256")]
    payload: usize,
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

const CLIENTS_MAX: u64 = 256;
/// The server's limit.
const BATCH_MAX: u64 = 1000;
const PAYLOAD_MAX: usize = 1 << 20;
const BODY_MAX: u64 = 64 << 20;
const WARM_UP_MAX: Duration = Duration::from_secs(2);
/// A ring that is no bottleneck while its consumer lives.
const SLOTS: u64 = 65_536;
const LOOK: Duration = Duration::from_millis(50);
/// How long a server may take to delete the disruptor.
const CLEAN_UP: Duration = Duration::from_secs(5);

pub const VIEW: View<'_> = View {
    rows: None,
    columns: &[
        ("Accepted", "/result/accepted"),
        ("Rejected", "/result/rejected"),
        ("Reasons", "/result/rejections"),
        ("Failed requests", "/result/failed_requests"),
        ("Unsent", "/result/unsent"),
        ("Seconds", "/result/seconds"),
        ("Warm-up s", "/result/warm_up_seconds"),
        ("Events/s", "/result/events_per_second"),
        ("Requests/s", "/result/requests_per_second"),
        ("Payload MB/s", "/result/payload_mb_per_second"),
        ("Loop", "/result/loop"),
        ("P50 ns", "/result/latency/p50_nanos"),
        ("P90 ns", "/result/latency/p90_nanos"),
        ("P99 ns", "/result/latency/p99_nanos"),
        ("P99.9 ns", "/result/latency/p999_nanos"),
        ("Max ns", "/result/latency/max_nanos"),
        ("Service P50 ns", "/result/service_time/p50_nanos"),
        ("Service P99 ns", "/result/service_time/p99_nanos"),
        ("Service max ns", "/result/service_time/max_nanos"),
        ("Disruptor", "/parameters/disruptor"),
        ("Clients", "/parameters/clients"),
        ("Batch", "/parameters/batch"),
        ("Rate", "/parameters/rate"),
        ("Payload", "/parameters/payload"),
        ("CPUs", "/machine/cpus"),
        ("Version", "/machine/version"),
        ("Server", "/machine/server_version"),
        ("Profile", "/machine/profile"),
    ],
    wide: &[],
    name: "/result/events_per_second",
};

/// What every client does.
struct Load {
    client: Client,
    path: String,
    /// A batch, as it is sent.
    body: Vec<u8>,
    schedule: Schedule,
    duration: Duration,
    warm_up: Duration,
    started: Instant,
    is_over: AtomicBool,
}

/// What a client has counted after the warm-up.
#[derive(Default)]
struct Counts {
    accepted: u64,
    rejected: BTreeMap<String, u64>,
    failed_requests: u64,
    last_failure: String,
    /// When the last answer came, after the start.
    ended: Duration,
    times: Times,
}

/// How long requests took.
#[derive(Default)]
struct Times {
    /// From the time at which they were to be sent.
    intended: Latency,
    /// From the time at which they were sent.
    service: Latency,
}

impl Times {
    /// Counts a request by three readings of the same clock.
    fn record(&mut self, intended: Duration, sent: Duration, answered: Duration) {
        self.intended.record(answered.saturating_sub(intended).as_nanos() as u64);
        self.service.record(answered.saturating_sub(sent).as_nanos() as u64);
    }
}

pub fn run(arguments: &Server, mut session: Session) -> Result<(), Failure> {
    within("--clients", arguments.clients, CLIENTS_MAX)?;
    within("--batch", arguments.batch, BATCH_MAX)?;
    within("--payload", arguments.payload as u64, PAYLOAD_MAX as u64)?;
    let body_bytes = arguments.batch * arguments.payload as u64;
    if body_bytes > BODY_MAX {
        let message = format!("--payload: a batch of {body_bytes} bytes is more than {BODY_MAX}");
        return Err(Failure::usage(message));
    }
    let duration = span("--duration", &arguments.duration)?;
    if duration.is_zero() {
        return Err(Failure::usage("--duration: a run of no time measures nothing"));
    }
    let parameters = json!({
        "disruptor": arguments.disruptor,
        "clients": arguments.clients,
        "batch": arguments.batch,
        "rate": arguments.rate,
        "duration_seconds": duration.as_secs_f64(),
        "payload": arguments.payload,
    });
    let (save, compare) = (arguments.save.as_deref(), arguments.compare.as_deref());
    let wishes = Wishes::new(save, compare, arguments.force, "server", &parameters)?;
    if arguments.csv {
        session.format = Format::Csv;
    }
    warn_of_debug_build(&session);
    // A server that does not answer shows here, where Ctrl-C still ends the program itself.
    let version = session.ask("GET", "/api/v1/version", None)?;
    let interruption = Interruption::hold_back()?;
    let target = Target::open(arguments.disruptor.as_deref(), &session)?;
    let measured = measure(arguments, duration, &target, &interruption, &session)?;
    drop(target);
    let mut outcome = outcome("server", &parameters, &measured);
    outcome["machine"]["server_version"] = version["version"].clone();
    wishes.fulfil(&outcome, &session)?;
    let (rejected, failed) = (&measured["rejected"], &measured["failed_requests"]);
    if *rejected != 0 || *failed != 0 {
        let why = measured["last_failure"].as_str().map_or_else(String::new, |why| format!(" ({why})"));
        let message = format!("{rejected} events were rejected, and {failed} requests failed{why}");
        return Err(Failure::with_code(PARTLY, message));
    }
    Ok(())
}

/// The disruptor that takes the events. One that was made for this is deleted when this is dropped.
struct Target<'s> {
    path: String,
    temporary: Option<&'s Session>,
}

impl<'s> Target<'s> {
    fn open(name: Option<&str>, session: &'s Session) -> Result<Self, Failure> {
        if let Some(name) = name {
            session.client.show(name).map_err(|error| session.failed(&error))?;
            return Ok(Self { path: disruptor_path(name), temporary: None });
        }
        let id = UlidSource::new(process::id()).next(Clock::system().unix_micros());
        let name = format!("bench-{id}");
        let definition = json!({"name": name, "buffer_size": SLOTS, "producer_type": "multi"});
        session.client.create(&definition).map_err(|error| session.failed(&error))?;
        Ok(Self { path: disruptor_path(&name), temporary: Some(session) })
    }
}

impl Drop for Target<'_> {
    fn drop(&mut self) {
        let Some(session) = self.temporary else { return };
        if let Err(error) = session.client.request("DELETE", &self.path, None, CLEAN_UP) {
            eprintln!("warning: {} is still there: {error}", self.path);
        }
    }
}

fn measure(
    arguments: &Server,
    duration: Duration,
    target: &Target<'_>,
    interruption: &Interruption,
    session: &Session,
) -> Result<Value, Failure> {
    let events: Vec<Value> = (0..arguments.batch).map(|number| line(number, arguments.payload)).collect();
    let load = Arc::new(Load {
        // A request that is tried again would hide that it was refused.
        client: session.client.clone().attempts(1),
        path: format!("{}/events/batch", target.path),
        body: Value::Array(events).to_string().into_bytes(),
        schedule: Schedule { rate: arguments.rate, batch: arguments.batch, senders: arguments.clients },
        duration,
        warm_up: (duration / 10).min(WARM_UP_MAX),
        started: Instant::now(),
        is_over: AtomicBool::new(false),
    });
    let counts: Vec<Arc<Mutex<Counts>>> = (0..arguments.clients).map(|_| Arc::default()).collect();
    let mut clients = Vec::new();
    for (counts, number) in counts.iter().zip(0..) {
        let (own, counts) = (Arc::clone(&load), Arc::clone(counts));
        let client = thread::Builder::new().name(format!("client-{number}"));
        match client.spawn(move || own.send(number, &counts)) {
            Ok(client) => clients.push(client),
            Err(error) => {
                load.is_over.store(true, Ordering::Relaxed);
                return Err(error.into());
            }
        }
    }
    let mut progress = Progress::new(session, "server", Goal::Time(duration), arguments.rate);
    while !clients.iter().all(thread::JoinHandle::is_finished) {
        if let Some(failure) = interruption.failure() {
            // Not joined: an answer may be long in coming, and nobody wants it any more.
            load.is_over.store(true, Ordering::Relaxed);
            return Err(failure);
        }
        let accepted = counts.iter().map(|counts| counts.lock().accepted).sum();
        let p99 =
            || counts.iter().map(|counts| counts.lock().times.intended.quantile(0.99)).max().unwrap_or(0);
        progress.show(accepted, || format!("p99 {}", human::nanos(p99())));
        thread::sleep(LOOK);
    }
    drop(progress);
    let joined = clients.into_iter().map(|client| client.join().expect("a client's panic is a bug"));
    let unsent = joined.sum::<u64>();
    if unsent > 0 {
        session.say(&format!(
            "warning: the server is slower than the rate; {unsent} events were due and not sent, \
             and latencies grow with the length of the run"
        ));
    }
    Ok(told(arguments, &load, &counts, unsent))
}

impl Load {
    /// Sends batches until the end, and returns how many events were due by then and not sent.
    fn send(&self, sender: u64, counts: &Mutex<Counts>) -> u64 {
        let now = || self.started.elapsed();
        // Relaxed: the flag says nothing of anything else.
        let is_over = || self.is_over.load(Ordering::Relaxed) || now() >= self.duration;
        let is_paced = self.schedule.rate > 0;
        for batches in 0.. {
            let due = is_paced.then(|| self.schedule.due(sender, batches));
            wait_until(self.started, due.unwrap_or_default(), is_over);
            if is_over() {
                let all = if is_paced { self.schedule.due_before(sender, self.duration) } else { 0 };
                return all.saturating_sub(batches) * self.schedule.batch;
            }
            let sent = now();
            let body = Body::Bytes("application/json", self.body.clone());
            let answer = self.client.json("POST", &self.path, Some(body));
            let (intended, answered) = (due.unwrap_or(sent), now());
            if sent >= self.warm_up {
                let mut counts = counts.lock();
                counts.add(&answer, self.schedule.batch);
                counts.ended = answered;
                if answer.is_ok() {
                    counts.times.record(intended, sent, answered);
                }
            }
        }
        unreachable!("a run is over before its batches are")
    }
}

impl Counts {
    fn add(&mut self, answer: &Result<Value, ClientError>, batch: u64) {
        match answer {
            Ok(_) => self.accepted += batch,
            Err(ClientError::Problem(problem)) => {
                *self.rejected.entry(problem.code.clone()).or_default() += batch;
            }
            Err(error) => {
                self.failed_requests += 1;
                self.last_failure = error.to_string();
            }
        }
    }
}

fn told(arguments: &Server, load: &Load, counts: &[Arc<Mutex<Counts>>], unsent: u64) -> Value {
    let mut all = Counts::default();
    for counts in counts {
        let counts = counts.lock();
        all.accepted += counts.accepted;
        all.failed_requests += counts.failed_requests;
        for (code, events) in &counts.rejected {
            *all.rejected.entry(code.clone()).or_default() += events;
        }
        if !counts.last_failure.is_empty() {
            all.last_failure.clone_from(&counts.last_failure);
        }
        all.ended = all.ended.max(counts.ended);
        all.times.intended.add(&counts.times.intended);
        all.times.service.add(&counts.times.service);
    }
    let answers = all.times.service.count();
    let seconds = all.ended.saturating_sub(load.warm_up).as_secs_f64();
    let per_second = |count: u64| if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 };
    json!({
        "accepted": all.accepted,
        "rejected": all.rejected.values().sum::<u64>(),
        "rejections": all.rejected,
        "failed_requests": all.failed_requests,
        "last_failure": (!all.last_failure.is_empty()).then_some(all.last_failure),
        "unsent": unsent,
        "seconds": to_micros(seconds),
        "warm_up_seconds": load.warm_up.as_secs_f64(),
        "events_per_second": per_second(all.accepted),
        "requests_per_second": per_second(answers),
        "payload_mb_per_second": per_second(all.accepted * arguments.payload as u64 / 10_000) as f64 / 100.0,
        "loop": if arguments.rate > 0 { "open, at the rate" } else { "closed, a client waits for its answer" },
        "latency": all.times.intended.to_json(),
        "service_time": all.times.service.to_json(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Duration, Schedule, Times};

    /// Plays a client whose first answer takes 95 ms, and the others 1 ms; the rate is a batch every 10 ms.
    #[test]
    fn what_a_stall_has_kept_waiting_counts_from_its_intended_time() {
        let schedule = Schedule { rate: 100, batch: 1, senders: 1 };
        let (mut times, mut now) = (Times::default(), Duration::ZERO);
        let mut seen = Vec::new();
        for number in 0..20 {
            let intended = schedule.due(0, number);
            let sent = now.max(intended);
            now = sent + Duration::from_millis(if number == 0 { 95 } else { 1 });
            times.record(intended, sent, now);
            seen.push((now - intended).as_millis());
        }
        assert_eq!(seen[..12], [95, 86, 77, 68, 59, 50, 41, 32, 23, 14, 5, 1]);
        let told = |nanos: u64| nanos.div_ceil(1_000_000);
        assert_eq!((times.intended.count(), times.service.count()), (20, 20));
        assert_eq!(times.intended.max(), 95_000_000);
        assert_eq!([0.5, 0.55, 0.9].map(|share| told(times.intended.quantile(share))), [6, 15, 78]);
        assert_eq!([0.5, 0.9].map(|share| told(times.service.quantile(share))), [2, 2]);
        assert_eq!(times.service.max(), 95_000_000);
    }
}
