//! `badbatch cluster service` and `badbatch cluster services`: what nodes offer.

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::event::pairs;
use super::super::exit::Failure;
use super::super::output::View;
use super::super::session::Session;
use super::{all, text};
use crate::client::{Body, encoded};

/// Offer services on the server's node.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "service")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Register(Register),
    Report(Report),
    Deregister(Deregister),
}

/// Offer a service on the server's node, or describe it anew.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "register",
    example = "badbatch cluster service register web 80 --tag blue\nbadbatch cluster service register mail 25 --ttl 1m"
)]
pub struct Register {
    /// what it is, the same wherever it is offered
    #[argh(positional)]
    name: String,
    /// where it listens
    #[argh(positional)]
    port: u16,
    /// its own name on this node [default: NAME]
    #[argh(option)]
    id: Option<String>,
    /// where it is [default: where the node is]
    #[argh(option)]
    address: Option<String>,
    /// what lookups may ask for; may be given several times
    #[argh(option)]
    tag: Vec<String>,
    /// what else is to be known, as name=value; may be given several times
    #[argh(option, short = 'm')]
    metadata: Vec<String>,
    /// critical unless it is reported on as often as this, such as 30s
    #[argh(option)]
    ttl: Option<String>,
    /// have the node check that its port opens
    #[argh(switch)]
    tcp: bool,
    /// have the node check that this path answers with 2xx
    #[argh(option)]
    http: Option<String>,
    /// between two checks by --tcp or --http [default: 10s]
    #[argh(option)]
    interval: Option<String>,
    /// how long a check may take [default: 2s]
    #[argh(option)]
    wait: Option<String>,
}

/// Say how well a service of the server's node is, and how busy.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "report",
    example = "badbatch cluster service report web --status passing --load 3"
)]
pub struct Report {
    /// its own name on this node
    #[argh(positional)]
    id: String,
    /// how it is [values: passing, warning, critical]
    #[argh(option)]
    status: Option<String>,
    /// why, in a few words
    #[argh(option)]
    note: Option<String>,
    /// how busy it is, in units of its own
    #[argh(option)]
    load: Option<u32>,
}

/// Offer a service no longer.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "deregister", example = "badbatch cluster service deregister mail")]
pub struct Deregister {
    /// its own name on this node
    #[argh(positional)]
    id: String,
}

/// Look up what nodes offer, the best first.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "services",
    example = "badbatch cluster services web --healthy\nbadbatch cluster services --tag blue"
)]
pub struct Services {
    /// what it is [default: all]
    #[argh(positional)]
    name: Option<String>,
    /// only those with this tag
    #[argh(option)]
    tag: Option<String>,
    /// only those of this node
    #[argh(option)]
    node: Option<String>,
    /// leave out those that are critical
    #[argh(switch)]
    healthy: bool,
    /// give one of them, which needs a NAME [values: random, round-robin, least-loaded]
    #[argh(option)]
    choose: Option<String>,
}

const PATH: &str = "/api/v1/cluster/services";
const SERVICES: View<'_> = View {
    rows: Some("items"),
    columns: &[
        ("NAME", "/name"),
        ("ID", "/id"),
        ("NODE", "/node"),
        ("STATUS", "/status"),
        ("ADDRESS", "/address"),
        ("PORT", "/port"),
        ("TAGS", "/tags"),
        ("LOAD", "/load"),
    ],
    wide: &[("NOTE", "/note"), ("METADATA", "/metadata")],
    name: "/id",
};

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    let of = |id: &str| format!("{PATH}/{}", encoded(id));
    match command {
        Command::Register(arguments) => {
            let body = Body::Json(description(&arguments)?);
            let service = session.ask("POST", PATH, Some(body))?;
            let (id, node, status) = (text(&service, "id"), text(&service, "node"), text(&service, "status"));
            session.done(&service, &format!("{id} is offered by {node}, and {status}"))
        }
        Command::Report(arguments) => {
            let mut report =
                json!({"status": arguments.status, "note": arguments.note, "load": arguments.load});
            report
                .as_object_mut()
                .into_iter()
                .for_each(|members| members.retain(|_, value| !value.is_null()));
            let path = format!("{}/report", of(&arguments.id));
            let service = session.ask("POST", &path, Some(Body::Json(report)))?;
            session.done(&service, &format!("{} is {}", arguments.id, text(&service, "status")))
        }
        Command::Deregister(arguments) => {
            session.ask("DELETE", &of(&arguments.id), None)?;
            let line = format!("{} is offered no longer", arguments.id);
            session.done(&json!({"deregistered": arguments.id}), &line)
        }
    }
}

fn description(arguments: &Register) -> Result<Value, Failure> {
    let mut service = json!({
        "name": arguments.name, "port": arguments.port, "id": arguments.id, "address": arguments.address,
        "tags": arguments.tag, "metadata": pairs(&arguments.metadata)?,
    });
    let Register { ttl, tcp, http, interval, wait, .. } = arguments;
    let mut check = match (ttl, tcp, http) {
        (None, false, None) if interval.is_some() || wait.is_some() => {
            return Err(Failure::usage("--interval and --wait are for a check: --tcp or --http PATH"));
        }
        (None, false, None) => return Ok(service),
        (Some(_), false, None) if interval.is_some() || wait.is_some() => {
            return Err(Failure::usage("--interval and --wait are not for --ttl, which has nothing to ask"));
        }
        (Some(ttl), false, None) => json!({"kind": "ttl", "ttl": ttl}),
        (None, true, None) => json!({"kind": "tcp"}),
        (None, false, Some(path)) => json!({"kind": "http", "path": path}),
        _ => return Err(Failure::usage("a service has one check: --ttl, --tcp or --http")),
    };
    for (member, value) in [("interval", interval), ("timeout", wait)] {
        if let Some(value) = value {
            check[member] = json!(value);
        }
    }
    service["check"] = check;
    Ok(service)
}

pub fn look_up(arguments: &Services, session: &Session) -> Result<(), Failure> {
    let texts = [
        ("name", &arguments.name),
        ("tag", &arguments.tag),
        ("node", &arguments.node),
        ("choose", &arguments.choose),
    ];
    let given = texts.into_iter().filter_map(|(name, text)| Some((name, encoded(text.as_deref()?))));
    let mut query: String = given.map(|(name, text)| format!("&{name}={text}")).collect();
    if arguments.healthy {
        query += "&healthy=true";
    }
    session.show(&all(session, "services", &query)?, &SERVICES)
}
