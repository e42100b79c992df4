//! What is wrong, in a form for programs and for people.
//!
//! Source: RFC 9457. The codes are those of [`crate::api`].

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::response::{PROBLEM, Response};
use super::server::{Fault, Head, Refusal};
use crate::api::explain;
use crate::engine::{EngineError, FieldError};

/// Where the paths of disruptors begin.
const DISRUPTORS: &str = "/api/v1/disruptor/";

/// A problem, on its way to a client.
#[derive(Debug)]
pub struct Problem {
    pub status: u16,
    pub code: &'static str,
    detail: String,
    more: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
    /// The server that does what was asked, and what the disruptor is called there.
    elsewhere: Option<Box<(String, String)>>,
}

impl Problem {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        let kind = explain(code).expect("every code is in the table");
        let (more, headers) = (Map::new(), Vec::new());
        Self { status: kind.status, code, detail: detail.into(), more, headers, elsewhere: None }
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
            "title": explain(self.code).map(|kind| kind.title),
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

    /// The answer to a request that came this far.
    pub fn answer(self, head: &Head, request_id: &str) -> Response {
        let location = self.elsewhere.as_deref().map(|(server, name)| {
            // Its identifier is another one there.
            let path = match head.path.strip_prefix(DISRUPTORS) {
                Some(path) => format!("{DISRUPTORS}{name}{}", path.find('/').map_or("", |end| &path[end..])),
                None => head.path.clone(),
            };
            let mark = if head.query.is_empty() { "" } else { "?" };
            format!("{server}{path}{mark}{}", head.query)
        });
        let response = self.to_response(&head.path, request_id);
        location.into_iter().fold(response, |response, location| response.header("Location", location))
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
            EngineError::ReplicationTimeout { sequences, reached, wanted, .. } => {
                Self::new("replication_timeout", detail)
                    .with("sequences", json!({"first": sequences.start, "next": sequences.end}))
                    .with("reached", reached)
                    .with("wanted", wanted)
            }
            EngineError::NotEnoughReplicas { present, wanted, .. } => {
                Self::new("not_enough_replicas", detail)
                    .with("present", present)
                    .with("wanted", wanted)
                    .retry_after(Duration::from_secs(1))
            }
            EngineError::NotHome { name, home, http: Some(http) } => {
                Self { elsewhere: Some(Box::new((http, name))), ..Self::new("not_home", detail) }
                    .with("home", home)
            }
            EngineError::NotHome { home, http: None, .. } => {
                let detail = format!("{detail}, which does not say where its REST interface is");
                Self::new("no_home", detail).with("home", home)
            }
            EngineError::NoHome { .. } => {
                Self::new("no_home", detail).retry_after(Duration::from_millis(250))
            }
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
