//! Every route.

mod cluster;

use super::super::media::Media;
use super::event::EVENT_MEDIA;
use super::stream::STREAM_MEDIA;
use super::{
    Body, Parameter, Route, Success, Work, bulk, disruptor, event, key, metrics, node, replication, stream,
};
use crate::node::Role;

const STRUCTURED: &[Media] = &[Media::Json, Media::Yaml, Media::MessagePack];
const LISTED: &[Media] = &[Media::Json, Media::Yaml, Media::MessagePack, Media::Lines, Media::Text];
const RAW: &[Media] = &[Media::Json, Media::Yaml, Media::MessagePack, Media::Bytes];
const SMALL: usize = 64 << 10;
/// A payload of the largest size as Base64 or with escapes, and what is around it.
const EVENT_BYTES: usize = 2 << 20;
const BATCH_BYTES: usize = 4 << 20;
const BULK_BYTES: usize = 16 << 20;

const fn parameter(name: &'static str, about: &'static str, schema: &'static str) -> Parameter {
    Parameter { name, about, schema }
}

const SPAN: &str =
    r#"{"type": "string", "pattern": "^([0-9]{1,4}(ms)?|[0-5]?[0-9]s|60s)$", "examples": ["250ms"]}"#;
const WINDOW: &str = r#"{"type": "string", "pattern": "^([0-9]{1,6}(ms)?|[0-9]{1,3}s|[0-5]?[0-9]m|1h)$", "examples": ["10m"]}"#;
const SEQUENCE: &str = r#"{"type": "integer", "minimum": 0, "maximum": 9223372036854775807}"#;
const SWITCH: &str = r#"{"type": "boolean"}"#;
const WAIT: Parameter = parameter("wait", "How long to wait for room in the ring, up to 60s.", SPAN);
const WAIT_FOR_EVENTS: Parameter = parameter("wait", "How long to wait for an event, up to 60s.", SPAN);
const DRAIN: Parameter = parameter("drain", "How long to wait for the sinks, up to 60s.", SPAN);
const FROM: Parameter = parameter("from_sequence", "The first event.", SEQUENCE);

const fn ok(about: &'static str, schema: &'static str) -> Success {
    Success { status: 200, about, media: STRUCTURED, schema }
}

const fn body(schema: &'static str) -> Option<Body> {
    Some(Body { media: STRUCTURED, schema, is_required: true })
}

/// A route that is read, with everything else at its usual.
const fn get(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    about: &'static str,
    work: Work,
) -> Route {
    Route {
        method: "GET",
        path,
        id,
        tag,
        about,
        role: Some(Role::Viewer),
        query: &[],
        body: None,
        body_max: 0,
        success: &[],
        problems: &[],
        is_idempotent: false,
        work,
    }
}

const fn post(
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    about: &'static str,
    work: Work,
) -> Route {
    Route { method: "POST", role: Some(Role::Admin), ..get(path, id, tag, about, work) }
}

const NO_DISRUPTOR: &[&str] = &["disruptor_not_found"];
const NO_CHANGE: &[&str] =
    &["disruptor_not_found", "invalid_state", "disruptor_failed", "draining", "not_home", "no_home"];
const NO_PUBLISH: &[&str] = &[
    "disruptor_not_found",
    "invalid_state",
    "disruptor_failed",
    "draining",
    "payload_too_large",
    "batch_too_large",
    "unsupported_media_type",
    "idempotency_in_progress",
    "idempotency_conflict",
    "rate_limited",
    "ring_full",
    "not_home",
    "no_home",
    "not_enough_replicas",
    "replication_timeout",
];
const NO_CREATE: &[&str] = &[
    "name_taken",
    "too_many",
    "disruptor_failed",
    "draining",
    "payload_too_large",
    "unsupported_media_type",
    "idempotency_in_progress",
    "idempotency_conflict",
];

/// Every route. Where two paths fit, the first one is taken.
pub const ROUTES: &[Route] =
    &joined::<{ NODE_ROUTES.len() + cluster::ROUTES.len() }>(NODE_ROUTES, cluster::ROUTES);

const fn joined<const COUNT: usize>(first: &[Route], second: &[Route]) -> [Route; COUNT] {
    let mut all = [first[0]; COUNT];
    let mut place = 1;
    while place < COUNT {
        all[place] = if place < first.len() { first[place] } else { second[place - first.len()] };
        place += 1;
    }
    all
}

const NODE_ROUTES: &[Route] = &[
    Route {
        role: None,
        success: &[Success {
            status: 200,
            about: "Where to go from here.",
            media: &[Media::Json, Media::Yaml, Media::MessagePack, Media::Html],
            schema: "Index",
        }],
        ..get("/", "index", "health", "Says what this is", Work::Answer(node::index))
    },
    Route {
        role: None,
        success: &[
            ok("Healthy, or degraded.", "Health"),
            Success { status: 503, about: "A disruptor has failed.", media: STRUCTURED, schema: "Health" },
        ],
        ..get("/health", "health", "health", "Tells how the node does", Work::Answer(node::health))
    },
    Route {
        role: None,
        success: &[ok("The process answers.", "Status")],
        ..get("/health/live", "live", "health", "Tells that the process answers", Work::Answer(node::live))
    },
    Route {
        role: None,
        success: &[ok("Requests are welcome.", "Status")],
        problems: &["draining", "leaving"],
        ..get(
            "/health/ready",
            "ready",
            "health",
            "Tells whether requests are welcome",
            Work::Answer(node::ready),
        )
    },
    Route {
        success: &[Success {
            status: 200,
            about: "The numbers.",
            media: &[Media::Text, Media::Json, Media::Yaml, Media::MessagePack],
            schema: "Metrics",
        }],
        ..get(
            "/metrics",
            "metrics",
            "node",
            "Gives the numbers in Prometheus's form, or as JSON",
            Work::Answer(metrics::page),
        )
    },
    Route {
        success: &[Success { status: 200, about: "The numbers.", media: &[Media::Text], schema: "" }],
        ..get(
            "/metrics/detailed",
            "metrics_detailed",
            "node",
            "Gives the numbers of every disruptor",
            Work::Answer(metrics::detailed),
        )
    },
    Route {
        role: None,
        success: &[ok("This document.", "Document")],
        ..get("/openapi.json", "openapi", "health", "Describes this interface", Work::Answer(node::describe))
    },
    Route {
        role: None,
        success: &[ok("What it means and what to do.", "ErrorCode")],
        problems: &["error_not_found"],
        ..get(
            "/errors/{code}",
            "explain_error",
            "health",
            "Explains an error's code",
            Work::Answer(node::explain),
        )
    },
    Route {
        role: None,
        success: &[
            ok("Healthy, or degraded.", "Health"),
            Success { status: 503, about: "A disruptor has failed.", media: STRUCTURED, schema: "Health" },
        ],
        ..get("/api/v1/health", "api_health", "health", "Tells how the node does", Work::Answer(node::health))
    },
    Route {
        success: &[ok("The numbers.", "Metrics")],
        ..get(
            "/api/v1/metrics",
            "api_metrics",
            "node",
            "Gives the numbers as JSON",
            Work::Answer(metrics::summary),
        )
    },
    Route {
        query: &[
            parameter(
                "series",
                "Which number.",
                r#"{"enum": ["published", "processed", "errors", "ring_used"]}"#,
            ),
            parameter("window", "How far back, up to an hour.", WINDOW),
        ],
        success: &[ok(
            "A list of points for each disruptor, each the seconds since 1970 and the number.",
            "History",
        )],
        ..get(
            "/api/v1/history",
            "history",
            "node",
            "Gives the numbers of the last hour",
            Work::Answer(metrics::history),
        )
    },
    Route {
        role: None,
        success: &[ok("The version.", "Version")],
        ..get("/api/v1/version", "version", "health", "Tells the version", Work::Answer(node::version))
    },
    Route {
        query: &[parameter("start", "Whether it starts at once.", SWITCH)],
        body: body("CreateDisruptor"),
        body_max: SMALL,
        success: &[
            Success { status: 201, about: "It was made.", media: STRUCTURED, schema: "Disruptor" },
            ok("It was there, defined in the same way.", "Disruptor"),
        ],
        problems: NO_CREATE,
        is_idempotent: true,
        ..post(
            "/api/v1/disruptor",
            "create_disruptor",
            "disruptor",
            "Makes a disruptor",
            Work::Wait(disruptor::create),
        )
    },
    Route {
        query: &[
            parameter(
                "offset",
                "How many to leave out.",
                r#"{"type": "integer", "minimum": 0, "maximum": 1000000}"#,
            ),
            parameter("limit", "How many to give.", r#"{"type": "integer", "minimum": 1, "maximum": 500}"#),
            parameter("name", "Only those with this in their names.", r#"{"type": "string"}"#),
            parameter(
                "status",
                "Only those in this state.",
                r#"{"enum": ["created", "running", "paused", "draining", "stopped", "failed", "following"]}"#,
            ),
            parameter("sort", "By what.", r#"{"enum": ["name", "-name", "created_at", "-created_at"]}"#),
        ],
        success: &[ok("Some of them.", "DisruptorList")],
        ..get(
            "/api/v1/disruptor",
            "list_disruptors",
            "disruptor",
            "Lists the disruptors",
            Work::Answer(disruptor::list),
        )
    },
    Route {
        success: &[ok("The disruptor.", "Disruptor")],
        problems: NO_DISRUPTOR,
        ..get(
            "/api/v1/disruptor/{id}",
            "read_disruptor",
            "disruptor",
            "Shows a disruptor",
            Work::Answer(disruptor::read),
        )
    },
    Route {
        method: "PUT",
        query: &[parameter("start", "Whether it starts at once.", SWITCH)],
        body: Some(Body { media: STRUCTURED, schema: "PutDisruptor", is_required: false }),
        body_max: SMALL,
        success: &[
            Success { status: 201, about: "It was made.", media: STRUCTURED, schema: "Disruptor" },
            ok("It was there, defined in the same way.", "Disruptor"),
        ],
        problems: NO_CREATE,
        ..post(
            "/api/v1/disruptor/{id}",
            "put_disruptor",
            "disruptor",
            "Makes a disruptor with this name, or finds it there",
            Work::Wait(disruptor::put),
        )
    },
    Route {
        method: "DELETE",
        query: &[DRAIN, parameter("force", "Whether to end the sinks where they are.", SWITCH)],
        success: &[Success { status: 204, about: "It is gone.", media: &[], schema: "" }],
        problems: &["disruptor_not_found", "invalid_state", "draining", "drain_timed_out"],
        ..post(
            "/api/v1/disruptor/{id}",
            "delete_disruptor",
            "disruptor",
            "Drains a disruptor and deletes it",
            Work::Wait(disruptor::delete),
        )
    },
    Route {
        success: &[ok("It runs.", "Disruptor")],
        problems: NO_CHANGE,
        ..post(
            "/api/v1/disruptor/{id}/start",
            "start_disruptor",
            "disruptor",
            "Starts a disruptor",
            Work::Answer(disruptor::start),
        )
    },
    Route {
        query: &[DRAIN],
        success: &[ok("It has stopped.", "Disruptor")],
        problems: &[
            "disruptor_not_found",
            "invalid_state",
            "disruptor_failed",
            "draining",
            "drain_timed_out",
        ],
        ..post(
            "/api/v1/disruptor/{id}/stop",
            "stop_disruptor",
            "disruptor",
            "Drains a disruptor and stops it",
            Work::Wait(disruptor::stop),
        )
    },
    Route {
        success: &[ok("It takes no events.", "Disruptor")],
        problems: NO_CHANGE,
        ..post(
            "/api/v1/disruptor/{id}/pause",
            "pause_disruptor",
            "disruptor",
            "Lets a disruptor take no events for a while",
            Work::Answer(disruptor::pause),
        )
    },
    Route {
        success: &[ok("It takes events.", "Disruptor")],
        problems: NO_CHANGE,
        ..post(
            "/api/v1/disruptor/{id}/resume",
            "resume_disruptor",
            "disruptor",
            "Lets a paused disruptor go on",
            Work::Answer(disruptor::resume),
        )
    },
    Route {
        success: &[ok("It runs, and is empty.", "DisruptorReset")],
        problems: &[
            "disruptor_not_found",
            "disruptor_failed",
            "draining",
            "not_home",
            "no_home",
            "idempotency_in_progress",
            "idempotency_conflict",
        ],
        is_idempotent: true,
        ..post(
            "/api/v1/disruptor/{id}/reset",
            "reset_disruptor",
            "disruptor",
            "Halts a disruptor, forgets its events and numbers, and starts it anew",
            Work::Wait(disruptor::reset),
        )
    },
    Route {
        success: &[ok("Who has copies, and how far they are.", "Replication")],
        problems: &["disruptor_not_found", "not_replicated"],
        ..get(
            "/api/v1/disruptor/{id}/replication",
            "disruptor_replication",
            "disruptor",
            "Tells where a disruptor's home is, and how far its copies are",
            Work::Answer(replication::read),
        )
    },
    Route {
        query: &[parameter("force", "Even if something that was acknowledged could be lost.", SWITCH)],
        success: &[ok("This node is the home.", "Replication")],
        problems: &["disruptor_not_found", "not_replicated", "copies_missing", "no_home", "draining"],
        ..post(
            "/api/v1/disruptor/{id}/promote",
            "promote_disruptor",
            "disruptor",
            "Makes this node the home of a disruptor that it has a copy of",
            Work::Wait(replication::promote),
        )
    },
    Route {
        success: &[ok("Its numbers.", "DisruptorMetrics")],
        problems: NO_DISRUPTOR,
        ..get(
            "/api/v1/disruptor/{id}/metrics",
            "disruptor_metrics",
            "disruptor",
            "Gives a disruptor's numbers",
            Work::Answer(disruptor::metrics),
        )
    },
    Route {
        success: &[ok("How it does.", "DisruptorHealth")],
        problems: NO_DISRUPTOR,
        ..get(
            "/api/v1/disruptor/{id}/health",
            "disruptor_health",
            "disruptor",
            "Tells how a disruptor does",
            Work::Answer(disruptor::health),
        )
    },
    Route {
        success: &[ok("Its state.", "Status")],
        problems: NO_DISRUPTOR,
        ..get(
            "/api/v1/disruptor/{id}/status",
            "disruptor_status",
            "disruptor",
            "Tells a disruptor's state",
            Work::Answer(disruptor::status),
        )
    },
    Route {
        role: Some(Role::Writer),
        query: &[WAIT],
        body: Some(Body { media: EVENT_MEDIA, schema: "PublishEvent", is_required: true }),
        body_max: EVENT_BYTES,
        success: &[Success {
            status: 201,
            about: "It was published.",
            media: STRUCTURED,
            schema: "Published",
        }],
        problems: NO_PUBLISH,
        is_idempotent: true,
        ..post(
            "/api/v1/disruptor/{id}/events",
            "publish_event",
            "event",
            "Publishes an event",
            Work::WaitIf(event::publish, "wait"),
        )
    },
    Route {
        role: Some(Role::Writer),
        query: &[
            WAIT,
            parameter("partial", "Whether to publish what is right if something is wrong.", SWITCH),
        ],
        body: body("PublishBatch"),
        body_max: BATCH_BYTES,
        success: &[
            Success {
                status: 201,
                about: "All were published.",
                media: STRUCTURED,
                schema: "PublishedBatch",
            },
            Success {
                status: 207,
                about: "Some were published.",
                media: STRUCTURED,
                schema: "PublishedPartly",
            },
        ],
        problems: NO_PUBLISH,
        is_idempotent: true,
        ..post(
            "/api/v1/disruptor/{id}/events/batch",
            "publish_batch",
            "event",
            "Publishes up to 1000 events, all or none",
            Work::WaitIf(event::publish_batch, "wait"),
        )
    },
    Route {
        role: Some(Role::Writer),
        query: &[WAIT],
        body: Some(Body { media: bulk::LINE_MEDIA, schema: "Lines", is_required: false }),
        body_max: BULK_BYTES,
        success: &[
            Success {
                status: 200,
                about: "All were published.",
                media: STRUCTURED,
                schema: "PublishedLines",
            },
            Success {
                status: 207,
                about: "Some lines were wrong, and the others were published.",
                media: STRUCTURED,
                schema: "PublishedLines",
            },
        ],
        problems: NO_PUBLISH,
        is_idempotent: true,
        ..post(
            "/api/v1/disruptor/{id}/events/bulk",
            "publish_lines",
            "event",
            "Publishes an event per line, as many as come",
            Work::ConverseOrWait(bulk::talk, bulk::whole),
        )
    },
    Route {
        query: &[
            FROM,
            parameter("to_sequence", "The event before which to end.", SEQUENCE),
            parameter("offset", "How many of those that are kept to leave out.", SEQUENCE),
            parameter("limit", "How many to give.", r#"{"type": "integer", "minimum": 1, "maximum": 1000}"#),
            parameter("correlation_id", "Only those with this.", r#"{"type": "string"}"#),
            WAIT_FOR_EVENTS,
        ],
        success: &[Success {
            status: 200,
            about: "The events, and where to go on.",
            media: LISTED,
            schema: "EventList",
        }],
        problems: &["disruptor_not_found", "event_overwritten"],
        ..get(
            "/api/v1/disruptor/{id}/events",
            "list_events",
            "event",
            "Reads events that are kept",
            Work::WaitIf(event::list, "wait"),
        )
    },
    Route {
        query: &[
            FROM,
            parameter("follow", "Whether to go on with what comes.", SWITCH),
            parameter("count", "After how many events to end.", SEQUENCE),
            parameter("gating", "Whether to hold up producers rather than miss an event.", SWITCH),
            parameter(
                "max_lag",
                "How many events behind a gating stream ends.",
                r#"{"type": "integer", "minimum": 1, "maximum": 1048576}"#,
            ),
        ],
        success: &[Success {
            status: 200,
            about: "The events as they come.",
            media: STREAM_MEDIA,
            schema: "",
        }],
        problems: &["disruptor_not_found", "invalid_state", "too_many_streams"],
        ..get(
            "/api/v1/disruptor/{id}/events/stream",
            "stream_events",
            "event",
            "Follows a disruptor",
            Work::Converse(stream::events),
        )
    },
    Route {
        success: &[Success { status: 200, about: "The event.", media: RAW, schema: "Event" }],
        problems: &["disruptor_not_found", "event_not_found", "event_overwritten"],
        ..get(
            "/api/v1/disruptor/{id}/events/{sequence}",
            "read_event",
            "event",
            "Reads an event",
            Work::Answer(event::read),
        )
    },
    Route {
        role: Some(Role::Writer),
        query: &[WAIT],
        body: body("Broadcast"),
        body_max: BATCH_BYTES,
        success: &[
            ok("All batches were published.", "BroadcastResult"),
            Success {
                status: 207,
                about: "Some batches were not published; each is told of.",
                media: STRUCTURED,
                schema: "BroadcastResult",
            },
        ],
        problems: &[
            "draining",
            "payload_too_large",
            "unsupported_media_type",
            "idempotency_in_progress",
            "idempotency_conflict",
        ],
        is_idempotent: true,
        ..post(
            "/api/v1/batch/events",
            "broadcast",
            "event",
            "Publishes batches to several disruptors",
            Work::WaitIf(event::broadcast, "wait"),
        )
    },
    Route {
        query: &[parameter(
            "topics",
            "What to follow: metrics, cluster, and events:NAME, with commas.",
            r#"{"type": "string"}"#,
        )],
        success: &[Success {
            status: 200,
            about: "What happens.",
            media: &[Media::Events, Media::Lines],
            schema: "",
        }],
        problems: &["disruptor_not_found", "cluster_disabled", "too_many_streams"],
        ..get(
            "/api/v1/stream",
            "stream",
            "event",
            "Follows several topics at once",
            Work::Converse(stream::topics),
        )
    },
    Route {
        role: Some(Role::Admin),
        success: &[ok("Every setting with its origin; secrets are not shown.", "Config")],
        ..get("/api/v1/config", "read_config", "node", "Shows the settings", Work::Answer(node::config))
    },
    Route {
        method: "PATCH",
        body: body("ConfigChange"),
        body_max: SMALL,
        success: &[ok("The settings as they are now.", "Config")],
        problems: &["draining", "payload_too_large", "unsupported_media_type"],
        ..post(
            "/api/v1/config",
            "change_config",
            "node",
            "Changes settings that can change while the node runs",
            Work::Answer(node::change_config),
        )
    },
    Route {
        success: &[ok("What is running, and where.", "Process")],
        ..get(
            "/api/v1/server",
            "read_server",
            "node",
            "Shows the server's process",
            Work::Answer(node::process),
        )
    },
    Route {
        success: &[ok("What was taken, and what waits for a restart.", "Reloaded")],
        problems: &["draining", "invalid_configuration", "no_reload"],
        ..post(
            "/api/v1/server/reload",
            "reload_server",
            "node",
            "Reads the configuration again",
            Work::Wait(node::reload),
        )
    },
    Route {
        query: &[parameter(
            "drain",
            "How long to wait for the sinks, up to an hour; the settings say it otherwise.",
            WINDOW,
        )],
        success: &[Success {
            status: 202,
            about: "It drains, and ends.",
            media: STRUCTURED,
            schema: "ShuttingDown",
        }],
        problems: &["draining"],
        ..post(
            "/api/v1/server/shutdown",
            "shut_down",
            "node",
            "Ends the server",
            Work::Answer(node::shut_down),
        )
    },
    Route {
        role: Some(Role::Admin),
        success: &[ok("The keys, without their texts.", "KeyList")],
        ..get("/api/v1/key", "list_keys", "key", "Lists the access keys", Work::Answer(key::list))
    },
    Route {
        body: body("CreateKey"),
        body_max: SMALL,
        success: &[Success {
            status: 201,
            about: "The key; its text is shown here only.",
            media: STRUCTURED,
            schema: "NewKey",
        }],
        problems: &["too_many", "draining", "payload_too_large", "unsupported_media_type"],
        ..post("/api/v1/key", "create_key", "key", "Makes an access key", Work::Answer(key::create))
    },
    Route {
        method: "DELETE",
        success: &[Success {
            status: 204,
            about: "The key is good for nothing any more.",
            media: &[],
            schema: "",
        }],
        problems: &["key_not_found", "draining"],
        ..post("/api/v1/key/{key_id}", "revoke_key", "key", "Ends an access key", Work::Answer(key::revoke))
    },
];
