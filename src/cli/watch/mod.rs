//! `badbatch monitor watch`: a server's numbers, again and again.
//!
//! On a terminal it is a picture that keys change ([`terminal`], [`state`], [`screen`]); elsewhere each tick is a line or
//! a document. Both show the same value, which [`sample`] makes.

mod asker;
mod cluster;
mod figures;
mod sample;
mod screen;
mod state;
mod terminal;
mod views;

use std::env;
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use serde_json::Value;

use super::exit::{Failure, UNHEALTHY};
use super::output::{self, Format};
use super::session::{Session, span};
use figures::{count, micros, percent};
use sample::{Subject, list};

/// Watch the numbers as they change: on a terminal with keys (press ?), elsewhere a line for each tick.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "watch",
    example = "badbatch monitor watch --once\nbadbatch monitor watch --type disruptor --target main --count 2 -o ndjson"
)]
pub struct Watch {
    /// the time between two ticks, such as 250ms, or in seconds [default: 1s]
    #[argh(option, short = 'i', default = "String::from(\"1s\")")]
    interval: String,
    /// what to watch [values: system, disruptor, cluster] [default: system]
    #[argh(option, long = "type", default = "String::from(\"system\")")]
    kind: String,
    /// the disruptor's name or identifier, for --type disruptor
    #[argh(option)]
    target: Option<String>,
    /// show one tick and end
    #[argh(switch)]
    once: bool,
    /// after how many ticks to end
    #[argh(option)]
    count: Option<u64>,
    /// end as soon as it is well [values: healthy]
    #[argh(option)]
    until: Option<String>,
}

/// The arguments, understood.
struct Plan {
    subject: Subject,
    interval: Duration,
    ticks: Option<u64>,
    /// Whether it ends as soon as all is well.
    is_until_healthy: bool,
}

const INTERVAL_MIN: Duration = Duration::from_millis(100);
const INTERVAL_MAX: Duration = Duration::from_secs(86_400);

const TICK: output::View<'_> = output::View {
    rows: None,
    columns: &[
        ("TIMESTAMP", "/timestamp"),
        ("HEALTH", "/health"),
        ("IN_PER_SECOND", "/in_per_second"),
        ("OUT_PER_SECOND", "/out_per_second"),
        ("REJECTED_PER_SECOND", "/rejected_per_second"),
        ("PUBLISHED", "/published"),
        ("PROCESSED", "/processed"),
        ("REJECTED", "/rejected_total"),
        ("LAG", "/lag"),
        ("FILL", "/fill"),
        ("P50_US", "/p50_latency_micros"),
        ("P99_US", "/p99_latency_micros"),
        ("ERRORS", "/errors"),
    ],
    wide: &[],
    name: "/health",
};

pub fn run(arguments: &Watch, session: &Session) -> Result<(), Failure> {
    let plan = plan(arguments)?;
    let is_dumb = env::var("TERM").is_ok_and(|terminal| terminal == "dumb");
    if session.format.is_table() && !arguments.once && !is_dumb && io::stdout().is_terminal() {
        terminal::run(&plan, session)
    } else {
        lines(&plan, session)
    }
}

fn plan(arguments: &Watch) -> Result<Plan, Failure> {
    let subject = match (arguments.kind.as_str(), &arguments.target) {
        ("system", None) => Subject::System,
        ("disruptor", Some(target)) => Subject::Disruptor(target.clone()),
        ("cluster", None) => Subject::Cluster,
        ("system" | "cluster", Some(target)) => {
            let message = format!("--target {target} is for --type disruptor");
            return Err(Failure::usage(message));
        }
        ("disruptor", None) => {
            let message = "--type disruptor needs --target, a disruptor's name or identifier";
            return Err(Failure::usage(message));
        }
        (other, _) => {
            let message = format!("--type: there is no `{other}`; there are system, disruptor and cluster");
            return Err(Failure::usage(message));
        }
    };
    let is_until_healthy = match arguments.until.as_deref() {
        None => false,
        Some("healthy") => true,
        Some(other) => {
            return Err(Failure::usage(format!("--until: `{other}` cannot be waited for; there is healthy")));
        }
    };
    let ticks = if arguments.once { Some(1) } else { arguments.count };
    if ticks == Some(0) {
        return Err(Failure::usage("--count: 0 ticks show nothing; at least 1"));
    }
    Ok(Plan { subject, interval: interval(&arguments.interval)?, ticks, is_until_healthy })
}

fn interval(text: &str) -> Result<Duration, Failure> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let interval = match seconds {
        Some(seconds) => seconds,
        None => span("--interval", text)?,
    };
    if !(INTERVAL_MIN..=INTERVAL_MAX).contains(&interval) {
        return Err(Failure::usage(format!("--interval: `{text}` is not from 100ms to 24h")));
    }
    Ok(interval)
}

impl Plan {
    /// Whether a tick is what was waited for.
    fn is_reached(&self, tick: &Value) -> bool {
        self.is_until_healthy && tick["health"] == "healthy"
    }

    /// The end after as many ticks as were wanted.
    fn end(&self, last: &Value) -> Result<(), Failure> {
        match self.is_until_healthy {
            false => Ok(()),
            true => {
                let health = last["health"].as_str().unwrap_or("not to be seen");
                Err(Failure::with_code(UNHEALTHY, format!("not healthy in time: it is {health}")))
            }
        }
    }
}

/// Prints each tick. The first answer is what the first tick's rates are reckoned from.
fn lines(plan: &Plan, session: &Session) -> Result<(), Failure> {
    let (mut last, mut trouble) = (Value::Null, None);
    let mut last_at: Option<Instant> = None;
    let mut left = plan.ticks.unwrap_or(u64::MAX);
    let (mut is_first, mut due) = (true, Instant::now());
    loop {
        match plan.subject.ask(&session.client) {
            Ok(answer) => {
                let now = Instant::now();
                let before = last_at.map(|at| (&last, now - at));
                let tick = plan.subject.tick(session.client.endpoint(), &answer, before);
                let is_reached = plan.is_reached(&tick);
                if last_at.is_some() || is_reached {
                    show(session.format, &plan.subject, &tick, is_first)?;
                    is_first = false;
                    left -= 1;
                }
                if is_reached {
                    return Ok(());
                }
                (last, last_at, trouble) = (tick, Some(now), None);
            }
            // Before the first answer, only who waits for a server is patient.
            Err(error) if error.is_transient() && (last_at.is_some() || plan.is_until_healthy) => {
                left -= 1;
                if trouble.is_none() {
                    session.say(&error.to_string());
                }
                trouble = Some(error);
            }
            Err(error) => return Err(session.failed(&error)),
        }
        if left == 0 {
            return match trouble {
                Some(error) if !plan.is_until_healthy => Err(session.failed(&error)),
                Some(_) => plan.end(&Value::Null),
                None => plan.end(&last),
            };
        }
        // After a slow answer, no tick is made up for.
        due = (due + plan.interval).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn show(format: Format, subject: &Subject, tick: &Value, is_first: bool) -> Result<(), Failure> {
    let view = if matches!(subject, Subject::Cluster) { &cluster::TICK } else { &TICK };
    let text = output::text(format, tick, view);
    let text = match format {
        Format::Table | Format::Wide => told(subject, tick) + "\n",
        Format::Json | Format::Ndjson => format!("{tick}\n"),
        Format::Yaml => format!("---\n{text}"),
        Format::Csv if !is_first => text.split_once('\n').map_or(String::new(), |(_, row)| row.to_owned()),
        Format::Csv | Format::Name => text,
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// A tick of a subject in one line.
fn told(subject: &Subject, tick: &Value) -> String {
    if matches!(subject, Subject::Cluster) { cluster::line(tick) } else { line(tick) }
}

/// A tick of disruptors in one line.
fn line(tick: &Value) -> String {
    let number = |name: &str| count(&tick[name], false);
    let latency = |name: &str| micros(&tick[name], false);
    let text = |name: &str| tick[name].as_str().unwrap_or("-");
    let what = match list(&tick["disruptors"]) {
        [one] => one["name"].as_str().unwrap_or("-").to_owned(),
        all => format!("{} disruptors", all.len()),
    };
    let time = text("timestamp").split('.').next().unwrap_or_default();
    format!(
        "{time}Z  {}  {what}  in {}/s  out {}/s  rejected {}/s  lag {}  ring {}  p50 {}  p99 {}  errors {}",
        text("health"),
        number("in_per_second"),
        number("out_per_second"),
        number("rejected_per_second"),
        number("lag"),
        percent(tick["fill"].as_f64().unwrap_or(0.0)),
        latency("p50_latency_micros"),
        latency("p99_latency_micros"),
        number("errors"),
    )
}

#[cfg(test)]
mod tests {
    use super::sample::tests::second_tick;
    use super::{interval, line};
    use std::time::Duration;

    #[test]
    fn an_interval_is_a_span_or_a_number_of_seconds() {
        let check = |text: &str, millis: Option<u64>| {
            assert_eq!(interval(text).ok(), millis.map(Duration::from_millis), "{text}");
        };
        check("1s", Some(1000));
        check("250ms", Some(250));
        check("5", Some(5000));
        check("0.5", Some(500));
        for wrong in ["0", "99ms", "25h", "-1", "NaN", "inf", "1e300", "soon", ""] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_tick_is_a_line() {
        let expected = "2026-01-02T03:04:05Z  healthy  2 disruptors  in 8.00k/s  out 8.00k/s  rejected 800/s  \
                        lag 1.02k  ring 100%  p50 1.50us  p99 2.50ms  errors 0";
        assert_eq!(line(&second_tick()), expected);
    }
}
