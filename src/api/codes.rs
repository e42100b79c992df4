//! The codes of problems, which are stable: clients decide by them, and `/errors/{code}` explains them.

use serde_json::{Value, json};

/// A kind of problem: its code, its status, its title, and what to do about it.
#[derive(Debug)]
pub struct Code {
    /// What programs decide by.
    pub code: &'static str,
    /// HTTP's status.
    pub status: u16,
    /// The kind in a few words.
    pub title: &'static str,
    /// What to do about it.
    pub explanation: &'static str,
}

impl Code {
    /// The kind as it is explained.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code, "status": self.status, "title": self.title, "explanation": self.explanation})
    }
}

const fn code(code: &'static str, status: u16, title: &'static str, explanation: &'static str) -> Code {
    Code { code, status, title, explanation }
}

/// Every kind of problem that this server tells.
pub const CODES: &[Code] = &[
    code(
        "malformed_request",
        400,
        "The request is not HTTP",
        "The request line, a header or the body's frame is malformed, or could be understood in two ways. The connection is closed.",
    ),
    code(
        "invalid_request",
        400,
        "The request is wrong",
        "`errors` names each field or parameter that is wrong, with what was given, the limit and the mend.",
    ),
    code(
        "unauthorized",
        401,
        "No valid key",
        "Send a key as `Authorization: Bearer bb_...`, as `X-API-Key`, or as the password of the user `key`.",
    ),
    code(
        "forbidden",
        403,
        "The key does not allow this",
        "The key's role is too low, or the disruptor is outside of its scope.",
    ),
    code(
        "cross_origin",
        403,
        "Another site asks",
        "The request comes from a web page of another origin. Allow that origin with `server.cors_origins`.",
    ),
    code(
        "not_home",
        307,
        "The disruptor's home is another node",
        "This node has a copy. `Location` is the same path at `home`, which takes events and changes.",
    ),
    code("route_not_found", 404, "No such path", "`/openapi.json` lists every path."),
    code(
        "disruptor_not_found",
        404,
        "No such disruptor",
        "Names and identifiers are both good; `GET /api/v1/disruptor` lists them.",
    ),
    code(
        "event_not_found",
        404,
        "No such event yet",
        "The sequence has not been published. `next` is the one that comes next; `?wait=10s` on the list waits for it.",
    ),
    code(
        "key_not_found",
        404,
        "No such key",
        "`GET /api/v1/key` lists the access keys, `GET /api/v1/cluster/keys` those of the cluster.",
    ),
    code(
        "member_not_found",
        404,
        "No such member",
        "`GET /api/v1/cluster/members` lists the nodes of the cluster.",
    ),
    code(
        "service_not_found",
        404,
        "No such service",
        "`GET /api/v1/cluster/services?node=NAME` lists what a node offers. Services are changed on their own nodes.",
    ),
    code("error_not_found", 404, "No such error code", "The codes are in the `code` member of problems."),
    code("method_not_allowed", 405, "The path knows other methods", "The `Allow` header lists them."),
    code(
        "not_acceptable",
        406,
        "No such form",
        "None of the media types in `Accept`, or the `format` parameter, can be had here; `detail` lists those that can.",
    ),
    code(
        "request_timeout",
        408,
        "The body came too slowly",
        "A body that is read as a whole has 30 seconds.",
    ),
    code(
        "name_taken",
        409,
        "The name is taken",
        "A disruptor with this name is defined otherwise. Asking again for one that is defined in the same way is no error.",
    ),
    code(
        "invalid_state",
        409,
        "Not in this state",
        "`current` is the disruptor's state, `allowed` what can be asked for in it.",
    ),
    code(
        "not_replicated",
        409,
        "The disruptor has no replicas",
        "It is on this node alone. `replicas` in a disruptor's definition says on how many nodes its events are.",
    ),
    code(
        "copies_missing",
        409,
        "What was acknowledged could be lost",
        "`reached` of `wanted` copies answer. Start the nodes that have the others, or promote with `force=true` and lose what only they have.",
    ),
    code(
        "disruptor_failed",
        409,
        "The disruptor has failed",
        "A sink failed for good; `detail` tells the first failure. Starting the disruptor makes a new ring; what the sinks had not taken is not handed on, and stays readable while the window holds it.",
    ),
    code(
        "too_many",
        409,
        "There are as many as there may be",
        "Delete some, or raise the limit in the configuration.",
    ),
    code(
        "idempotency_in_progress",
        409,
        "The same request is being done",
        "A request with this Idempotency-Key has not been answered yet. Ask again a little later.",
    ),
    code(
        "event_overwritten",
        410,
        "The event is no longer kept",
        "The ring holds the last events only; `first_available` is the oldest.",
    ),
    code(
        "payload_too_large",
        413,
        "The body is too large",
        "`detail` tells the limit, which also holds after decompression. The bulk endpoint has none.",
    ),
    code(
        "batch_too_large",
        413,
        "The batch does not fit the ring",
        "A batch is published as a whole; take a larger ring, smaller batches, or the bulk endpoint.",
    ),
    code(
        "unsupported_media_type",
        415,
        "No such kind of body",
        "`detail` lists the media types and encodings that can be sent here.",
    ),
    code(
        "bad_host",
        421,
        "The Host is not this server",
        "A server on loopback answers to localhost, 127.0.0.1 and [::1] only, so that no web page reaches it under another name.",
    ),
    code(
        "idempotency_conflict",
        422,
        "The key was used for another request",
        "An Idempotency-Key names one request. Take a new one.",
    ),
    code(
        "rate_limited",
        429,
        "Too many",
        "You, or the disruptor's producers together, send more than is allowed per second. Wait for `Retry-After`.",
    ),
    code("headers_too_large", 431, "The head is too large", "A head has at most 16 KiB and 100 headers."),
    code(
        "internal",
        500,
        "A bug of ours",
        "The request was not finished. The server goes on; its log has the cause under `request_id`.",
    ),
    code(
        "transfer_encoding",
        501,
        "No such transfer encoding",
        "Bodies are sent with Content-Length or chunked.",
    ),
    code(
        "ring_full",
        503,
        "The ring is full",
        "The sinks are slower than the producers. Wait for `Retry-After`, or send `?wait=250ms` to wait for room.",
    ),
    code(
        "not_enough_replicas",
        503,
        "Too few nodes are there",
        "The disruptor's consistency wants events on `wanted` nodes, and `present` are there. Nothing was published.",
    ),
    code(
        "no_home",
        503,
        "The disruptor has no home",
        "Its events can be read here, and none are taken. `detail` tells why. If its home is gone for good, `POST /api/v1/disruptor/{name}/promote` makes this node its home.",
    ),
    code(
        "too_many_streams",
        503,
        "All streams are taken",
        "Streams, waiting requests and large bodies each need a thread, and there are only so many.",
    ),
    code(
        "cluster_disabled",
        409,
        "The node is in no cluster",
        "Start the server with `--cluster`, or with `cluster.enabled: true` in its configuration.",
    ),
    code(
        "cluster_left",
        409,
        "The node has left its cluster",
        "It serves what it has and hears of nobody. Restart it to join again.",
    ),
    code(
        "cluster_not_encrypted",
        409,
        "The cluster is not encrypted",
        "Encryption begins when the nodes are started with `cluster.enable_encryption` and a key.",
    ),
    code(
        "key_in_use",
        409,
        "Messages are closed with this key",
        "Use another key first, on every node; then this one can be removed.",
    ),
    code(
        "service_checked",
        409,
        "A check finds the status",
        "The node looks itself how this service is, by TCP or HTTP. Register it with a TTL check, or without one, to report.",
    ),
    code(
        "join_failed",
        502,
        "The other node was not joined",
        "`detail` tells what became of each address. A node with another key or another cluster's name does not answer; its log tells why.",
    ),
    code(
        "member_unreachable",
        504,
        "The member does not answer",
        "Its port cannot be reached from here, or it is stopped. Others may reach it all the same.",
    ),
    code(
        "leaving",
        503,
        "The node has left its cluster",
        "It answers, but others do not count on it any more. Take another node.",
    ),
    code("draining", 503, "The server is about to end", "It takes no more events and hands on what it has."),
    code(
        "invalid_configuration",
        400,
        "The configuration is wrong",
        "The server goes on with the settings that it has. `errors` names each line, variable or flag that is wrong.",
    ),
    code(
        "no_reload",
        409,
        "Nothing to read again",
        "This server is part of another program, which does not tell it where its settings come from. Change single settings with `PATCH /api/v1/config`.",
    ),
    code(
        "drain_timed_out",
        409,
        "The sinks were too slow",
        "The disruptor goes on draining. Ask again to go on waiting.",
    ),
    code(
        "replication_timeout",
        504,
        "Too few nodes have the events so far",
        "The events are at `sequences` of the home and go on being sent, but `reached` of `wanted` nodes had them in time. Sent again, they are published twice.",
    ),
    code("http_version", 505, "No such version", "This server speaks HTTP/1.1 and HTTP/1.0."),
];

/// The kind with this code.
pub fn explain(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}
