//! `badbatch disruptor`: what there is, and what becomes of it.

use std::time::Duration;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::exit::Failure;
use super::output::View;
use super::session::{Session, span};
use crate::client::Body;

/// Make, list, start, stop and delete disruptors.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "disruptor")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Create(Create),
    List(List),
    Show(Show),
    Health(Health),
    Pause(Pause),
    Resume(Resume),
    Stop(Stop),
    Start(Start),
    Reset(Reset),
    Delete(Delete),
    Replication(Replication),
    Promote(Promote),
}

/// Make a disruptor and start it.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "create",
    example = "badbatch disruptor create orders --size 2048 --producer multi\nbadbatch disruptor create ledger --replicas 3 --consistency all"
)]
pub struct Create {
    /// its name: 1 to 64 of A-Z a-z 0-9 . _ -
    #[argh(positional)]
    name: String,
    /// slots, a power of two [default: the server's, 1024]
    #[argh(option, short = 's')]
    size: Option<String>,
    /// how many threads publish at once [values: single, multi] [default: the server's, single]
    #[argh(option, short = 'p')]
    producer: Option<String>,
    /// how sinks wait [values: blocking, yielding, busy-spin, sleeping, timeout-blocking, phased-backoff] [default: the server's, blocking]
    #[argh(option, short = 'w')]
    wait_strategy: Option<String>,
    /// events per second that it takes at most
    #[argh(option)]
    rate_limit: Option<u64>,
    /// how many nodes of the cluster have its events [default: 1]
    #[argh(option)]
    replicas: Option<u64>,
    /// how many of them have an event when it is acknowledged [values: any, one, quorum, all] [default: quorum]
    #[argh(option)]
    consistency: Option<String>,
    /// how long publishing waits for them, as 500ms [default: 5s]
    #[argh(option)]
    replication_timeout: Option<String>,
    /// do not start it
    #[argh(switch)]
    no_start: bool,
    /// it is no error if it is there, defined in the same way or otherwise
    #[argh(switch)]
    if_not_exists: bool,
}

/// List the disruptors.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "list", example = "badbatch disruptor list -o name")]
pub struct List {
    /// only those in this state [values: created, running, paused, draining, stopped, failed, following]
    #[argh(option)]
    status: Option<String>,
}

/// Show a disruptor.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "show", example = "badbatch disruptor show main")]
pub struct Show {
    /// its name or identifier
    #[argh(positional)]
    id: String,
    /// show it again whenever it has changed
    #[argh(switch)]
    watch: bool,
}

/// Start a disruptor.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "start", example = "badbatch disruptor start main")]
pub struct Start {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Drain a disruptor and stop it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "stop", example = "badbatch disruptor stop main --drain 5s")]
pub struct Stop {
    /// its name or identifier
    #[argh(positional)]
    id: String,
    /// how long its sinks may take [default: 10s]
    #[argh(option)]
    drain: Option<String>,
}

/// Let a disruptor take no events for a while.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "pause", example = "badbatch disruptor pause main")]
pub struct Pause {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Let a paused disruptor go on.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "resume", example = "badbatch disruptor resume main")]
pub struct Resume {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Start a disruptor anew: without its events and numbers, at the sequence where it was.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "reset", example = "badbatch disruptor reset main --yes")]
pub struct Reset {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Tell how a disruptor does.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "health", example = "badbatch disruptor health main")]
pub struct Health {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Drain a disruptor and delete it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "delete", example = "badbatch disruptor delete orders --yes")]
pub struct Delete {
    /// its name or identifier
    #[argh(positional)]
    id: String,
    /// end its sinks where they are, and do not ask
    #[argh(switch, short = 'f')]
    force: bool,
}

/// Tell where a disruptor's home is, and how far its copies are.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "replication", example = "badbatch disruptor replication ledger")]
pub struct Replication {
    /// its name or identifier
    #[argh(positional)]
    id: String,
}

/// Make the node at the endpoint the home of a disruptor that it has a copy of.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "promote", example = "badbatch disruptor promote ledger")]
pub struct Promote {
    /// its name or identifier
    #[argh(positional)]
    id: String,
    /// even if events that were acknowledged could be lost
    #[argh(switch, short = 'f')]
    force: bool,
}

const COLUMNS: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("STATUS", "/status"),
    ("SIZE", "/buffer_size"),
    ("PRODUCER", "/producer_type"),
    ("WAIT", "/wait_strategy"),
    ("NEXT", "/next_sequence"),
    ("CREATED", "/created_at"),
];
const LIST: View<'_> = View {
    rows: Some("items"),
    columns: COLUMNS,
    wide: &[("ID", "/id"), ("FIRST", "/first_available"), ("LAST ACTIVITY", "/last_activity")],
    name: "/name",
};
const ONE: View<'_> = View {
    rows: None,
    columns: &[
        ("Name", "/name"),
        ("Id", "/id"),
        ("Status", "/status"),
        ("Reason", "/reason"),
        ("Size", "/buffer_size"),
        ("Producer", "/producer_type"),
        ("Wait", "/wait_strategy"),
        ("Sinks", "/sinks"),
        ("Replicas", "/replicas"),
        ("Consistency", "/consistency"),
        ("First", "/first_available"),
        ("Next", "/next_sequence"),
        ("Created", "/created_at"),
    ],
    wide: &[],
    name: "/name",
};
const HEALTH: View<'_> = View {
    rows: None,
    columns: &[
        ("Name", "/name"),
        ("Status", "/status"),
        ("Reasons", "/details/reasons"),
        ("Sinks", "/details/sinks"),
    ],
    wide: &[],
    name: "/name",
};

const REPLICATION: View<'_> = View {
    rows: None,
    columns: &[
        ("Name", "/name"),
        ("Part", "/part"),
        ("Home", "/home"),
        ("Epoch", "/epoch"),
        ("Consistency", "/consistency"),
        ("Wanted", "/wanted"),
        ("Reached", "/reached"),
        ("Nodes", "/nodes"),
        ("Next", "/next_sequence"),
        ("Complete", "/complete"),
        ("Followers", "/followers"),
        ("Timeouts", "/timeouts"),
        ("Trouble", "/trouble"),
    ],
    wide: &[],
    name: "/name",
};

const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    let of = |id: &str| crate::client::disruptor_path(id);
    let changed = |id: &str, action: &str, query: &str| {
        let value = session.ask("POST", &format!("{}/{action}{query}", of(id)), None)?;
        session.done(&value, &format!("{} is {}", text(&value, "name"), text(&value, "status")))
    };
    match command {
        Command::Create(arguments) => create(&arguments, session),
        Command::List(arguments) => {
            let status = arguments.status.map_or_else(String::new, |status| format!("&status={status}"));
            let mut all = session.ask("GET", &format!("/api/v1/disruptor?limit=500{status}"), None)?;
            while let Some(next) = all["next"].as_u64() {
                let more = session.ask(
                    "GET",
                    &format!("/api/v1/disruptor?limit=500&offset={next}{status}"),
                    None,
                )?;
                all["next"] = more["next"].clone();
                let items = more["items"].as_array().cloned().unwrap_or_default();
                all["items"].as_array_mut().into_iter().for_each(|list| list.extend(items.iter().cloned()));
            }
            session.show(&all, &LIST)
        }
        Command::Show(arguments) => {
            let mut value = session.ask("GET", &of(&arguments.id), None)?;
            session.show(&value, &ONE)?;
            if arguments.watch {
                loop {
                    std::thread::sleep(WATCH_INTERVAL);
                    let now = session.ask("GET", &of(&arguments.id), None)?;
                    if now != value {
                        session.show(&now, &ONE)?;
                        value = now;
                    }
                }
            }
            session.say(&format!("next: badbatch event tail {}", text(&value, "name")));
            Ok(())
        }
        Command::Start(arguments) => changed(&arguments.id, "start", ""),
        Command::Pause(arguments) => changed(&arguments.id, "pause", ""),
        Command::Resume(arguments) => changed(&arguments.id, "resume", ""),
        Command::Stop(arguments) => {
            let drain = arguments.drain.as_deref().map(|text| span("--drain", text)).transpose()?;
            let query = drain.map_or_else(String::new, |drain| format!("?drain={}ms", drain.as_millis()));
            changed(&arguments.id, "stop", &query)
        }
        Command::Reset(arguments) => {
            session.confirm(&format!("throw away the events of {}?", arguments.id))?;
            let value = session.ask("POST", &format!("{}/reset", of(&arguments.id)), None)?;
            let (name, status) = (text(&value, "name"), text(&value, "status"));
            let left = &value["not_handed_on"];
            session.done(&value, &format!("{name} is empty and {status}; {left} events were not handed on"))
        }
        Command::Delete(arguments) => {
            if !arguments.force {
                session.confirm(&format!("delete {} with its events?", arguments.id))?;
            }
            let force = if arguments.force { "?force=true" } else { "" };
            session.ask("DELETE", &format!("{}{force}", of(&arguments.id)), None)?;
            session.done(&json!({"deleted": arguments.id}), &format!("{} is deleted", arguments.id))
        }
        Command::Replication(arguments) => {
            let path = format!("{}/replication", of(&arguments.id));
            session.show(&session.ask("GET", &path, None)?, &REPLICATION)
        }
        Command::Promote(arguments) => {
            let force = if arguments.force { "?force=true" } else { "" };
            let value = session.ask("POST", &format!("{}/promote{force}", of(&arguments.id)), None)?;
            let (name, home, epoch) = (text(&value, "name"), text(&value, "home"), &value["epoch"]);
            session.done(&value, &format!("the home of {name} is {home}, in epoch {epoch}"))
        }
        Command::Health(arguments) => {
            session.show(&session.ask("GET", &format!("{}/health", of(&arguments.id)), None)?, &HEALTH)
        }
    }
}

fn create(arguments: &Create, session: &Session) -> Result<(), Failure> {
    let mut definition = json!({"name": arguments.name});
    let options = [
        ("buffer_size", &arguments.size),
        ("producer_type", &arguments.producer),
        ("wait_strategy", &arguments.wait_strategy),
        ("consistency", &arguments.consistency),
    ];
    for (member, value) in options {
        if let Some(value) = value {
            definition[member] = json!(value);
        }
    }
    if let Some(replicas) = arguments.replicas {
        definition["replicas"] = json!(replicas);
    }
    if let Some(timeout) = &arguments.replication_timeout {
        let timeout = span("--replication-timeout", timeout)?;
        definition["replication_timeout_ms"] = json!(timeout.as_millis() as u64);
    }
    if let Some(limit) = arguments.rate_limit {
        definition["config"] = json!({"max_events_per_second": limit});
    }
    let path = if arguments.no_start { "/api/v1/disruptor?start=false" } else { "/api/v1/disruptor" };
    let made = session.client.json("POST", path, Some(Body::Json(definition)));
    let value = match made {
        Err(error) if arguments.if_not_exists && error.code() == Some("name_taken") => {
            session.ask("GET", &crate::client::disruptor_path(&arguments.name), None)?
        }
        made => made.map_err(|error| session.failed(&error))?,
    };
    session.show(&value, &ONE)?;
    session.say(&format!(
        "next: badbatch event publish {} '{{\"message\": \"Hello, World!\"}}'",
        arguments.name
    ));
    Ok(())
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}
