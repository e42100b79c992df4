//! Events: published one by one or in batches, and read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::call::{Call, WAIT_MAX};
use super::super::media::{Media, to_json};
use super::super::problem::Problem;
use super::super::response::{JSON, Response};
use super::super::server::Head;
use crate::engine::{
    ContentType, Draft, Event, FieldError, Lookup, NamedDisruptor, rfc3339, write_event, write_json_string,
};

/// The forms of a single event.
pub const EVENT_MEDIA: &[Media] = &[Media::Json, Media::Yaml, Media::MessagePack, Media::Text, Media::Bytes];
/// Events in a batch at most.
const BATCH_MAX: usize = 1000;
/// The largest number that a parameter may be: sequences end far below.
pub const SEQUENCE_MAX: u64 = i64::MAX as u64;

pub fn publish(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let patience = call.wait()?;
    let media = Media::of_request(call.head, EVENT_MEDIA)?;
    let mut body = std::mem::take(&mut call.body);
    let draft = match media {
        Media::Text => raw(call.head, ContentType::Text, &body)?,
        Media::Bytes => raw(call.head, ContentType::Bytes, &body)?,
        media => {
            body = to_json(media, body)?;
            let mut draft = Draft::from_json(&body).map_err(|error| Problem::invalid(vec![error]))?;
            add_headers(call.head, &mut draft);
            draft
        }
    };
    draft.check_limits().map_err(|error| Problem::invalid(vec![error]))?;
    let event = disruptor.accept(&draft);
    let published = disruptor.publish(std::slice::from_ref(&event), patience)?;
    let mut out = Vec::with_capacity(192);
    write_result(&mut out, published.sequences.start, &event, None);
    Ok(Response::new(201, JSON, out))
}

/// An event whose payload is the body as it is.
fn raw<'a>(head: &'a Head, content_type: ContentType, body: &'a [u8]) -> Result<Draft<'a>, Problem> {
    let mut draft = Draft::bare(content_type, body);
    add_headers(head, &mut draft);
    draft.check().map_err(|error| Problem::invalid(vec![error]))?;
    Ok(draft)
}

/// What headers say about an event: `X-BB-Meta-*` are metadata, `X-BB-Key` is the pair `key`.
pub fn add_headers<'a>(head: &'a Head, draft: &mut Draft<'a>) {
    for (name, value) in head.all() {
        let name = name.to_ascii_lowercase();
        if let Some(name) = name.strip_prefix("x-bb-meta-").filter(|name| !name.is_empty()) {
            draft.metadata.push((Cow::Owned(name.to_owned()), Cow::Borrowed(value)));
        } else if name == "x-bb-key" {
            draft.metadata.push((Cow::Borrowed("key"), Cow::Borrowed(value)));
        } else if name == "x-bb-correlation-id" {
            draft.correlation_id = Some(Cow::Borrowed(value));
        }
    }
}

/// What is told about an event that was published; with its place in the batch, if it was in one.
fn write_result(out: &mut Vec<u8>, sequence: u64, event: &Event, index: Option<usize>) {
    out.push(b'{');
    // A vector takes every byte, here and below.
    if let Some(index) = index {
        let _written = write!(out, "\"index\":{index},\"status\":201,");
    }
    let _written = write!(out, "\"sequence\":{sequence},\"event_id\":\"{}\",\"correlation_id\":", event.id());
    match event.correlation_id() {
        Some(text) => write_json_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
    let _written = write!(out, ",\"published_at\":\"{}\"}}", rfc3339(event.unix_micros()));
}

/// A batch as it is sent: a list, or an object with a list and metadata for all.
struct Batch<'a> {
    events: Vec<&'a RawValue>,
    metadata: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

impl<'a> Batch<'a> {
    fn read(text: &'a [u8]) -> Result<Self, FieldError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Whole<'a> {
            #[serde(borrow)]
            events: Vec<&'a RawValue>,
            #[serde(borrow, default)]
            metadata: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
        }
        let wrong = |error: serde_json::Error| FieldError::new("body", format!("is not a batch: {error}"));
        let batch = if text.trim_ascii_start().starts_with(b"[") {
            Self { events: serde_json::from_slice(text).map_err(wrong)?, metadata: BTreeMap::new() }
        } else {
            let whole: Whole<'a> = serde_json::from_slice(text).map_err(wrong)?;
            Self { events: whole.events, metadata: whole.metadata.unwrap_or_default() }
        };
        match batch.events.len() {
            1..=BATCH_MAX => Ok(batch),
            count => Err(FieldError::new("events", format!("{count} events; a batch has 1 to {BATCH_MAX}"))
                .hint("the bulk endpoint has no limit")),
        }
    }

    /// The drafts, or by place what is wrong with them.
    fn drafts(&self) -> Vec<Result<Draft<'a>, FieldError>> {
        let draft = |(place, raw): (usize, &&'a RawValue)| {
            let at_its_place = |mut error: FieldError| {
                error.field = format!("events[{place}].{}", error.field);
                error
            };
            let mut draft = Draft::from_json(raw.get().as_bytes()).map_err(at_its_place)?;
            for (name, value) in &self.metadata {
                if draft.metadata.iter().all(|(known, _)| known != name) {
                    draft.metadata.push((name.clone(), value.clone()));
                }
            }
            draft.check_limits().map_err(at_its_place)?;
            Ok(draft)
        };
        self.events.iter().enumerate().map(draft).collect()
    }
}

pub fn publish_batch(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let patience = call.wait()?;
    let is_partial = call.query.boolean("partial")?.unwrap_or(false);
    let media = Media::of_request(call.head, &[Media::Json, Media::Yaml, Media::MessagePack])?;
    let body = to_json(media, std::mem::take(&mut call.body))?;
    let batch = Batch::read(&body).map_err(|error| Problem::invalid(vec![error]))?;
    if is_partial {
        return publish_what_is_right(&disruptor, &batch, patience);
    }
    let out = publish_all(&disruptor, &batch, patience)?;
    Ok(Response::new(201, JSON, out))
}

/// Publishes all events of a batch or none, and says what came of it.
fn publish_all(
    disruptor: &NamedDisruptor,
    batch: &Batch<'_>,
    patience: std::time::Duration,
) -> Result<Vec<u8>, Problem> {
    let drafts = batch.drafts();
    let errors: Vec<FieldError> = drafts.iter().filter_map(|draft| draft.as_ref().err().cloned()).collect();
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    let events: Vec<Event> = drafts.iter().flatten().map(|draft| disruptor.accept(draft)).collect();
    let published = disruptor.publish(&events, patience)?;
    let mut out = Vec::with_capacity(192 * events.len());
    let _written = write!(out, "{{\"published_count\":{},\"events\":[", events.len());
    for (place, (event, sequence)) in events.iter().zip(published.sequences).enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write_result(&mut out, sequence, event, None);
    }
    // A batch is named after its first event.
    let (id, time) = (events[0].id(), rfc3339(events[0].unix_micros()));
    let _written = write!(out, "],\"batch_id\":\"{id}\",\"published_at\":\"{time}\"}}");
    Ok(out)
}

/// Publishes those events of a batch that can be, and says of each what came of it.
fn publish_what_is_right(
    disruptor: &NamedDisruptor,
    batch: &Batch<'_>,
    patience: std::time::Duration,
) -> Result<Response, Problem> {
    let drafts = batch.drafts();
    let events: Vec<Event> = drafts.iter().flatten().map(|draft| disruptor.accept(draft)).collect();
    let published = disruptor.publish(&events, patience)?;
    let failed = drafts.len() - events.len();
    let mut out = Vec::with_capacity(192 * drafts.len());
    let _written =
        write!(out, "{{\"published_count\":{},\"failed_count\":{failed},\"results\":[", events.len());
    let mut done = events.iter().zip(published.sequences);
    for (place, draft) in drafts.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        match draft {
            Ok(_) => {
                let (event, sequence) = done.next().expect("every right draft became an event");
                write_result(&mut out, sequence, event, Some(place));
            }
            Err(error) => {
                let problem = Problem::invalid(vec![error.clone()]).to_json("", "");
                let result = json!({"index": place, "status": 400, "problem": problem});
                out.extend_from_slice(result.to_string().as_bytes());
            }
        }
    }
    out.extend_from_slice(b"]}");
    Ok(Response::new(if failed == 0 { 201 } else { 207 }, JSON, out))
}

/// Batches for several disruptors: each is published as a whole or not at all, and told of in either case.
pub fn broadcast(call: &mut Call<'_>) -> Result<Response, Problem> {
    let patience = call.wait()?;
    let media = Media::of_request(call.head, &[Media::Json, Media::Yaml, Media::MessagePack])?;
    let body = to_json(media, std::mem::take(&mut call.body))?;
    let batches: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(&body)
        .map_err(|error| Problem::field("body", format!("is not an object of batches: {error}")))?;
    if batches.is_empty() || batches.len() > BATCH_MAX {
        let message = format!("{} disruptors; take 1 to {BATCH_MAX}", batches.len());
        return Err(Problem::field("body", message));
    }
    let mut results = Map::new();
    for (name, batch) in &batches {
        let result = call.disruptor_named(name).and_then(|disruptor| {
            let batch = Batch::read(batch.get().as_bytes()).map_err(|error| Problem::invalid(vec![error]))?;
            publish_all(&disruptor, &batch, patience)
        });
        let result = match result {
            Ok(out) => json!({"ok": serde_json::from_slice::<Value>(&out).expect("our own JSON is JSON")}),
            Err(problem) => json!({"problem": problem.to_json("", "")}),
        };
        results.insert(name.clone().into_owned(), result);
    }
    let all_well = results.values().all(|result| result.get("ok").is_some());
    Ok(Response::json(if all_well { 200 } else { 207 }, &Value::Object(results)))
}

pub fn list(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let limit = call.query.integer("limit", 1, 1000)?.unwrap_or(100);
    let from = call.query.integer("from_sequence", 0, SEQUENCE_MAX)?;
    let to = call.query.integer("to_sequence", 0, SEQUENCE_MAX)?.unwrap_or(SEQUENCE_MAX);
    let offset = call.query.integer("offset", 0, SEQUENCE_MAX)?;
    let correlation = call.query.text("correlation_id");
    let media = call.wanted(&[Media::Json, Media::Yaml, Media::MessagePack, Media::Lines, Media::Text])?;
    let deadline = Instant::now() + call.query.span("wait", WAIT_MAX)?.unwrap_or_default();
    let first_available = disruptor.first_available();
    if let Some(from) = from.filter(|from| *from < first_available) {
        // Says that it was overwritten, unless it has come back meanwhile.
        disruptor.event(from)?;
    }
    let start = from.unwrap_or(first_available).saturating_add(offset.unwrap_or(0));
    while matches!(disruptor.look(start), Lookup::NotYet) && !call.node().is_draining() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        disruptor.wait_past(start, left.min(std::time::Duration::from_millis(500)));
    }
    let mut found = Vec::new();
    let mut next = start;
    while next < to && (found.len() as u64) < limit {
        match disruptor.look(next) {
            Lookup::Kept(event) => {
                if correlation.is_none_or(|wanted| event.correlation_id() == Some(wanted)) {
                    found.push((next, event));
                }
                next += 1;
            }
            // Overtaken while reading: what follows is still there.
            Lookup::Overwritten => next = disruptor.first_available().max(next + 1),
            Lookup::NotYet => break,
        }
    }
    let mut out = Vec::new();
    match media {
        Media::Lines => found.iter().for_each(|(sequence, event)| {
            write_event(&mut out, *sequence, event);
            out.push(b'\n');
        }),
        Media::Text => found.iter().for_each(|(_, event)| {
            out.extend_from_slice(event.payload());
            out.push(b'\n');
        }),
        _ => {
            out.extend_from_slice(b"{\"items\":[");
            for (place, (sequence, event)) in found.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_event(&mut out, *sequence, event);
            }
            let total =
                disruptor.next_sequence() - disruptor.first_available().min(disruptor.next_sequence());
            let first = disruptor.first_available();
            let _written =
                write!(out, "],\"first_available\":{first},\"next_sequence\":{next},\"total\":{total}}}");
            return Ok(Response::new(200, JSON, out));
        }
    }
    Ok(Response::new(200, media.name(), out)
        .header("X-BB-First-Available", disruptor.first_available().to_string())
        .header("X-BB-Next-Sequence", next.to_string()))
}

pub fn read(call: &mut Call<'_>) -> Result<Response, Problem> {
    let disruptor = call.disruptor()?;
    let text = &call.parameters[1];
    let sequence = text.parse::<u64>().ok().filter(|_| text.bytes().all(|digit| digit.is_ascii_digit()));
    let sequence = sequence.ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        Problem::field("sequence", format!("`{shown}` is not a whole number from 0 to {}", u64::MAX))
    })?;
    let event = disruptor.event(sequence)?;
    match call.wanted(&[Media::Json, Media::Yaml, Media::MessagePack, Media::Bytes])? {
        Media::Bytes => Ok(Response::new(200, Media::Bytes.name(), event.payload())),
        _ => {
            let mut out = Vec::new();
            write_event(&mut out, sequence, &event);
            Ok(Response::new(200, JSON, out))
        }
    }
}
