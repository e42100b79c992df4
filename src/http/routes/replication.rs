//! The copies of a disruptor on other nodes: seen, and a new home made.

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::problem::Problem;
use super::super::response::Response;
use crate::engine::NamedDisruptor;
use crate::replication::{FollowerReport, PromoteError, Report};

pub fn read(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    Ok(Response::json(200, &shown(call, &disruptor)?))
}

pub fn promote(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let by_force = call.query.boolean("force")?.unwrap_or(false);
    let replication = call.node().replication().ok_or_else(|| no_replicas(disruptor.name()))?;
    replication.promote(disruptor.name(), by_force).map_err(|error| {
        let detail = error.to_string();
        match error {
            PromoteError::Uncertain { reached, wanted } => {
                Problem::new("copies_missing", detail).with("reached", reached).with("wanted", wanted)
            }
            PromoteError::Failed(_) => {
                Problem::new("no_home", detail).retry_after(std::time::Duration::from_secs(1))
            }
            _ => no_replicas(disruptor.name()),
        }
    })?;
    Ok(Response::json(200, &shown(call, &disruptor)?))
}

fn no_replicas(name: &str) -> Problem {
    Problem::new("not_replicated", format!("disruptor `{name}` has no replicas"))
}

fn shown(call: &Call<'_>, disruptor: &NamedDisruptor) -> Result<Value, Problem> {
    let report = call.node().replication().and_then(|replication| replication.report(disruptor.name()));
    let Report {
        part, epoch, home, nodes, start, end, is_complete, wanted, reached, followers, trouble, ..
    } = report.ok_or_else(|| no_replicas(disruptor.name()))?;
    let definition = disruptor.definition();
    Ok(json!({
        "name": disruptor.name(),
        "part": part,
        "home": home,
        "epoch": epoch,
        "nodes": nodes,
        "first_available": start,
        "next_sequence": end,
        "complete": is_complete,
        "replicas": definition.replicas,
        "consistency": definition.consistency.name(),
        "replication_timeout_ms": definition.replication_timeout.as_millis() as u64,
        "wanted": wanted,
        "reached": reached,
        "timeouts": disruptor.replication_timeouts(),
        "followers": followers.iter().map(follower).collect::<Vec<_>>(),
        "trouble": trouble,
    }))
}

fn follower(follower: &FollowerReport) -> Value {
    json!({
        "node": follower.node,
        "next_sequence": follower.end,
        "lag": follower.lag,
        "counts": follower.counts,
        "connected": follower.is_connected,
        "batches": follower.batches,
        "bytes": follower.bytes,
        "trouble": follower.trouble,
    })
}
