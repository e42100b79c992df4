//! Events in the program's log.

use std::str;

use super::{Refusal, Sink};
use crate::engine::Event;

pub struct LogSink {
    disruptor: String,
}

/// What of a payload is logged.
const SHOWN_BYTES_MAX: usize = 512;

impl LogSink {
    pub fn new(disruptor: &str) -> Self {
        Self { disruptor: disruptor.to_owned() }
    }
}

impl Sink for LogSink {
    fn take(&mut self, sequence: u64, event: &Event) -> Result<(), Refusal> {
        log_event(&self.disruptor, sequence, event);
        Ok(())
    }
}

/// Logs an event, its payload cut short.
pub fn log_event(disruptor: &str, sequence: u64, event: &Event) {
    let payload = event.payload();
    let shown = &payload[..payload.len().min(SHOWN_BYTES_MAX)];
    let shown = match str::from_utf8(shown) {
        Ok(text) => text,
        Err(error) => str::from_utf8(&shown[..error.valid_up_to()]).expect("checked up to there"),
    };
    log::info!(
        target: "event", disruptor = disruptor, sequence = sequence, id = event.id().to_string().as_str(),
        bytes = payload.len();
        "{shown}"
    );
}
