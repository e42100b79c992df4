//! Events in another disruptor of the same engine.

use std::sync::Weak;
use std::time::Duration;

use super::{Refusal, Sink};
use crate::engine::registry::Engine;
use crate::engine::{EngineError, Event};

pub struct ForwardSink {
    engine: Weak<Engine>,
    to: String,
    only: Vec<(String, String)>,
    from: String,
}

/// How long to wait for room over there before looking whether this sink is to give up.
const PATIENCE: Duration = Duration::from_secs(1);

impl ForwardSink {
    pub fn new(engine: Weak<Engine>, to: &str, only: &[(String, String)], from: &str) -> Self {
        Self { engine, to: to.to_owned(), only: only.to_vec(), from: from.to_owned() }
    }
}

impl Sink for ForwardSink {
    fn take(&mut self, _sequence: u64, event: &Event) -> Result<(), Refusal> {
        let is_wanted = |(name, value): &(String, String)| {
            event.metadata().any(|(other, its_value)| name == other && value == its_value)
        };
        if !self.only.iter().all(is_wanted) {
            return Ok(());
        }
        let Some(engine) = self.engine.upgrade() else {
            return Err(Refusal { reason: "the engine has ended".to_owned(), is_final: true });
        };
        let refused = |error: EngineError| Refusal::again(format!("forward from `{}`: {error}", self.from));
        let target = engine.find(&self.to).map_err(refused)?;
        // While the other ring is full, the events wait in this one.
        target.forward(std::slice::from_ref(event), PATIENCE).map(drop).map_err(refused)
    }
}
