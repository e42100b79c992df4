//! `badbatch server status`, `stop` and `reload`: asking a server that runs.

use std::thread;
use std::time::{Duration, Instant};

use argh::{ArgsInfo, FromArgs};
use serde_json::json;

use super::exit::{Failure, PARTLY, UNHEALTHY};
use super::output::View;
use super::session::{Session, span};
use crate::client::ClientError;
use crate::sys::process::start_ticks;
use crate::sys::topology::Bytes;

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Status(Status),
    Stop(Stop),
    Reload(Reload),
}

/// Tell how the server does; the status is 8 unless it is healthy.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "status", example = "badbatch server status")]
pub struct Status {}

/// End the server, and wait until it has ended.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "stop", example = "badbatch server stop --drain 10s")]
pub struct Stop {
    /// how long its sinks may take, up to 1h [default: the server's drain_timeout]
    #[argh(option)]
    drain: Option<String>,
}

/// Have the server read its configuration again.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "reload", example = "badbatch server reload")]
pub struct Reload {}

const STATUS: View<'_> = View {
    rows: None,
    columns: &[
        ("Endpoint", "/endpoint"),
        ("Status", "/status"),
        ("Version", "/version"),
        ("Pid", "/pid"),
        ("Address", "/address"),
        ("Up", "/uptime"),
        ("Memory", "/memory"),
        ("Running", "/active_disruptors"),
        ("Draining", "/draining"),
        ("Reasons", "/reasons"),
    ],
    wide: &[],
    name: "/status",
};
const RELOADED: View<'_> = View {
    rows: None,
    columns: &[("Taken", "/taken"), ("Waiting", "/waiting"), ("Failed", "/failed")],
    wide: &[],
    name: "/taken",
};

/// What a server may take beyond its drain to finish its requests and end.
const GRACE: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const STEP: Duration = Duration::from_millis(20);

pub fn run(command: Command, session: Session) -> Result<(), Failure> {
    match command {
        Command::Status(_) => status(&session),
        Command::Stop(arguments) => stop(&arguments, session),
        Command::Reload(_) => reload(&session),
    }
}

fn status(session: &Session) -> Result<(), Failure> {
    let health = session.client.health().map_err(|error| session.failed(&error))?;
    // Who may not see the process sees the rest.
    let process = session.client.json("GET", "/api/v1/server", None).unwrap_or_default();
    let parts = health["components"].as_array().into_iter().flatten();
    let reasons: Vec<_> = parts.flat_map(|part| part["reasons"].as_array().into_iter().flatten()).collect();
    let (uptime, memory) = (&health["uptime_seconds"], &health["memory_usage"]["used_bytes"]);
    let status = json!({
        "endpoint": session.client.endpoint(),
        "status": health["status"],
        "version": health["version"],
        "pid": process["pid"],
        "address": process["address"],
        "uptime_seconds": uptime,
        "uptime": uptime.as_u64().map(|seconds| humantime::format_duration(Duration::from_secs(seconds)).to_string()),
        "memory_bytes": memory,
        "memory": memory.as_u64().map(|bytes| Bytes(bytes).to_string()),
        "active_disruptors": health["active_disruptors"],
        "draining": health["draining"],
        "reasons": reasons,
    });
    session.show(&status, &STATUS)?;
    match health["status"].as_str() {
        Some("healthy") if health["draining"] != true => Ok(()),
        Some("healthy") => Err(Failure::with_code(UNHEALTHY, "the server is about to end")),
        word => Err(Failure::with_code(UNHEALTHY, format!("the server is {}", word.unwrap_or("unwell")))),
    }
}

fn stop(arguments: &Stop, mut session: Session) -> Result<(), Failure> {
    let drain = arguments.drain.as_deref().map(|text| span("--drain", text)).transpose()?;
    let query = drain.map_or_else(String::new, |drain| format!("?drain={}ms", drain.as_millis()));
    let process = session.ask("GET", "/api/v1/server", None)?;
    let (pid, ticks) = (&process["pid"], process["start_ticks"].as_u64());
    let number = pid.as_u64().and_then(|pid| u32::try_from(pid).ok());
    // Where this machine has no such process, the server is on another one.
    let here = number.filter(|number| ticks.is_some() && start_ticks(*number) == ticks);
    let drain = match session.client.json("POST", &format!("/api/v1/server/shutdown{query}"), None) {
        Ok(answer) => Duration::from_millis(answer["drain_ms"].as_u64().unwrap_or_default()),
        // Somebody else has asked already.
        Err(error) if error.code() == Some("draining") => drain.unwrap_or_default(),
        Err(error) => return Err(session.failed(&error)),
    };
    session.client = session.client.attempts(1).timeout(Duration::from_secs(1));
    let endpoint = session.client.endpoint().to_owned();
    let is_over = || match here {
        Some(number) => start_ticks(number) != ticks,
        None => {
            matches!(session.client.json("GET", "/health/live", None), Err(ClientError::Unreachable { .. }))
        }
    };
    let asked = Instant::now();
    while !is_over() {
        if asked.elapsed() > drain + GRACE {
            let waited = humantime::format_duration(drain + GRACE);
            return Err(Failure::with_code(
                6,
                format!("the server at {endpoint} has not ended after {waited}"),
            ));
        }
        thread::sleep(STEP);
    }
    let line = match here {
        Some(number) => format!("the server at {endpoint} (process {number}) has ended"),
        None => {
            let drain = humantime::format_duration(drain);
            format!("the server at {endpoint} answers no more; it may hand on events for {drain}")
        }
    };
    let status = if here.is_some() { "ended" } else { "closed" };
    let waited = asked.elapsed().as_millis() as u64;
    session.done(&json!({"endpoint": endpoint, "status": status, "pid": pid, "waited_ms": waited}), &line)
}

fn reload(session: &Session) -> Result<(), Failure> {
    let reloaded = session.ask("POST", "/api/v1/server/reload", None)?;
    session.show(&reloaded, &RELOADED)?;
    let count = |name: &str| reloaded[name].as_array().map_or(0, Vec::len);
    if count("waiting") > 0 {
        session.say("what waits is taken at the next start of the server");
    }
    match count("failed") {
        0 => Ok(()),
        failed => Err(Failure::with_code(PARTLY, format!("{failed} new disruptors cannot be"))),
    }
}
