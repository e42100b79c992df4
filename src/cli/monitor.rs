//! `badbatch monitor`: how everything does, in numbers.

use std::fs;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::cluster;
use super::exit::{Failure, UNHEALTHY};
use super::output::{Format, View, print};
use super::session::Session;
use super::watch;
use crate::client::disruptor_path;

/// Watch the server and its disruptors.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "monitor")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    System(System),
    Disruptor(Disruptor),
    Cluster(Cluster),
    Health(Health),
    Watch(watch::Watch),
    Export(Export),
}

/// Show the numbers of all disruptors.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "system", example = "badbatch monitor system")]
pub struct System {}

/// Show a disruptor's numbers.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "disruptor", example = "badbatch monitor disruptor main")]
pub struct Disruptor {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Show the nodes of the cluster, and in JSON how it does.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "cluster", example = "badbatch monitor cluster")]
pub struct Cluster {}

/// Tell how the server does; the status is 8 unless it is healthy.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "health", example = "badbatch monitor health")]
pub struct Health {}

/// Write the numbers to a file.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "export", example = "badbatch monitor export numbers.prom --format prometheus")]
pub struct Export {
    /// the file, or - for standard output
    #[argh(positional)]
    file: String,
    /// how the numbers look [values: json, csv, prometheus, yaml] [default: json]
    #[argh(option, short = 'f', default = "String::from(\"json\")")]
    format: String,
}

const SYSTEM: View<'_> = View {
    rows: Some("disruptors"),
    columns: &[
        ("DISRUPTOR", "/name"),
        ("PUBLISHED", "/total_events_published"),
        ("PROCESSED", "/total_events_processed"),
        ("PER SECOND", "/events_per_second"),
        ("P50 US", "/p50_latency_micros"),
        ("P99 US", "/p99_latency_micros"),
        ("FILL", "/buffer_utilization"),
        ("ERRORS", "/error_count"),
    ],
    wide: &[
        ("P95 US", "/p95_latency_micros"),
        ("RING FULL", "/rejected/ring_full"),
        ("RATE LIMITED", "/rejected/rate_limited"),
        ("WRONG STATE", "/rejected/wrong_state"),
    ],
    name: "/name",
};
const DISRUPTOR: View<'_> = View {
    rows: None,
    columns: &[
        ("Disruptor", "/name"),
        ("Published", "/total_events_published"),
        ("Processed", "/total_events_processed"),
        ("Per second", "/events_per_second"),
        ("P50 us", "/p50_latency_micros"),
        ("P95 us", "/p95_latency_micros"),
        ("P99 us", "/p99_latency_micros"),
        ("Fill", "/buffer_utilization"),
        ("Errors", "/error_count"),
        ("Ring full", "/rejected/ring_full"),
        ("Rate limited", "/rejected/rate_limited"),
        ("Wrong state", "/rejected/wrong_state"),
        ("Sinks", "/sinks"),
    ],
    wide: &[],
    name: "/name",
};
const HEALTH: View<'_> = View {
    rows: None,
    columns: &[
        ("Status", "/status"),
        ("Version", "/version"),
        ("Up", "/uptime_seconds"),
        ("Running", "/active_disruptors"),
        ("Memory", "/memory_usage/used_bytes"),
        ("Components", "/components"),
    ],
    wide: &[],
    name: "/status",
};

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::System(_) => session.show(&session.ask("GET", "/api/v1/metrics", None)?, &SYSTEM),
        Command::Disruptor(arguments) => session.show(
            &session.ask("GET", &format!("{}/metrics", disruptor_path(&arguments.id)), None)?,
            &DISRUPTOR,
        ),
        Command::Cluster(_) => session.show(&cluster::with_members(session)?, &cluster::MONITOR),
        Command::Health(_) => health(session),
        Command::Watch(arguments) => watch::run(&arguments, session),
        Command::Export(arguments) => export(&arguments, session),
    }
}

fn health(session: &Session) -> Result<(), Failure> {
    let health = session.client.health().map_err(|error| session.failed(&error))?;
    session.show(&health, &HEALTH)?;
    match health["status"].as_str() {
        Some("healthy") => Ok(()),
        status => Err(Failure::with_code(UNHEALTHY, format!("the server is {}", status.unwrap_or("unwell")))),
    }
}

fn export(arguments: &Export, session: &Session) -> Result<(), Failure> {
    let numbers = || session.ask("GET", "/api/v1/metrics", None);
    let in_form = |format, value: &Value| super::output::text(format, value, &SYSTEM);
    let text = match arguments.format.as_str() {
        "json" => in_form(Format::Json, &numbers()?),
        "yaml" => in_form(Format::Yaml, &numbers()?),
        "csv" => in_form(Format::Csv, &numbers()?),
        "prometheus" => {
            let timeout = std::time::Duration::from_secs(30);
            let page = session.client.request("GET", "/metrics?format=text", None, timeout);
            String::from_utf8_lossy(&page.map_err(|error| session.failed(&error))?.body).into_owned()
        }
        other => {
            let message =
                format!("--format: there is no `{other}`; there are json, csv, prometheus and yaml");
            return Err(Failure::usage(message));
        }
    };
    if matches!(arguments.file.as_str(), "-" | "@-") {
        return Ok(print(text.trim_end())?);
    }
    fs::write(&arguments.file, text)
        .map_err(|error| Failure::with_code(1, format!("{}: {error}", arguments.file)))?;
    session.done(&json!({"file": arguments.file}), &format!("written to {}", arguments.file))
}
