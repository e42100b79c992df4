//! Events at a web server, posted in batches of NDJSON.

use std::time::Duration;

use super::{Refusal, Sink};
use crate::engine::Event;
use crate::engine::publish_json::write_draft;

pub struct WebhookSink {
    url: String,
    headers: Vec<(String, String)>,
    batch: usize,
    timeout: Duration,
    /// Lines that the server has not taken yet.
    lines: Vec<u8>,
    events: usize,
    /// Names the lines, so that a server that knows such keys takes them once even if its answer gets lost.
    key: Option<String>,
}

impl WebhookSink {
    pub fn new(url: &str, headers: &[(String, String)], batch: usize, timeout: Duration) -> Self {
        Self {
            url: url.to_owned(),
            headers: headers.to_vec(),
            batch,
            timeout,
            lines: Vec::new(),
            events: 0,
            key: None,
        }
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.events = 0;
        self.key = None;
    }
}

impl Sink for WebhookSink {
    fn take(&mut self, _sequence: u64, event: &Event) -> Result<(), Refusal> {
        if self.events >= self.batch {
            self.hand_over()?;
        }
        self.key.get_or_insert_with(|| event.id().to_string());
        write_draft(&mut self.lines, event);
        self.lines.push(b'\n');
        self.events += 1;
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Refusal> {
        let Some(key) = &self.key else { return Ok(()) };
        let mut request = minreq::post(self.url.as_str())
            .with_header("content-type", "application/x-ndjson")
            .with_header("user-agent", concat!("badbatch/", env!("CARGO_PKG_VERSION")))
            .with_header("idempotency-key", key.as_str())
            .with_timeout(self.timeout.as_secs().max(1))
            .with_follow_redirects(false)
            .with_body(self.lines.as_slice());
        for (name, value) in &self.headers {
            request = request.with_header(name.as_str(), value.as_str());
        }
        // The URL is shown without its query, which may hold a key.
        let shown = self.url.split('?').next().unwrap_or_default();
        match request.send() {
            Ok(response) if (200..300).contains(&response.status_code) => {
                self.clear();
                Ok(())
            }
            Ok(response) => Err(Refusal {
                reason: format!("{shown} answers {} {}", response.status_code, response.reason_phrase),
                // Such an answer is about the request, which will not change.
                is_final: matches!(response.status_code, 400 | 404..=407 | 410..=417 | 422),
            }),
            Err(error) => Err(Refusal::again(format!("{shown}: {error}"))),
        }
    }

    fn give_up(&mut self) -> u64 {
        let events = self.events as u64;
        self.clear();
        events
    }
}
