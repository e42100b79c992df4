//! Disruptors: made, listed, started, stopped, watched.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::{Call, WAIT_MAX};
use super::super::problem::Problem;
use super::super::response::Response;
use crate::engine::{Definition, EngineError, Lifecycle, NamedDisruptor, Whereabouts, rfc3339};

/// How long a stop waits for the sinks unless the client says otherwise.
const DRAIN: Duration = Duration::from_secs(10);

pub fn create(call: &mut Call<'_>) -> Result<Response, Problem> {
    let json = call.json()?;
    make(call, &json, None)
}

pub fn put(call: &mut Call<'_>) -> Result<Response, Problem> {
    let json = if call.body.is_empty() { json!({}) } else { call.json()? };
    let name = call.parameters[0].clone();
    make(call, &json, Some(&name))
}

fn make(call: &Call<'_>, json: &Value, name: Option<&str>) -> Result<Response, Problem> {
    let starts = call.query.boolean("start")?.unwrap_or(true);
    let defaults = call.node().settings().defaults();
    let definition = Definition::from_json(json, name, &defaults).map_err(Problem::invalid)?;
    call.caller.must_reach(&definition.name)?;
    let (disruptor, is_new) = call.node().create(definition, starts)?;
    let status = if is_new { 201 } else { 200 };
    let location = format!("/api/v1/disruptor/{}", disruptor.name());
    Ok(Response::json(status, &info(&disruptor)).header("Location", location))
}

pub fn list(call: &mut Call<'_>) -> Result<Response, Problem> {
    let limit = call.query.integer("limit", 1, 500)?.unwrap_or(50) as usize;
    let offset = call.query.integer("offset", 0, 1_000_000)?.unwrap_or(0) as usize;
    let (name, status) = (call.query.text("name"), call.query.text("status"));
    if let Some(status) = status.filter(|status| Lifecycle::ALL.iter().all(|known| known.name() != *status)) {
        let known: Vec<_> = Lifecycle::ALL.iter().map(|known| known.name()).collect();
        let shown: String = status.chars().take(80).collect();
        return Err(Problem::field("status", format!("`{shown}` is not one of {}", known.join(", "))));
    }
    let mut found = call.node().engine().list();
    found.retain(|disruptor| {
        call.caller.reaches(disruptor.name())
            && name.is_none_or(|name| disruptor.name().contains(name))
            && status.is_none_or(|status| disruptor.lifecycle().0.name() == status)
    });
    match call.query.text("sort").unwrap_or("name") {
        "name" => {}
        "-name" => found.reverse(),
        "created_at" => found.sort_by_key(|disruptor| disruptor.id()),
        "-created_at" => found.sort_by_key(|disruptor| std::cmp::Reverse(disruptor.id())),
        other => {
            let shown: String = other.chars().take(80).collect();
            let message = format!("`{shown}` is not one of name, -name, created_at, -created_at");
            return Err(Problem::field("sort", message));
        }
    }
    let total = found.len();
    let items: Vec<_> = found.iter().skip(offset).take(limit).map(|disruptor| info(disruptor)).collect();
    let end = offset.saturating_add(limit);
    let next = (end < total).then_some(end);
    Ok(Response::json(
        200,
        &json!({"items": items, "total": total, "offset": offset, "limit": limit, "next": next}),
    ))
}

pub fn read(call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &info(&*call.disruptor()?)))
}

pub fn delete(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let drain = call.query.span("drain", WAIT_MAX)?.unwrap_or(DRAIN);
    if call.query.boolean("force")?.unwrap_or(false) {
        disruptor.halt();
    }
    match drained(call, &disruptor, drain) {
        // What has failed, or is a copy that nobody feeds, has nothing more to drain.
        Ok(()) | Err(EngineError::Failed { .. } | EngineError::NoHome { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    call.node().delete(&disruptor, Duration::ZERO)?;
    Ok(Response::empty(204))
}

pub fn start(call: &mut Call<'_>) -> Result<Response, Problem> {
    changed(call, NamedDisruptor::start)
}

pub fn stop(call: &mut Call<'_>) -> Result<Response, Problem> {
    let drain = call.query.span("drain", WAIT_MAX)?.unwrap_or(DRAIN);
    changed(call, |disruptor| drained(call, disruptor, drain))
}

/// Stops a disruptor step by step, so that the server's own end does not wait for it.
fn drained(call: &Call<'_>, disruptor: &NamedDisruptor, timeout: Duration) -> Result<(), EngineError> {
    const STEP: Duration = Duration::from_millis(250);
    let mut left = timeout;
    loop {
        match disruptor.stop(left.min(STEP)) {
            Err(EngineError::DrainTimedOut { name, left: events, .. })
                if left <= STEP || call.node().is_draining() =>
            {
                return Err(EngineError::DrainTimedOut { name, left: events, waited: timeout });
            }
            Err(EngineError::DrainTimedOut { .. }) => left -= STEP,
            other => return other,
        }
    }
}

pub fn pause(call: &mut Call<'_>) -> Result<Response, Problem> {
    changed(call, NamedDisruptor::pause)
}

pub fn resume(call: &mut Call<'_>) -> Result<Response, Problem> {
    changed(call, NamedDisruptor::resume)
}

fn changed(
    call: &Call<'_>,
    change: impl Fn(&NamedDisruptor) -> Result<(), EngineError>,
) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    change(&disruptor)?;
    call.node().keep_disruptors();
    Ok(Response::json(200, &info(&disruptor)))
}

pub fn reset(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let left = disruptor.reset()?;
    call.node().keep_disruptors();
    let mut body = info(&disruptor);
    body["not_handed_on"] = json!(left);
    Ok(Response::json(200, &body))
}

pub fn status(call: &mut Call<'_>) -> Result<Response, Problem> {
    let (lifecycle, reason) = call.disruptor()?.lifecycle();
    Ok(Response::json(200, &json!({"status": lifecycle.name(), "reason": reason})))
}

pub fn metrics(call: &mut Call<'_>) -> Result<Response, Problem> {
    Ok(Response::json(200, &numbers(&*call.disruptor()?)))
}

pub fn health(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let (status, reasons) = verdict(&disruptor);
    let uptime =
        call.node().clock().unix_micros().saturating_sub(disruptor.created_unix_micros()) / 1_000_000;
    let body = json!({
        "disruptor_id": disruptor.id().to_string(),
        "name": disruptor.name(),
        "status": status,
        "uptime_seconds": uptime,
        "last_heartbeat": rfc3339(call.node().clock().unix_micros()).to_string(),
        "details": {"reasons": reasons, "sinks": sinks(&disruptor)},
    });
    Ok(Response::json(200, &body))
}

/// A disruptor as it is shown.
pub fn info(disruptor: &NamedDisruptor) -> Value {
    let (lifecycle, reason) = disruptor.lifecycle();
    let mut json = disruptor.definition().to_public_json();
    let object = json.as_object_mut().expect("a definition is an object");
    object.insert("id".to_owned(), json!(disruptor.id().to_string()));
    object.insert("status".to_owned(), json!(lifecycle.name()));
    object.insert("reason".to_owned(), json!(reason));
    object.insert("created_at".to_owned(), json!(rfc3339(disruptor.created_unix_micros()).to_string()));
    object.insert(
        "last_activity".to_owned(),
        json!(rfc3339(disruptor.last_activity_unix_micros()).to_string()),
    );
    object.insert("first_available".to_owned(), json!(disruptor.first_available()));
    object.insert("next_sequence".to_owned(), json!(disruptor.next_sequence()));
    json
}

/// A disruptor's numbers.
pub fn numbers(disruptor: &NamedDisruptor) -> Value {
    let reports = disruptor.sink_reports();
    let latency = disruptor.latency().snapshot();
    let micros = |nanos: Duration| nanos.as_nanos() as f64 / 1000.0;
    let rejections = disruptor.rejections();
    let (health, reasons) = verdict(disruptor);
    json!({
        "disruptor_id": disruptor.id().to_string(),
        "name": disruptor.name(),
        "status": disruptor.lifecycle().0.name(),
        "health": health,
        "reasons": reasons,
        "buffer_size": disruptor.definition().buffer_size,
        "ring_used": disruptor.used(),
        "total_events_published": disruptor.published(),
        "total_events_processed": reports.iter().map(|sink| sink.handled).min().unwrap_or(0),
        "events_per_second": disruptor.events_per_second(),
        "avg_latency_micros": micros(latency.mean()),
        "p50_latency_micros": micros(latency.quantile(0.5)),
        "p95_latency_micros": micros(latency.quantile(0.95)),
        "p99_latency_micros": micros(latency.quantile(0.99)),
        "buffer_utilization": disruptor.used() as f64 / disruptor.definition().buffer_size as f64,
        "error_count": reports.iter().map(|sink| sink.errors).sum::<u64>(),
        "rejected": {
            "ring_full": rejections.ring_full.value(),
            "rate_limited": rejections.rate_limited.value(),
            "wrong_state": rejections.wrong_state.value(),
        },
        "sinks": sinks(disruptor),
        "timestamp": rfc3339(std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64)).to_string(),
    })
}

fn sinks(disruptor: &NamedDisruptor) -> Value {
    let sink = |sink: crate::engine::SinkReport| {
        json!({
            "name": sink.name, "lag": sink.lag, "handled": sink.handled, "errors": sink.errors,
            "trouble": sink.trouble, "stalled": sink.is_stalled,
        })
    };
    disruptor.sink_reports().into_iter().map(sink).collect()
}

/// How a disruptor does, and why.
pub fn verdict(disruptor: &NamedDisruptor) -> (&'static str, Vec<String>) {
    let (lifecycle, reason) = disruptor.lifecycle();
    if lifecycle == Lifecycle::Failed {
        return ("unhealthy", reason.into_iter().collect());
    }
    let reports = disruptor.sink_reports();
    let mut reasons: Vec<String> = Vec::new();
    if let Some(Whereabouts::Nowhere(reason)) = disruptor.whereabouts() {
        reasons.push(format!("it has no home: {reason}"));
    }
    for sink in reports {
        if let Some(trouble) = sink.trouble {
            reasons.push(format!("sink `{}`: {trouble}", sink.name));
        } else if sink.is_stalled {
            reasons.push(format!("sink `{}` is {} events behind and makes no progress", sink.name, sink.lag));
        }
    }
    let status = match (lifecycle, reasons.is_empty()) {
        (_, false) => "degraded",
        (Lifecycle::Running, true) => "healthy",
        _ => "unknown",
    };
    (status, reasons)
}

/// The worst of some verdicts.
pub fn worst_verdict(verdicts: impl IntoIterator<Item = &'static str>) -> &'static str {
    let mut worst = "healthy";
    for verdict in verdicts {
        worst = match (worst, verdict) {
            ("unhealthy", _) | (_, "unhealthy") => "unhealthy",
            ("degraded", _) | (_, "degraded") => "degraded",
            (worst, _) => worst,
        };
    }
    worst
}
