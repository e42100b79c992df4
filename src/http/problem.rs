//! What is wrong, in a form for programs and for people.
//!
//! Source: RFC 9457. `code` is stable: clients decide by it, and `/errors/{code}` explains it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::response::{PROBLEM, Response};
use super::server::{Fault, Refusal};
use crate::engine::{EngineError, FieldError};

/// A kind of problem: its code, its status, its title, and what to do about it.
pub struct Code {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
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
    code("key_not_found", 404, "No such key", "`GET /api/v1/key` lists the keys."),
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
        "too_many_streams",
        503,
        "All streams are taken",
        "Streams, waiting requests and large bodies each need a thread, and there are only so many.",
    ),
    code("draining", 503, "The server is about to end", "It takes no more events and hands on what it has."),
    code(
        "drain_timed_out",
        409,
        "The sinks were too slow",
        "The disruptor goes on draining. Ask again to go on waiting.",
    ),
    code("http_version", 505, "No such version", "This server speaks HTTP/1.1 and HTTP/1.0."),
];

/// The kind with this code.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|known| known.code == code)
}

/// A problem, on its way to a client.
#[derive(Debug)]
pub struct Problem {
    pub status: u16,
    pub code: &'static str,
    title: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let kind = find(code).expect("every code is in the table");
        let (more, headers) = (Map::new(), Vec::new());
        Self { status: kind.status, code, title: kind.title, detail: detail.into(), more, headers }
    }

    /// Fields or parameters that are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors.first().map_or_else(String::new, ToString::to_string);
        let error = |error: &FieldError| {
            let mut json = json!({ "field": error.field, "message": error.message });
            if let Some(hint) = &error.hint {
                json["hint"] = json!(hint);
            }
            json
        };
        let list = errors.iter().map(error).collect::<Value>();
        Self::new("invalid_request", detail).with("errors", list)
    }

    /// One field or parameter that is wrong.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    /// With one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a time after which it may be tried again.
    #[must_use]
    pub fn retry_after(self, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        self.with("retry_after_ms", after.as_millis() as u64).header("Retry-After", seconds.to_string())
    }

    /// The problem as the body says it.
    pub fn to_json(&self, instance: &str, request_id: &str) -> Value {
        let mut json = json!({
            "type": format!("/errors/{}", self.code),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        });
        let object = json.as_object_mut().expect("it was just made");
        if !instance.is_empty() {
            object.insert("instance".to_owned(), json!(instance));
        }
        if !request_id.is_empty() {
            object.insert("request_id".to_owned(), json!(request_id));
        }
        object.extend(self.more.clone());
        json
    }

    pub fn to_response(&self, instance: &str, request_id: &str) -> Response {
        let response = Response::new(self.status, PROBLEM, self.to_json(instance, request_id).to_string());
        self.headers.iter().fold(response, |response, (name, value)| response.header(name, value.clone()))
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let detail = error.to_string();
        match error {
            EngineError::NotFound { nearest, .. } => match nearest {
                Some(nearest) => {
                    Self::new("disruptor_not_found", format!("{detail}; did you mean `{nearest}`?"))
                }
                None => Self::new("disruptor_not_found", detail),
            },
            EngineError::NameTaken { .. } => Self::new("name_taken", detail),
            EngineError::TooMany { max } => Self::new("too_many", detail).with("max", max),
            EngineError::Invalid { errors } => Self::invalid(errors),
            EngineError::WrongState { current, allowed, .. } => Self::new("invalid_state", detail)
                .with("current", current.name())
                .with("allowed", allowed.to_vec()),
            EngineError::Failed { .. } | EngineError::CannotStart { .. } => {
                Self::new("disruptor_failed", detail)
            }
            EngineError::RingFull { used, capacity, slowest, .. } => Self::new("ring_full", detail)
                .with("used", used)
                .with("capacity", capacity)
                .with("slowest", slowest)
                .retry_after(Duration::from_millis(100)),
            EngineError::BatchTooLarge { capacity, .. } => {
                Self::new("batch_too_large", detail).with("capacity", capacity)
            }
            EngineError::RateLimited { limit, retry_after, .. } => Self::new("rate_limited", detail)
                .with("limit", limit)
                .header("RateLimit-Policy", format!("\"disruptor\";q={limit};w=1"))
                .header("RateLimit", format!("\"disruptor\";r=0;t={}", retry_after.as_secs().max(1)))
                .retry_after(retry_after),
            EngineError::Overwritten { first_available, .. } => {
                Self::new("event_overwritten", detail).with("first_available", first_available)
            }
            EngineError::NotYet { next, .. } => Self::new("event_not_found", detail).with("next", next),
            EngineError::DrainTimedOut { left, .. } => {
                Self::new("drain_timed_out", detail).with("left", left)
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(Fault::Syntax(what)) => Self::new("malformed_request", what),
            Refusal::Malformed(Fault::TooLarge) => {
                Self::new("headers_too_large", "the head has more than 16 KiB or 100 headers")
            }
            Refusal::Malformed(Fault::Version) => Self::new("http_version", "take HTTP/1.1 or HTTP/1.0"),
            Refusal::Malformed(Fault::TransferEncoding) => {
                Self::new("transfer_encoding", "the only transfer encoding is chunked")
            }
            Refusal::BodyTooLarge(max) => {
                Self::new("payload_too_large", format!("the body has more than {max} bytes")).with("max", max)
            }
            Refusal::BodyTooSlow => Self::new("request_timeout", "the body did not come within 30 seconds"),
            Refusal::BodyMalformed => {
                Self::new("malformed_request", "the body's chunks are malformed, or the body was cut off")
            }
            Refusal::NoLane => {
                Self::new("too_many_streams", "every thread for streams and waiting requests is taken")
                    .retry_after(Duration::from_secs(1))
            }
            Refusal::Panicked => Self::new("internal", "the server failed while it answered this request"),
        }
    }
}
