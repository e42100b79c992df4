//! Many events in one request, a line each, without a limit on how many.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::call::{Call, WAIT_MAX};
use super::super::media::Media;
use super::super::problem::Problem;
use super::super::response::Response;
use super::super::server::{BodyError, Exchange, Refusal};
use super::event::add_headers;
use super::{Begin, Talked};
use crate::engine::{ContentType, Draft, EngineError, Event, FieldError, NamedDisruptor, PAYLOAD_BYTES_MAX};

/// The forms of lines.
pub const LINE_MEDIA: &[Media] = &[Media::Lines, Media::Text, Media::Json];
/// Events that are published together.
const BATCH: usize = 256;
/// The same where each batch waits for other nodes.
const REPLICATED_BATCH: usize = 2048;
/// How long a full ring is waited for unless the client says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lines that are told to be wrong; beyond, they are counted.
const REJECTIONS_TOLD: usize = 100;
/// A line with its escapes is longer than what it says.
const LINE_BYTES_MAX: usize = 4 * PAYLOAD_BYTES_MAX;

/// Reads lines as they come.
pub fn talk(call: &mut Call<'_>, exchange: &mut Exchange<'_>, _begin: Begin<'_>) -> Result<Talked, Problem> {
    let mut lines = Lines::new(call)?;
    if call
        .head
        .header("content-encoding")
        .is_some_and(|encoding| !encoding.is_empty() && encoding != "identity")
    {
        let detail =
            "send the lines as they are; what is compressed needs an Idempotency-Key, and is read as a whole";
        return Err(Problem::new("unsupported_media_type", detail));
    }
    let mut piece = vec![0; 64 << 10];
    loop {
        match exchange.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => lines.push(&piece[..read])?,
            Err(BodyError::TimedOut) => return Err(lines.told(Refusal::BodyTooSlow.into())),
            Err(BodyError::Malformed) => return Err(lines.told(Refusal::BodyMalformed.into())),
            Err(BodyError::Io(error)) => return Ok(Talked::Sent(Err(error))),
        }
    }
    lines.finish().map(Talked::Respond)
}

/// Reads lines that are all there.
pub fn whole(call: &mut Call<'_>) -> Result<Response, Problem> {
    let body = std::mem::take(&mut call.body);
    let mut lines = Lines::new(call)?;
    lines.push(&body)?;
    lines.finish()
}

/// Lines on their way to a disruptor.
struct Lines<'c> {
    call: &'c Call<'c>,
    disruptor: Arc<NamedDisruptor>,
    is_text: bool,
    patience: Duration,
    batch_max: usize,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    line: u64,
    batch: Vec<Event>,
    /// The line of the batch's first event.
    batch_line: u64,
    published: u64,
    /// The first sequence that was published, and the one after the last.
    sequences: Option<(u64, u64)>,
    rejected: u64,
    rejections: Vec<Value>,
}

impl<'c> Lines<'c> {
    fn new(call: &'c Call<'c>) -> Result<Self, Problem> {
        let disruptor = call.disruptor()?;
        let is_text = Media::of_request(call.head, LINE_MEDIA)? == Media::Text;
        let patience = call.query.span("wait", WAIT_MAX)?.unwrap_or(PATIENCE);
        // Before anything is read or published, so that the client may go elsewhere with all of it.
        disruptor.check_home()?;
        let batch = if disruptor.waits_for_replicas() { REPLICATED_BATCH } else { BATCH };
        let batch_max = batch.min(disruptor.definition().buffer_size);
        Ok(Self {
            call,
            disruptor,
            is_text,
            patience,
            batch_max,
            rest: Vec::new(),
            line: 0,
            batch: Vec::with_capacity(batch_max),
            batch_line: 0,
            published: 0,
            sequences: None,
            rejected: 0,
            rejections: Vec::new(),
        })
    }

    fn push(&mut self, mut piece: &[u8]) -> Result<(), Problem> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, after) = (&piece[..end], &piece[end + 1..]);
            if self.rest.is_empty() {
                self.take(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.take(&whole)?;
                whole.clear();
                self.rest = whole;
            }
            piece = after;
        }
        self.rest.extend_from_slice(piece);
        if self.rest.len() > LINE_BYTES_MAX {
            let detail = format!("line {} has more than {LINE_BYTES_MAX} bytes", self.line + 1);
            return Err(self.told(Problem::new("payload_too_large", detail)));
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Problem> {
        self.line += 1;
        let draft = if self.is_text {
            let draft = Draft::bare(ContentType::Text, line);
            draft.check().map(|()| draft)
        } else if line.trim_ascii().is_empty() {
            return Ok(());
        } else {
            Draft::from_json(line)
        };
        let draft = draft.and_then(|mut draft| {
            add_headers(self.call.head, &mut draft);
            draft.check_limits().map(|()| draft)
        });
        match draft {
            Ok(draft) => {
                if self.batch.is_empty() {
                    self.batch_line = self.line;
                }
                self.batch.push(self.disruptor.accept(&draft));
                if self.batch.len() >= self.batch_max { self.publish() } else { Ok(()) }
            }
            Err(error) => {
                self.reject(error);
                Ok(())
            }
        }
    }

    fn reject(&mut self, error: FieldError) {
        self.rejected += 1;
        if self.rejections.len() < REJECTIONS_TOLD {
            let problem = Problem::invalid(vec![error]).to_json("", "");
            self.rejections.push(json!({"line": self.line, "problem": problem}));
        }
    }

    fn publish(&mut self) -> Result<(), Problem> {
        if self.batch.is_empty() {
            return Ok(());
        }
        match self.disruptor.publish(&self.batch, self.patience) {
            Ok(published) => {
                self.published += self.batch.len() as u64;
                let first = self.sequences.map_or(published.sequences.start, |(first, _)| first);
                self.sequences = Some((first, published.sequences.end));
                self.batch.clear();
                Ok(())
            }
            Err(error) => Err(self.stopped(error)),
        }
    }

    fn finish(mut self) -> Result<Response, Problem> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.take(&rest)?;
        }
        self.publish()?;
        let status = if self.rejected == 0 { 200 } else { 207 };
        Ok(Response::json(status, &self.summary()))
    }

    fn summary(&self) -> Value {
        json!({
            "published_count": self.published,
            "rejected_count": self.rejected,
            "first_sequence": self.sequences.map(|(first, _)| first),
            "next_sequence": self.sequences.map(|(_, next)| next),
            "rejected": self.rejections,
        })
    }

    fn stopped(&self, error: EngineError) -> Problem {
        let (batch_line, has_begun) = (self.batch_line, self.published > 0);
        let error = match error {
            // Whoever followed a redirection now would publish the first lines twice.
            EngineError::NotHome { name, home, .. } if has_begun => {
                EngineError::NoHome { name, reason: format!("it has moved to node `{home}` meanwhile") }
            }
            other => other,
        };
        self.told(error.into()).with("next_line", batch_line)
    }

    /// A problem with what was published before it came up.
    fn told(&self, problem: Problem) -> Problem {
        problem.with("progress", self.summary())
    }
}
