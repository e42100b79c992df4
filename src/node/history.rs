//! What each disruptor's numbers were, for charts that are full when they are opened.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use crate::base::ulid::Ulid;
use crate::engine::{Engine, NamedDisruptor};

/// The seconds between two points, and how many points are kept: an hour.
pub const STEP_SECONDS: u64 = 5;
const POINTS_MAX: usize = 720;

/// A number of a disruptor over time.
type Number = fn(&NamedDisruptor) -> u64;

/// What is kept, by name.
pub const SERIES: &[(&str, Number)] = &[
    ("published", |disruptor| disruptor.published()),
    ("processed", |disruptor| disruptor.sink_reports().iter().map(|sink| sink.handled).min().unwrap_or(0)),
    ("errors", |disruptor| disruptor.sink_reports().iter().map(|sink| sink.errors).sum()),
    ("ring_used", |disruptor| disruptor.used()),
];

/// A time in seconds since 1970, and the numbers in the order of [`SERIES`].
type Point = (u64, [u64; 4]);

/// The last hour of every disruptor.
#[derive(Debug, Default)]
pub struct History(Mutex<BTreeMap<Ulid, VecDeque<Point>>>);

impl History {
    /// Adds a point for every disruptor, and forgets those that are gone.
    pub(super) fn record(&self, engine: &Engine, unix_seconds: u64) {
        let disruptors = engine.list();
        let mut history = self.0.lock();
        history.retain(|id, _| disruptors.iter().any(|disruptor| disruptor.id() == *id));
        for disruptor in &disruptors {
            let points = history.entry(disruptor.id()).or_default();
            if points.len() == POINTS_MAX {
                points.pop_front();
            }
            let mut numbers = [0; SERIES.len()];
            for (number, (_, read)) in numbers.iter_mut().zip(SERIES) {
                *number = read(disruptor);
            }
            points.push_back((unix_seconds, numbers));
        }
    }

    /// A disruptor's points of one series since a time, the oldest first.
    pub fn points(&self, disruptor: Ulid, series: &str, since_unix_seconds: u64) -> Vec<(u64, u64)> {
        let Some(place) = SERIES.iter().position(|(name, _)| *name == series) else { return Vec::new() };
        let history = self.0.lock();
        let points = history.get(&disruptor).into_iter().flatten();
        points
            .filter(|(at, _)| *at >= since_unix_seconds)
            .map(|(at, numbers)| (*at, numbers[place]))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{History, POINTS_MAX};
    use crate::engine::{Author, Defaults, Definition, Engine, EngineOptions};
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn the_last_hour_is_kept_and_what_is_gone_is_forgotten() {
        let engine = Engine::new(EngineOptions::default());
        let definition =
            Definition::from_json(&json!({"name": "a"}), None, &Defaults::default()).expect("right");
        let (disruptor, _) = engine.create(definition, Author::Operator).expect("made");
        let history = History::default();
        (0..=POINTS_MAX as u64).for_each(|second| history.record(&engine, second));
        let points = history.points(disruptor.id(), "published", 0);
        assert_eq!((points.len(), points[0]), (POINTS_MAX, (1, 0)));
        assert_eq!(history.points(disruptor.id(), "published", 700).len(), 21);
        assert_eq!(history.points(disruptor.id(), "nothing", 0), []);
        engine.delete(&disruptor, Duration::ZERO).expect("it has nothing to drain");
        history.record(&engine, 0);
        assert_eq!(history.points(disruptor.id(), "published", 0), []);
    }
}
