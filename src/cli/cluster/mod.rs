//! `badbatch cluster`: which nodes there are, how they do, and what they offer.

mod key;
mod service;
mod watch;

use argh::{ArgsInfo, FromArgs};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::exit::{Failure, UNHEALTHY};
use super::output::{View, print};
use super::session::{Session, span};
use crate::client::{Body, encoded};

/// See, join and leave a cluster of servers.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "cluster")]
pub struct Arguments {
    #[argh(subcommand)]
    pub command: Command,
}

#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand)]
pub enum Command {
    Status(Status),
    Nodes(Nodes),
    Health(Health),
    Ping(Ping),
    Join(Join),
    Leave(Leave),
    ForceLeave(ForceLeave),
    Service(service::Arguments),
    Services(service::Services),
    Note(Note),
    Watch(watch::Watch),
    Keygen(Keygen),
    Key(key::Arguments),
}

/// Show the cluster as the server sees it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "status", example = "badbatch cluster status")]
pub struct Status {}

/// List the nodes of the cluster.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "nodes",
    example = "badbatch cluster nodes\nbadbatch cluster nodes --state alive -o name"
)]
pub struct Nodes {
    /// only those in this state [values: alive, suspect, dead, left]
    #[argh(option)]
    state: Option<String>,
}

/// Tell how the process, the node and the cluster do; the status is 8 unless all do well.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "health", example = "badbatch cluster health")]
pub struct Health {}

/// Have the server ask other nodes whether they are there; the status is 8 unless all answer.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "ping", example = "badbatch cluster ping")]
pub struct Ping {
    /// the node's name [default: all that should be there]
    #[argh(positional)]
    node: Option<String>,
    /// how long each may take, up to 10s
    #[argh(option, default = "String::from(\"2s\")")]
    wait: String,
}

/// Have the server join the cluster of another node.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "join", example = "badbatch cluster join node-1.example.org:7946")]
pub struct Join {
    /// where the other node listens for nodes, as host:port
    #[argh(positional)]
    address: String,
}

/// Have the server say goodbye to its cluster; it goes on alone until it is restarted.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "leave", example = "badbatch cluster leave --yes")]
pub struct Leave {}

/// Have a dead node taken for one that has left, so that nobody expects it back.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "force-leave", example = "badbatch cluster force-leave node-2 --yes")]
pub struct ForceLeave {
    /// the node's name
    #[argh(positional)]
    node: String,
}

/// Say something small to all other nodes, once; their streams and watches tell it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "note", example = "badbatch cluster note 'maintenance begins'")]
pub struct Note {
    /// what to say, or @file
    #[argh(positional)]
    text: String,
}

/// Make a key with which nodes encrypt what they say to each other.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "keygen", example = "badbatch cluster keygen")]
pub struct Keygen {}

const PATH: &str = "/api/v1/cluster";

const STATUS: View<'_> = View {
    rows: None,
    columns: &[
        ("Node", "/node_id"),
        ("Cluster", "/name"),
        ("Address", "/address"),
        ("State", "/state"),
        ("Health", "/health/cluster/status"),
        ("Reasons", "/health/cluster/reasons"),
        ("Alive", "/members/alive"),
        ("Suspect", "/members/suspect"),
        ("Dead", "/members/dead"),
        ("Left", "/members/left"),
        ("Services", "/services/passing"),
        ("Encrypted", "/encrypted"),
        ("Awareness", "/awareness"),
    ],
    wide: &[],
    name: "/node_id",
};
const MEMBERS: &[(&str, &str)] =
    &[("NODE", "/id"), ("STATE", "/state"), ("SINCE", "/since"), ("ADDRESS", "/address"), ("HTTP", "/http")];
const MORE_OF_MEMBERS: &[(&str, &str)] =
    &[("SELF", "/self"), ("INCARNATION", "/incarnation"), ("METADATA", "/metadata")];
const NODES: View<'_> = View { rows: Some("items"), columns: MEMBERS, wide: MORE_OF_MEMBERS, name: "/id" };
const LEVELS: View<'_> = View {
    rows: Some("levels"),
    columns: &[("LEVEL", "/level"), ("STATUS", "/status"), ("DETAIL", "/detail")],
    wide: &[],
    name: "/level",
};
const PINGS: View<'_> = View {
    rows: Some("items"),
    columns: &[
        ("NODE", "/id"),
        ("STATE", "/state"),
        ("ADDRESS", "/address"),
        ("MS", "/round_trip_ms"),
        ("TROUBLE", "/trouble"),
    ],
    wide: &[],
    name: "/id",
};
const KEY: View<'_> = View { rows: None, columns: &[("Key", "/key")], wide: &[], name: "/key" };

pub fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Status(_) => session.show(&session.ask("GET", PATH, None)?, &STATUS),
        Command::Nodes(arguments) => {
            let state =
                arguments.state.map_or_else(String::new, |state| format!("&state={}", encoded(&state)));
            session.show(&all(session, "members", &state)?, &NODES)
        }
        Command::Health(_) => health(session),
        Command::Ping(arguments) => ping(&arguments, session),
        Command::Join(arguments) => {
            let body = Body::Json(json!({"address": arguments.address}));
            let state = session.ask("POST", &format!("{PATH}/join"), Some(body))?;
            let alive = &state["members"]["alive"];
            session.done(&state, &format!("joined by {}: {alive} members are alive", arguments.address))
        }
        Command::Leave(_) => {
            session.confirm("leave the cluster?")?;
            let state = session.ask("POST", &format!("{PATH}/leave"), None)?;
            let line = format!("{} has left; restart it to join again", text(&state, "node_id"));
            session.done(&state, &line)
        }
        Command::ForceLeave(arguments) => {
            session.confirm(&format!("take {} for one that has left?", arguments.node))?;
            let path = format!("{}/force-leave", member_path(&arguments.node));
            let member = session.ask("POST", &path, None)?;
            session.done(&member, &format!("{} counts as one that has left", arguments.node))
        }
        Command::Service(arguments) => service::run(arguments.command, session),
        Command::Services(arguments) => service::look_up(&arguments, session),
        Command::Note(arguments) => {
            let body = Body::Json(json!({"text": super::input::text(&arguments.text)?}));
            let sent = session.ask("POST", &format!("{PATH}/notes"), Some(body))?;
            session.done(&sent, "on its way to all other nodes")
        }
        Command::Watch(arguments) => watch::run(&arguments, session),
        Command::Keygen(_) => keygen(session),
        Command::Key(arguments) => key::run(arguments.command, session),
    }
}

/// A list with all its pages.
fn all(session: &Session, list: &str, query: &str) -> Result<Value, Failure> {
    let page =
        |offset: u64| session.ask("GET", &format!("{PATH}/{list}?limit=500&offset={offset}{query}"), None);
    let mut all = page(0)?;
    while let Some(next) = all["next"].as_u64() {
        let more = page(next)?;
        all["next"] = more["next"].clone();
        let items = more["items"].as_array().cloned().unwrap_or_default();
        all["items"].as_array_mut().into_iter().for_each(|list| list.extend(items.iter().cloned()));
    }
    Ok(all)
}

/// The cluster with its members, for `badbatch monitor cluster`.
pub fn with_members(session: &Session) -> Result<Value, Failure> {
    let mut state = session.ask("GET", PATH, None)?;
    state["items"] = all(session, "members", "")?["items"].take();
    Ok(state)
}

/// How `badbatch monitor cluster` looks.
pub const MONITOR: View<'_> = NODES;

fn health(session: &Session) -> Result<(), Failure> {
    let health = session.ask("GET", PATH, None)?["health"].take();
    let level = |name: &str, detail: Value| json!({"level": name, "status": health[name]["status"], "detail": detail});
    let (component, cluster) = (&health["component"], &health["cluster"]);
    let counts = format!("{} of {} members are alive", cluster["alive"], cluster["known"]);
    let reasons = cluster["reasons"].as_array().cloned().unwrap_or_default();
    let up = health["process"]["uptime_seconds"].as_u64().unwrap_or_default();
    let up = humantime::format_duration(std::time::Duration::from_secs(up));
    let levels = [
        level("process", json!(format!("up {up}"))),
        level("component", json!(format!("own services are {}", text(component, "services")))),
        level("cluster", if reasons.is_empty() { json!(counts) } else { json!(reasons) }),
    ];
    session.show(&json!({"levels": levels}), &LEVELS)?;
    let is_well = component["status"] == "ready" && cluster["status"] == "healthy";
    match is_well && health["process"]["status"] == "live" {
        true => Ok(()),
        false => {
            let (node, cluster) = (text(component, "status"), text(cluster, "status"));
            Err(Failure::with_code(UNHEALTHY, format!("the node is {node}, and the cluster {cluster}")))
        }
    }
}

fn ping(arguments: &Ping, session: &Session) -> Result<(), Failure> {
    let wait = span("--wait", &arguments.wait)?.as_millis();
    let once =
        |id: &str| session.client.json("POST", &format!("{}/ping?timeout={wait}ms", member_path(id)), None);
    if let Some(node) = &arguments.node {
        let pong = once(node).map_err(|error| session.failed(&error))?;
        return session.show(&json!({"items": [pong]}), &PINGS);
    }
    let members = all(session, "members", "")?;
    let expected = members["items"].as_array().into_iter().flatten();
    let expected = expected.filter(|member| member["state"] != "left" && member["self"] != true);
    let mut pongs = Vec::new();
    for member in expected {
        pongs.push(match once(text(member, "id")) {
            Ok(pong) => pong,
            Err(error) if error.code() == Some("member_unreachable") => json!({
                "id": member["id"], "state": member["state"], "address": member["address"],
                "round_trip_ms": null, "trouble": error.to_string(),
            }),
            Err(error) => return Err(session.failed(&error)),
        });
    }
    let silent = pongs.iter().filter(|pong| pong["trouble"].is_string()).count();
    let count = pongs.len();
    session.show(&json!({"items": pongs}), &PINGS)?;
    match silent {
        0 => Ok(()),
        silent => Err(Failure::with_code(UNHEALTHY, format!("{silent} of {count} nodes do not answer"))),
    }
}

fn keygen(session: &Session) -> Result<(), Failure> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Failure::failed(format!("the system gives no random numbers: {error}")))?;
    let key = BASE64.encode(key);
    match session.format.is_table() {
        true => Ok(print(&key)?),
        false => session.show(&json!({"key": key}), &KEY),
    }
}

fn member_path(id: &str) -> String {
    format!("{PATH}/members/{}", encoded(id))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or("-")
}
