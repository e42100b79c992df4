//! Following a disruptor from afar.
//!
//! By long polling: minreq's one deadline holds for a whole response, so a stream that does not end cannot be told
//! from a server that hangs. A poll has an end, and the sequence to go on from is all that is needed to resume.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::error::ClientError;
use super::request::{Client, disruptor_path};

/// What a tail has to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Tailed {
    /// An event, as the server shows it.
    Event(Value),
    /// Events from the first up to, but not including, the second sequence were overwritten before they were read.
    Gap(u64, u64),
}

/// A disruptor's events in order, for as long as somebody asks for the next.
///
/// After an error it goes on where it was, so a caller may ask again when the server is back.
#[derive(Debug)]
pub struct Tail<'c> {
    client: &'c Client,
    path: String,
    next: u64,
    ready: VecDeque<Tailed>,
}

/// How long the server waits for an event.
const WAIT: Duration = Duration::from_secs(10);
const EVENTS_PER_POLL: usize = 1000;

impl Client {
    /// A disruptor's events from a sequence on.
    pub fn tail(&self, disruptor: &str, from: u64) -> Tail<'_> {
        let path = format!("{}/events", disruptor_path(disruptor));
        Tail { client: self, path, next: from, ready: VecDeque::new() }
    }
}

impl Tail<'_> {
    /// The sequence that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// What is there now, or comes while the server waits; nothing if nothing comes.
    ///
    /// Errors: as [`Client::request`].
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Tailed>, ClientError> {
        if let Some(tailed) = self.ready.pop_front() {
            return Ok(Some(tailed));
        }
        let (next, millis) = (self.next, wait.as_millis());
        let path = format!("{}?from_sequence={next}&limit={EVENTS_PER_POLL}&wait={millis}ms", self.path);
        let answer = match self.client.request("GET", &path, None, wait + Duration::from_secs(20)) {
            Ok(answer) => answer,
            Err(ClientError::Problem(problem)) if problem.code == "event_overwritten" => {
                let first = problem.body["first_available"].as_u64().unwrap_or(next + 1).max(next + 1);
                self.next = first;
                return Ok(Some(Tailed::Gap(next, first)));
            }
            Err(error) => return Err(error),
        };
        let list: Value = serde_json::from_slice(&answer.body).map_err(|error| ClientError::Garbage {
            endpoint: self.client.endpoint().to_owned(),
            what: format!("its list of events is not JSON: {error}"),
        })?;
        for event in list["items"].as_array().into_iter().flatten() {
            let Some(sequence) = event["sequence"].as_u64() else { continue };
            // Overtaken while the server was reading.
            if sequence > self.next {
                self.ready.push_back(Tailed::Gap(self.next, sequence));
            }
            self.next = sequence + 1;
            self.ready.push_back(Tailed::Event(event.clone()));
        }
        Ok(self.ready.pop_front())
    }
}

impl Iterator for Tail<'_> {
    type Item = Result<Tailed, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.poll(WAIT) {
                Ok(Some(tailed)) => return Some(Ok(tailed)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
