//! Each endpoint and each error as rows: what is asked, and what comes back.

use serde_json::{Value, json};

use crate::support::{Running, fits};

/// Asks in this order, with JSON bodies, and compares statuses and shapes.
fn check(settings: &str, rows: &[(&str, &str, Value, u16, Value)]) {
    let server = Running::start(settings);
    let mut client = server.client();
    for (method, path, body, status, shape) in rows {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = client.ask(method, path, &[("Content-Type", "application/json")], body.as_bytes());
        assert_eq!(answer.status, *status, "{method} {path} {body}: {}", answer.text());
        assert!(!answer.header("x-request-id").is_empty(), "{method} {path}");
        if shape.is_null() {
            assert!(answer.body.is_empty(), "{method} {path}: {}", answer.text());
            continue;
        }
        assert!(
            fits(&answer.json(), shape),
            "{method} {path} {body}: {} does not fit {shape}",
            answer.text()
        );
        let is_problem = answer.header("content-type") == "application/problem+json";
        assert_eq!(is_problem, *status >= 400, "{method} {path}");
    }
    // What was in the middle of all this is still well.
    assert_eq!(client.get("/health/live").status, 200);
}

fn problem(code: &str) -> Value {
    json!({"type": format!("/errors/{code}"), "code": code, "title": "text", "status": "number", "detail": "text",
        "request_id": "text", "instance": "text"})
}

#[test]
fn a_disruptor_lives_from_its_making_to_its_end() {
    let none = Value::Null;
    let state = |name: &str| json!({"name": "a", "status": name});
    check(
        "server: {main: false}",
        &[
            ("GET", "/api/v1/disruptor", none.clone(), 200, json!({"items": [], "total": 0, "next": null})),
            (
                "POST",
                "/api/v1/disruptor",
                json!({"name": "a", "buffer_size": 8, "wait_strategy": "busy_spin"}),
                201,
                json!({"id": "text", "name": "a", "buffer_size": 8, "producer_type": "single", "wait_strategy": "busy-spin",
                    "status": "running", "created_at": "text", "last_activity": "text", "sinks": [{"kind": "count"}]}),
            ),
            (
                "POST",
                "/api/v1/disruptor",
                json!({"name": "a", "buffer_size": 8, "wait_strategy": "busy-spin"}),
                200,
                state("running"),
            ),
            ("POST", "/api/v1/disruptor", json!({"name": "a"}), 409, problem("name_taken")),
            ("GET", "/api/v1/disruptor/a", none.clone(), 200, state("running")),
            ("HEAD", "/api/v1/disruptor/a", none.clone(), 200, none.clone()),
            ("POST", "/api/v1/disruptor/a/start", none.clone(), 200, state("running")),
            ("POST", "/api/v1/disruptor/a/resume", none.clone(), 200, state("running")),
            ("POST", "/api/v1/disruptor/a/pause", none.clone(), 200, state("paused")),
            ("GET", "/api/v1/disruptor/a/status", none.clone(), 200, json!({"status": "paused"})),
            ("POST", "/api/v1/disruptor/a/events", json!({"data": 1}), 409, problem("invalid_state")),
            ("POST", "/api/v1/disruptor/a/resume", none.clone(), 200, state("running")),
            (
                "POST",
                "/api/v1/disruptor/a/events",
                json!({"data": {"n": 1}, "metadata": {"k": "v"}, "correlation_id": "c"}),
                201,
                json!({"sequence": 0, "event_id": "text", "correlation_id": "c", "published_at": "text"}),
            ),
            ("POST", "/api/v1/disruptor/a/stop", none.clone(), 200, state("stopped")),
            ("POST", "/api/v1/disruptor/a/stop?drain=1s", none.clone(), 200, state("stopped")),
            (
                "POST",
                "/api/v1/disruptor/a/pause",
                none.clone(),
                409,
                json!({"code": "invalid_state", "current": "stopped", "allowed": ["start", "reset", "delete"]}),
            ),
            (
                "GET",
                "/api/v1/disruptor/a/events/0",
                none.clone(),
                200,
                json!({"id": "text", "sequence": 0, "data": {"n": 1}, "metadata": {"k": "v"}, "correlation_id": "c", "created_at": "text", "content_type": "application/json"}),
            ),
            ("POST", "/api/v1/disruptor/a/start", none.clone(), 200, state("running")),
            ("POST", "/api/v1/disruptor/a/events", json!(2), 201, json!({"sequence": 1})),
            (
                "GET",
                "/api/v1/disruptor/a/metrics",
                none.clone(),
                200,
                json!({"disruptor_id": "text", "status": "running", "health": "healthy", "reasons": [], "buffer_size": 8,
                    "ring_used": "number", "total_events_published": 2, "total_events_processed": "number", "events_per_second": "number",
                    "avg_latency_micros": "number", "p95_latency_micros": "number", "p99_latency_micros": "number",
                    "buffer_utilization": "number", "error_count": 0, "timestamp": "text"}),
            ),
            (
                "GET",
                "/api/v1/disruptor/a/health",
                none.clone(),
                200,
                json!({"disruptor_id": "text", "status": "healthy", "uptime_seconds": "number", "last_heartbeat": "text", "details": {"reasons": []}}),
            ),
            (
                "POST",
                "/api/v1/disruptor/a/reset",
                none.clone(),
                200,
                json!({"name": "a", "status": "running", "not_handed_on": "number", "first_available": 2, "next_sequence": 2}),
            ),
            ("GET", "/api/v1/disruptor/a/events/1", none.clone(), 410, json!({"first_available": 2})),
            (
                "GET",
                "/api/v1/disruptor/a/metrics",
                none.clone(),
                200,
                json!({"total_events_published": 0, "total_events_processed": 0, "p99_latency_micros": 0.0, "error_count": 0,
                    "rejected": {"ring_full": 0, "rate_limited": 0, "wrong_state": 0}}),
            ),
            ("POST", "/api/v1/disruptor/a/events", json!(3), 201, json!({"sequence": 2})),
            ("DELETE", "/api/v1/disruptor/a", none.clone(), 204, none.clone()),
            ("GET", "/api/v1/disruptor/a", none.clone(), 404, problem("disruptor_not_found")),
            ("PUT", "/api/v1/disruptor/b", none.clone(), 201, json!({"name": "b"})),
            ("PUT", "/api/v1/disruptor/b", json!({"buffer_size": 1024}), 200, json!({"name": "b"})),
            ("PUT", "/api/v1/disruptor/b", json!({"buffer_size": 64}), 409, problem("name_taken")),
            (
                "PUT",
                "/api/v1/disruptor/c?start=false",
                json!({"name": "c"}),
                201,
                json!({"status": "created"}),
            ),
            ("PUT", "/api/v1/disruptor/c", json!({"name": "d"}), 400, problem("invalid_request")),
            (
                "GET",
                "/api/v1/disruptor?sort=-name&limit=1",
                none.clone(),
                200,
                json!({"items": [{"name": "c"}], "total": 2, "offset": 0, "limit": 1, "next": 1}),
            ),
            ("GET", "/api/v1/disruptor?status=created&name=c", none.clone(), 200, json!({"total": 1})),
            (
                "GET",
                "/api/v1/disruptor?status=create",
                none.clone(),
                400,
                json!({"errors": [{"field": "status"}]}),
            ),
            ("DELETE", "/api/v1/disruptor/c?force=true", none, 204, Value::Null),
        ],
    );
}

#[test]
fn everything_about_the_node_can_be_asked() {
    let none = Value::Null;
    let health = json!({"status": "healthy", "version": "text", "uptime_seconds": "number", "active_disruptors": 1,
        "memory_usage": {"used_bytes": "number", "available_bytes": "number", "total_bytes": "number"},
        "components": [{"name": "main", "status": "healthy"}], "cluster": null});
    let metrics = json!({"version": "text", "uptime_seconds": "number", "health": "healthy",
        "process": {"cpu_seconds": "number", "resident_bytes": "number", "threads": "number", "open_files": "number"},
        "disruptors": [{"name": "main", "status": "running"}], "rejected": {"ring_full": 0},
        "p50_latency_micros": "number", "total_events_processed": 0, "events_per_second": "number", "avg_latency_micros": "number",
        "p95_latency_micros": "number", "p99_latency_micros": "number", "error_count": 0, "timestamp": "text"});
    check(
        "",
        &[
            ("GET", "/", none.clone(), 200, json!({"name": "badbatch", "api": "/api/v1"})),
            ("GET", "/health", none.clone(), 200, health.clone()),
            ("GET", "/api/v1/health", none.clone(), 200, health),
            ("GET", "/health/live", none.clone(), 200, json!({"status": "alive"})),
            ("GET", "/health/ready", none.clone(), 200, json!({"status": "ready"})),
            ("GET", "/metrics?format=json", none.clone(), 200, metrics.clone()),
            ("GET", "/api/v1/metrics", none.clone(), 200, metrics),
            (
                "GET",
                "/api/v1/version",
                none.clone(),
                200,
                json!({"version": "text", "api_version": "v1", "build_info": {"rust_version": "text"}}),
            ),
            ("GET", "/openapi.json", none.clone(), 200, json!({"openapi": "3.1.0"})),
            (
                "GET",
                "/errors/ring_full",
                none.clone(),
                200,
                json!({"code": "ring_full", "status": 503, "title": "text", "explanation": "text"}),
            ),
            ("GET", "/errors/nothing", none.clone(), 404, problem("error_not_found")),
            (
                "GET",
                "/api/v1/history",
                none.clone(),
                200,
                json!({"series": "published", "step_ms": 5000, "items": [{"disruptor": "main"}]}),
            ),
            (
                "GET",
                "/api/v1/history?series=ring_used&window=10m",
                none.clone(),
                200,
                json!({"series": "ring_used"}),
            ),
            ("GET", "/api/v1/history?series=x", none.clone(), 400, problem("invalid_request")),
            ("GET", "/api/v1/config", none.clone(), 200, json!({"settings": "*", "disruptors": []})),
            (
                "PATCH",
                "/api/v1/config",
                json!({"server": {"drain_timeout": "5s"}}),
                200,
                json!({"settings": "*"}),
            ),
            (
                "PATCH",
                "/api/v1/config",
                json!({"server": {"bind_addr": "127.0.0.1:1"}}),
                400,
                problem("invalid_request"),
            ),
            ("GET", "/api/v1/key", none.clone(), 200, json!({"items": [], "total": 0})),
            ("POST", "/api/v1/key", json!({"name": "n", "role": "root"}), 400, problem("invalid_request")),
            ("DELETE", "/api/v1/key/x", none.clone(), 404, problem("key_not_found")),
            (
                "GET",
                "/api/v1/server",
                none.clone(),
                200,
                json!({"version": "text", "pid": "number", "start_ticks": "number", "uptime_seconds": "number",
                    "address": "text", "draining": false}),
            ),
            ("POST", "/api/v1/server/reload", none.clone(), 409, problem("no_reload")),
            ("POST", "/api/v1/server/shutdown?drain=2h", none.clone(), 400, problem("invalid_request")),
            (
                "POST",
                "/api/v1/server/shutdown?drain=3s",
                none.clone(),
                202,
                json!({"status": "draining", "drain_ms": 3000}),
            ),
            ("GET", "/health/ready", none.clone(), 503, problem("draining")),
            ("POST", "/api/v1/disruptor/main/events", json!(1), 503, problem("draining")),
            ("GET", "/api/v1/disruptor/main/events", none, 200, json!({"items": []})),
        ],
    );
}

#[test]
fn every_wrong_request_is_told_what_is_wrong() {
    let none = Value::Null;
    let (missing, invalid) = (problem("disruptor_not_found"), problem("invalid_request"));
    let field =
        |name: &str| json!({"code": "invalid_request", "errors": [{"field": name, "message": "text"}]});
    let size = json!({"errors": [{"field": "buffer_size", "message": "1000 is not a power of two; nearest are 512 and 1024"}]});
    let hint = json!({"errors": [{"field": "from_sequnce", "hint": "did you mean from_sequence?"}]});
    let events = "/api/v1/disruptor/main/events";
    check(
        "",
        &[
            ("GET", "/nothing", none.clone(), 404, problem("route_not_found")),
            ("PUT", "/health", none.clone(), 405, problem("method_not_allowed")),
            ("POST", "/api/v1/disruptor", json!({"name": "a", "buffer_size": 1000}), 400, size),
            ("POST", "/api/v1/disruptor", json!({"name": "../a"}), 400, field("name")),
            (
                "POST",
                "/api/v1/disruptor",
                json!({"name": "a", "sinks": [{"kind": "forward", "to": "a"}]}),
                400,
                field("sinks"),
            ),
            (
                "POST",
                "/api/v1/disruptor",
                json!({"name": "a", "sinks": [{"kind": "file", "path": "/etc/x"}]}),
                400,
                field("sinks"),
            ),
            ("POST", "/api/v1/disruptor", json!([1]), 400, field("body")),
            ("GET", "/api/v1/disruptor?limit=0", none.clone(), 400, field("limit")),
            ("GET", "/api/v1/disruptor?limit=1&limit=2", none.clone(), 400, field("limit")),
            ("GET", "/api/v1/disruptor?sort=size", none.clone(), 400, field("sort")),
            ("GET", "/api/v1/disruptor?x=%FF", none.clone(), 400, field("query")),
            ("GET", "/api/v1/disruptor/%FF", none.clone(), 400, field("path")),
            ("GET", "/api/v1/disruptor/a%00b", none.clone(), 400, field("path")),
            ("GET", "/api/v1/disruptor/..%2Fmain", none.clone(), 404, missing.clone()),
            (
                "GET",
                "/api/v1/disruptor/mian",
                none.clone(),
                404,
                json!({"detail": "there is no disruptor `mian`; did you mean `main`?"}),
            ),
            ("POST", "/api/v1/disruptor/x/events", json!(1), 404, missing.clone()),
            ("POST", "/api/v1/disruptor/x/events/bulk", json!(1), 404, missing.clone()),
            ("GET", "/api/v1/disruptor/x/events/stream", none.clone(), 404, missing),
            ("POST", events, json!({"data": null}), 400, field("data")),
            ("POST", events, none.clone(), 400, field("body")),
            ("POST", &format!("{events}?wait=forever"), json!(1), 400, field("wait")),
            ("POST", &format!("{events}?wait=61s"), json!(1), 400, field("wait")),
            ("POST", &format!("{events}/batch"), json!({"events": []}), 400, field("events")),
            ("POST", &format!("{events}/batch"), json!({"events": vec![1; 1001]}), 400, field("events")),
            (
                "POST",
                &format!("{events}/batch"),
                json!({"events": [1, {"data": null}]}),
                400,
                field("events[1].data"),
            ),
            ("POST", &format!("{events}/batch"), json!({"event": [1]}), 400, field("body")),
            ("GET", &format!("{events}/0"), none.clone(), 404, json!({"code": "event_not_found", "next": 0})),
            ("GET", &format!("{events}/-1"), none.clone(), 400, field("sequence")),
            ("GET", &format!("{events}?from_sequnce=1"), none.clone(), 400, hint),
            ("GET", &format!("{events}?format=xml"), none.clone(), 406, problem("not_acceptable")),
            ("GET", "/api/v1/stream?topics=galaxy", none.clone(), 400, field("topics")),
            ("GET", "/api/v1/stream?topics=cluster", none.clone(), 409, problem("cluster_disabled")),
            ("GET", "/api/v1/cluster", none.clone(), 409, problem("cluster_disabled")),
            ("GET", "/api/v1/cluster/members", none.clone(), 409, problem("cluster_disabled")),
            ("POST", "/api/v1/cluster/leave", none.clone(), 409, problem("cluster_disabled")),
            ("POST", "/api/v1/cluster/join", json!({"address": "a:1"}), 409, problem("cluster_disabled")),
            ("GET", "/api/v1/cluster/keys", none.clone(), 409, problem("cluster_disabled")),
            ("POST", "/api/v1/batch/events", json!({}), 400, invalid),
            ("OPTIONS", events, none, 204, Value::Null),
        ],
    );
}
