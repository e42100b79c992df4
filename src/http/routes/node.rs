//! The node itself: what it is, how it does, its settings, its end.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::Call;
use super::super::media::Media;
use super::super::openapi;
use super::super::problem::Problem;
use super::super::response::Response;
use super::cluster::cluster_verdict;
use super::disruptor::{verdict, worst_verdict};
use crate::api::{self, CODES};
use crate::engine::Lifecycle;
use crate::node::{ReloadError, Reloaded, SettingError};
use crate::sys::process::{machine_memory, start_ticks, usage};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PAGE: &str = include_str!("../index.html");
/// The longest that the server drains because a client says so.
const DRAIN_MAX: Duration = Duration::from_secs(3600);

/// For a browser a page, for a program a list of where to go.
pub fn index(call: &mut Call<'_>) -> Result<Response, Problem> {
    if call.wanted(&[Media::Json, Media::Html, Media::Yaml, Media::MessagePack])? == Media::Html {
        let page = PAGE.replace("{version}", VERSION);
        return Ok(Response::new(200, "text/html; charset=utf-8", page)
            .header(
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
            )
            .header("X-Frame-Options", "DENY"));
    }
    let body = json!({
        "name": "badbatch",
        "version": VERSION,
        "api": "/api/v1",
        "openapi": "/openapi.json",
        "health": "/health",
        "metrics": "/metrics",
    });
    Ok(Response::json(200, &body))
}

pub fn version(_call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = json!({
        "version": VERSION,
        "api_version": "v1",
        "build_info": {"rust_version": env!("CARGO_PKG_RUST_VERSION"), "profile": PROFILE},
    });
    Ok(Response::json(200, &body))
}

const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

pub fn live(_call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &json!({"status": "alive"})))
}

pub fn ready(call: &mut Call<'_>) -> Result<Response, Problem> {
    if call.node().is_draining() {
        return Err(
            Problem::new("draining", "the server is about to end").retry_after(Duration::from_secs(1))
        );
    }
    if call.node().has_left_cluster() {
        return Err(Problem::new("leaving", "the node has left its cluster"));
    }
    Ok(Response::json(200, &json!({"status": "ready"})))
}

/// The worst of its parts; 503 if one of them has failed.
pub fn health(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptors = call.node().engine().list();
    let (mut verdicts, mut parts) = (Vec::new(), Vec::new());
    for disruptor in &disruptors {
        let (status, reasons) = verdict(disruptor);
        verdicts.push(status);
        // Names of disruptors are for who may list them.
        if call.caller.role >= crate::node::Role::Viewer
            && call.caller.reaches(disruptor.name())
            && !call.node().needs_keys()
        {
            parts.push(json!({"name": disruptor.name(), "status": status, "reasons": reasons}));
        }
    }
    let members = call.node().cluster_members();
    let mut cluster = if members.is_empty() { Value::Null } else { cluster_verdict(call.node(), &members) };
    if !cluster.is_null() {
        // What is wrong with others is no failure of this node.
        verdicts.push(if cluster["status"] == "healthy" { "healthy" } else { "degraded" });
        if call.node().needs_keys() {
            cluster = json!({"status": cluster["status"]});
        }
    }
    let worst = worst_verdict(verdicts);
    let running = disruptors.iter().filter(|disruptor| disruptor.lifecycle().0 == Lifecycle::Running).count();
    let (total, available) = machine_memory();
    let body = json!({
        "status": worst,
        "version": VERSION,
        "uptime_seconds": call.node().uptime().as_secs(),
        "active_disruptors": running,
        "draining": call.node().is_draining(),
        "memory_usage": {"used_bytes": usage().resident_bytes, "available_bytes": available, "total_bytes": total},
        "components": parts,
        "cluster": cluster,
    });
    Ok(Response::json(if worst == "unhealthy" { 503 } else { 200 }, &body))
}

pub fn describe(_call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &openapi::document()))
}

/// What a problem's code means.
pub fn explain(call: &mut Call<'_>) -> Result<Response, Problem> {
    let code = &call.parameters[0];
    let Some(kind) = api::explain(code) else {
        let known: Vec<_> = CODES.iter().map(|kind| kind.code).collect();
        let shown: String = code.chars().take(80).collect();
        let detail = format!("there is no code `{shown}`; there are {}", known.join(", "));
        return Err(Problem::new("error_not_found", detail));
    };
    Ok(Response::json(200, &kind.to_json()))
}

pub fn config(call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &call.node().settings().to_public_json()))
}

pub fn change_config(call: &mut Call<'_>) -> Result<Response, Problem> {
    let changes: Value = call.json()?;
    call.node().change_settings(&changes).map_err(Problem::invalid)?;
    config(call)
}

/// The process, for who looks after it.
pub fn process(call: &mut Call<'_>) -> Result<Response, Problem> {
    let id = std::process::id();
    let body = json!({
        "version": VERSION,
        "pid": id,
        "start_ticks": start_ticks(id),
        "uptime_seconds": call.node().uptime().as_secs(),
        "address": call.app.bound.to_string(),
        "draining": call.node().is_draining(),
    });
    Ok(Response::json(200, &body))
}

pub fn reload(call: &mut Call<'_>) -> Result<Response, Problem> {
    let Reloaded { taken, waiting, failed } = call.node().reload().map_err(|error| {
        let detail = error.to_string();
        match error {
            ReloadError::Wrong(errors) => {
                let told = |error: &SettingError| json!({"field": error.place, "message": error.message});
                let list: Value = errors.iter().map(told).collect();
                Problem::new("invalid_configuration", detail).with("errors", list)
            }
            _ => Problem::new("no_reload", detail),
        }
    })?;
    let failed: Value = failed.iter().map(|(key, reason)| json!({"key": key, "reason": reason})).collect();
    Ok(Response::json(200, &json!({"taken": taken, "waiting": waiting, "failed": failed})))
}

pub fn shut_down(call: &mut Call<'_>) -> Result<Response, Problem> {
    let drain = call.query.span("drain", DRAIN_MAX)?;
    let drain = call.node().request_shutdown(drain);
    Ok(Response::json(202, &json!({"status": "draining", "drain_ms": drain.as_millis() as u64})))
}
