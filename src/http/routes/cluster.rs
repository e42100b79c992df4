//! The cluster that the node is in: its members, how it does, joining and leaving.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::response::Response;
use super::disruptor::{verdict, worst_verdict};
use super::event::SEQUENCE_MAX;
use super::service;
use crate::base::nearest::nearest;
use crate::cluster::Cluster;
use crate::cluster::swim::{Event, Member, NodeId, State, Status};
use crate::engine::{Fields, rfc3339};
use crate::node::{ClusterEvent, ClusterLog, HTTP, Node};

/// How long a ping waits unless the client says otherwise.
const PING: Duration = Duration::from_secs(2);
const PING_MAX: Duration = Duration::from_secs(10);

const STATES: [State; 4] = [State::Alive, State::Suspect, State::Dead, State::Left];

/// The cluster, if the node is in one.
pub fn of(node: &Node) -> Result<&Arc<Cluster>, Problem> {
    let disabled = "this node is in no cluster; start it with --cluster, or cluster.enabled";
    node.cluster().ok_or_else(|| Problem::new("cluster_disabled", disabled))
}

/// The cluster, if the node is in one and has not said goodbye.
pub fn present(node: &Node) -> Result<&Arc<Cluster>, Problem> {
    let cluster = of(node)?;
    match node.has_left_cluster() {
        false => Ok(cluster),
        true => Err(Problem::new("cluster_left", "this node has left its cluster; restart it to join again")),
    }
}

pub fn read(call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &state(call.node())?))
}

fn state(node: &Node) -> Result<Value, Problem> {
    let cluster = of(node)?;
    let (settings, members) = (node.settings(), node.cluster_members());
    let keys = cluster.keyring().ids();
    Ok(json!({
        "node_id": cluster.id().as_str(),
        "name": settings.text("cluster.name"),
        "address": cluster.advertised().to_string(),
        "bind_addr": cluster.address().to_string(),
        "state": if node.has_left_cluster() { "left" } else { "alive" },
        "awareness": cluster.awareness(),
        "members": by_state(&members),
        "services": services_by_status(cluster),
        "encrypted": !keys.is_empty(),
        "keys": keys,
        "refusals": cluster.refusals(),
        "health": health(node, &members),
        "timestamp": rfc3339(node.clock().unix_micros()).to_string(),
    }))
}

/// How many members are in each state.
pub fn by_state(members: &[Member]) -> BTreeMap<&'static str, usize> {
    let count = |state| members.iter().filter(|member| member.state == state).count();
    STATES.iter().map(|state| (state.name(), count(*state))).collect()
}

/// How many services that are offered have each status.
pub fn services_by_status(cluster: &Cluster) -> BTreeMap<&'static str, usize> {
    let offers = cluster.services();
    let count = |status| offers.iter().filter(|offer| offer.status == status).count();
    [Status::Passing, Status::Warning, Status::Critical].map(|status| (status.name(), count(status))).into()
}

/// The process, the node, and the cluster as this node sees it.
fn health(node: &Node, members: &[Member]) -> Value {
    let disruptors = node.engine().list();
    let worst = worst_verdict(disruptors.iter().map(|disruptor| verdict(disruptor).0));
    let component = match (node.is_draining(), node.has_left_cluster()) {
        (true, _) => "draining",
        (false, true) => "leaving",
        (false, false) if worst == "unhealthy" => "unhealthy",
        _ => "ready",
    };
    let mut cluster = cluster_verdict(node, members);
    cluster["awareness"] = json!(node.cluster().map(|cluster| cluster.awareness()));
    let health = node.cluster().map(|cluster| cluster.health());
    let is_live = health.is_none_or(|health| health.is_live);
    json!({
        "process": {"status": if is_live { "live" } else { "failed" }, "uptime_seconds": node.uptime().as_secs()},
        "component": {"status": component, "services": health.map(|health| health.services.name())},
        "cluster": cluster,
    })
}

/// How the cluster does: well, with members missing, or without a majority of those that should be there.
pub fn cluster_verdict(node: &Node, members: &[Member]) -> Value {
    let states = by_state(members);
    let (alive, suspect, dead) = (states["alive"], states["suspect"], states["dead"]);
    let known = alive + suspect + dead;
    let awareness = node.cluster().map_or(0, |cluster| cluster.awareness());
    let mut reasons = Vec::new();
    let mut tell = |is_so: bool, reason: String| reasons.extend(is_so.then_some(reason));
    tell(node.has_left_cluster(), "this node has left".to_owned());
    tell(dead > 0, format!("{dead} of {known} members are dead"));
    tell(suspect > 0, format!("{suspect} of {known} members do not answer"));
    tell(awareness > 0, format!("this node itself is slow or cut off: awareness {awareness} of 8"));
    let has_seeds = !node.settings().texts("cluster.seed_nodes").is_empty();
    tell(has_seeds && known == 1, "no seed has answered".to_owned());
    let is_majority = 2 * (alive + suspect) > known;
    let status = match reasons.is_empty() {
        true => "healthy",
        false if is_majority => "degraded",
        false => "unhealthy",
    };
    json!({"status": status, "alive": alive, "known": known, "reasons": reasons})
}

pub fn members(call: &mut Call<'_>) -> Result<Response, Problem> {
    let node = call.node();
    of(node)?;
    let limit = call.query.integer("limit", 1, 500)?.unwrap_or(50) as usize;
    let offset = call.query.integer("offset", 0, 1_000_000)?.unwrap_or(0) as usize;
    let state = call.query.text("state");
    if let Some(state) = state.filter(|state| STATES.iter().all(|known| known.name() != *state)) {
        let shown: String = state.chars().take(80).collect();
        let known = STATES.map(State::name).join(", ");
        return Err(Problem::field("state", format!("`{shown}` is not one of {known}")));
    }
    let mut found = node.cluster_members();
    found.retain(|member| state.is_none_or(|state| member.state.name() == state));
    let total = found.len();
    let items: Vec<_> = found.iter().skip(offset).take(limit).map(|member| info(node, member)).collect();
    let end = offset.saturating_add(limit);
    let next = (end < total).then_some(end);
    let body = json!({"items": items, "total": total, "offset": offset, "limit": limit, "next": next});
    Ok(Response::json(200, &body))
}

pub fn member(call: &mut Call<'_>) -> Result<Response, Problem> {
    let member = named(call)?;
    Ok(Response::json(200, &info(call.node(), &member)))
}

/// The member that the path names.
fn named(call: &Call<'_>) -> Result<Member, Problem> {
    of(call.node())?;
    let id = &call.parameters[0];
    let mut members = call.node().cluster_members();
    if let Some(place) = members.iter().position(|member| member.id.as_str() == id) {
        return Ok(members.swap_remove(place));
    }
    let shown: String = id.chars().take(80).collect();
    let detail = format!("there is no member `{shown}`");
    Err(Problem::new(
        "member_not_found",
        match nearest(id, members.iter().map(|member| member.id.as_str())) {
            Some(near) => format!("{detail}; did you mean `{near}`?"),
            None => detail,
        },
    ))
}

/// A member as it is told of.
pub fn info(node: &Node, member: &Member) -> Value {
    json!({
        "id": member.id.as_str(),
        "address": member.address.to_string(),
        "state": member.state.name(),
        "since": rfc3339(node.cluster_time(member.since)).to_string(),
        "incarnation": member.incarnation,
        "self": node.cluster().is_some_and(|cluster| *cluster.id() == member.id),
        "http": member.metadata.get(HTTP),
        "metadata": *member.metadata,
    })
}

/// What has happened, a page at a time; waits for more if it is asked to.
pub fn events(call: &mut Call<'_>) -> Result<Response, Problem> {
    let node = call.node();
    let log = log(node)?;
    let (first, next) = log.bounds();
    let from = call.query.integer("from_sequence", 0, SEQUENCE_MAX)?.unwrap_or(first);
    let limit = call.query.integer("limit", 1, 1000)?.unwrap_or(100) as usize;
    let found = log.from(from, limit, call.wait()?);
    let next = found.last().map_or(from.max(first).min(next), |last| last.sequence + 1);
    let items: Vec<_> = found.iter().map(|happened| event(node, happened)).collect();
    let body = json!({"items": items, "first_available": log.bounds().0, "next_sequence": next});
    Ok(Response::json(200, &body))
}

/// The log of the cluster's events, if the node is in one.
pub fn log(node: &Node) -> Result<&ClusterLog, Problem> {
    of(node)?;
    Ok(node.cluster_log().expect("a node of a cluster has its log"))
}

/// An event of the cluster, as it is told.
pub fn event(node: &Node, happened: &ClusterEvent) -> Value {
    let mut told = match &happened.event {
        Event::Joined(member) => json!({"event": "joined", "member": info(node, member)}),
        Event::Updated(member) => json!({"event": "updated", "member": info(node, member)}),
        Event::Suspected(member) => json!({"event": "suspected", "member": info(node, member)}),
        Event::Refuted(member) => json!({"event": "refuted", "member": info(node, member)}),
        Event::Died(member) => json!({"event": "died", "member": info(node, member)}),
        Event::Left(member) => json!({"event": "left", "member": info(node, member)}),
        Event::Forgotten(id) => json!({"event": "forgotten", "id": id.as_str()}),
        Event::NameTaken(address) => json!({"event": "name_taken", "address": address.to_string()}),
        Event::Registered(offer) => json!({"event": "registered", "service": service::info(offer)}),
        Event::Changed(offer) => json!({"event": "changed", "service": service::info(offer)}),
        Event::Deregistered(offer) => json!({"event": "deregistered", "service": service::info(offer)}),
        Event::Note { from, body } => {
            let text = String::from_utf8_lossy(body);
            json!({"event": "note", "from": from.as_str(), "text": text})
        }
    };
    told["sequence"] = json!(happened.sequence);
    told["at"] = json!(rfc3339(happened.unix_micros).to_string());
    told
}

/// Joins by another node, and waits for what comes of it.
pub fn join(call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = call.json()?;
    let cluster = present(call.node())?;
    let mut fields = Fields::of(&body, "");
    let given = fields.text("address").map(str::to_owned);
    if given.is_none() && body.get("address").is_none_or(Value::is_null) {
        fields.missing("address", "a host and a port such as node-1.example.org:7946");
    }
    let errors = fields.finish();
    let given = match given {
        Some(given) if errors.is_empty() => given,
        _ => return Err(Problem::invalid(errors)),
    };
    let shown: String = given.chars().take(80).collect();
    if given.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
        let message = format!("`{shown}` is not a host and a port such as node-1.example.org:7946");
        return Err(Problem::field("address", message));
    }
    let failed = |reason: String| Problem::new("join_failed", reason);
    let addresses = given.to_socket_addrs().map_err(|error| failed(format!("`{shown}`: {error}")))?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    if addresses.contains(&cluster.advertised()) || addresses.contains(&cluster.address()) {
        return Err(Problem::field("address", format!("`{shown}` is this node itself")));
    }
    let mut reasons = Vec::new();
    for address in addresses {
        match cluster.join(address) {
            Ok(()) => return Ok(Response::json(200, &state(call.node())?)),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(failed(reasons.join("; ")))
}

/// Says goodbye to the cluster. The server goes on.
pub fn leave(call: &mut Call<'_>) -> Result<Response, Problem> {
    of(call.node())?;
    call.node().leave_cluster();
    Ok(Response::json(200, &state(call.node())?))
}

/// Has a dead member taken for one that has left.
pub fn force_leave(call: &mut Call<'_>) -> Result<Response, Problem> {
    let cluster = present(call.node())?;
    let member = named(call)?;
    if !cluster.force_leave(&member.id) && member.state != State::Left {
        let state = member.state.name();
        let detail = format!("`{}` is {state}, and only what is dead can be made to leave", member.id);
        return Err(Problem::new("invalid_state", detail)
            .with("current", state)
            .with("allowed", vec!["dead"]));
    }
    Ok(Response::json(200, &info(call.node(), &named(call)?)))
}

/// Asks another node over TCP whether it is there.
pub fn ping(call: &mut Call<'_>) -> Result<Response, Problem> {
    let timeout = call.query.span("timeout", PING_MAX)?.unwrap_or(PING).max(Duration::from_millis(1));
    let member = named(call)?;
    let took = match member.id == *of(call.node())?.id() {
        true => Duration::ZERO,
        false => reach(of(call.node())?, &member.id, timeout)?,
    };
    let body = json!({
        "id": member.id.as_str(), "address": member.address.to_string(), "state": member.state.name(),
        "round_trip_ms": took.as_micros() as f64 / 1000.0,
    });
    Ok(Response::json(200, &body))
}

fn reach(cluster: &Cluster, id: &NodeId, timeout: Duration) -> Result<Duration, Problem> {
    cluster.ping(id, timeout).map_err(|error| {
        let detail =
            format!("`{id}` has not answered within {}: {error}", humantime::format_duration(timeout));
        Problem::new("member_unreachable", detail)
    })
}
