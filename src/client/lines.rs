//! Many events from a reader, a line each.

use std::io::BufRead;

use serde_json::Value;

use super::error::ClientError;
use super::request::{Body, Client, disruptor_path};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    /// A JSON text.
    Json,
    /// A text, as it is.
    Text,
}

/// What became of some lines.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct LinesPublished {
    /// Lines that are events now.
    pub published: u64,
    /// Lines that were wrong.
    pub rejected: u64,
    /// The first of those, with their numbers from 1 and what the server said.
    pub rejections: Vec<(u64, Value)>,
    /// The sequences of the first event, and the one after the last.
    pub sequences: Option<(u64, u64)>,
}

/// What goes in one request: its key stands for the whole, so that it can be sent again.
const REQUEST_BYTES: usize = 1 << 20;
const REJECTIONS_TOLD: usize = 100;

impl Client {
    /// Publishes an event per line, and tells `progress` how far it is after every request. A request has up to
    /// `lines_max` lines, at least one, and about a megabyte.
    ///
    /// Errors: as [`request`](Client::request), or [`ClientError::Input`]; what was published until then is told to
    /// `progress`.
    pub fn publish_lines(
        &self,
        disruptor: &str,
        kind: LineKind,
        lines_max: usize,
        mut input: impl BufRead,
        mut progress: impl FnMut(&LinesPublished),
    ) -> Result<LinesPublished, ClientError> {
        let path = format!("{}/events/bulk", disruptor_path(disruptor));
        let media = match kind {
            LineKind::Json => "application/x-ndjson",
            LineKind::Text => "text/plain",
        };
        let mut told = LinesPublished::default();
        let mut lines_before = 0;
        loop {
            let (mut bytes, mut lines) = (Vec::new(), 0);
            while bytes.len() < REQUEST_BYTES && lines < lines_max.max(1) as u64 {
                match input.read_until(b'\n', &mut bytes) {
                    Ok(0) => break,
                    Ok(_) => lines += 1,
                    Err(error) => return Err(ClientError::Input { cause: error.to_string() }),
                }
            }
            if lines == 0 {
                return Ok(told);
            }
            let answer = self.json("POST", &path, Some(Body::Bytes(media, bytes)))?;
            told.add(&answer, lines_before);
            lines_before += lines;
            progress(&told);
        }
    }
}

impl LinesPublished {
    fn add(&mut self, answer: &Value, lines_before: u64) {
        self.published += answer["published_count"].as_u64().unwrap_or(0);
        self.rejected += answer["rejected_count"].as_u64().unwrap_or(0);
        for rejection in answer["rejected"].as_array().into_iter().flatten() {
            if self.rejections.len() < REJECTIONS_TOLD {
                let line = lines_before + rejection["line"].as_u64().unwrap_or(0);
                self.rejections.push((line, rejection["problem"].clone()));
            }
        }
        if let (Some(first), Some(next)) =
            (answer["first_sequence"].as_u64(), answer["next_sequence"].as_u64())
        {
            self.sequences = Some((self.sequences.map_or(first, |(first, _)| first), next));
        }
    }
}
