//! A named disruptor with replicas: at home it waits for its followers, and elsewhere it follows.
//!
//! A disruptor that follows has no ring and no sinks. Its window is filled by whoever has the events from the home,
//! one caller at a time, and is read by everybody as ever.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Ended, Intake, Lifecycle, NamedDisruptor, Published, Replicated, Whereabouts};
use crate::base::deadline::Deadline;
use crate::engine::copies::Copies;
use crate::engine::definition::Definition;
use crate::engine::{EngineError, Event};
use crate::metrics::Counter;

impl Replicated {
    /// `None` for a disruptor that is here alone.
    pub(super) fn of(definition: &Definition) -> Option<Self> {
        let needed = definition.consistency.followers_needed(definition.replicas);
        (definition.replicas > 1).then(|| Self {
            copies: Copies::default(),
            needed,
            whereabouts: Mutex::new(Whereabouts::Nowhere("it is looked for".to_owned())),
            handed: AtomicU64::new(0),
            timeouts: Counter::default(),
        })
    }
}

impl NamedDisruptor {
    /// Refuses what would not be acknowledged anyway.
    pub(super) fn check_followers(&self, replicated: &Replicated) -> Result<(), EngineError> {
        let present = replicated.copies.count();
        if present >= replicated.needed {
            return Ok(());
        }
        let (name, wanted) = (self.name().to_owned(), replicated.needed + 1);
        Err(EngineError::NotEnoughReplicas { name, present: present + 1, wanted })
    }

    /// Waits until enough followers have what was published.
    pub(super) fn replicate(
        &self,
        replicated: &Replicated,
        published: Published,
    ) -> Result<Published, EngineError> {
        let waited = self.definition.replication_timeout;
        let sequences = published.sequences.clone();
        match replicated.copies.wait(&sequences, replicated.needed, Deadline::after(waited)) {
            Ok(()) => Ok(published),
            Err(reached) => {
                replicated.timeouts.add(sequences.end - sequences.start);
                let (name, wanted) = (self.name().to_owned(), replicated.needed + 1);
                Err(EngineError::ReplicationTimeout { name, sequences, reached: reached + 1, wanted, waited })
            }
        }
    }

    /// Why this is not the place for what was asked.
    pub(super) fn elsewhere(&self, replicated: &Replicated) -> EngineError {
        let name = self.name().to_owned();
        match replicated.whereabouts.lock().clone() {
            Whereabouts::At(home, http) => EngineError::NotHome { name, home, http },
            Whereabouts::Nowhere(reason) => EngineError::NoHome { name, reason },
        }
    }

    /// Whether events are taken here at all.
    ///
    /// Errors: [`EngineError::NotHome`], the home is elsewhere.
    pub fn check_home(&self) -> Result<(), EngineError> {
        match self.whereabouts() {
            Some(Whereabouts::At(home, http)) => {
                Err(EngineError::NotHome { name: self.name().to_owned(), home, http })
            }
            Some(Whereabouts::Nowhere(_)) | None => Ok(()),
        }
    }

    /// Whether publishing waits for followers.
    pub fn waits_for_replicas(&self) -> bool {
        self.replicated.as_ref().is_some_and(|replicated| replicated.needed > 0)
    }

    /// Events that were published and were not on enough nodes in time.
    pub fn replication_timeouts(&self) -> u64 {
        self.replicated.as_ref().map_or(0, |replicated| replicated.timeouts.value())
    }

    /// What followers have, if this is the home of a disruptor with replicas.
    pub fn copies(&self) -> Option<&Copies> {
        self.replicated.as_ref().map(|replicated| &replicated.copies)
    }

    /// Where the home is, if it is not here.
    pub fn whereabouts(&self) -> Option<Whereabouts> {
        let replicated = self.replicated.as_ref()?;
        let follows = self.intake.read().lifecycle == Lifecycle::Following;
        follows.then(|| replicated.whereabouts.lock().clone())
    }

    /// Tells where the home is, for those who come to this node while it follows.
    pub fn set_whereabouts(&self, whereabouts: Whereabouts) {
        if let Some(replicated) = &self.replicated {
            *replicated.whereabouts.lock() = whereabouts;
        }
    }

    /// Takes no more events of its own and follows, whatever the state. Sinks have up to `drain` to take what they
    /// have not had; [`handed`](Self::handed) tells how far they came. Does nothing without replicas.
    pub fn follow(&self, drain: Duration) {
        let Some(replicated) = &self.replicated else { return };
        let mut ring = self.ring.lock();
        {
            let mut intake = self.intake.write();
            if intake.lifecycle == Lifecycle::Following {
                return;
            }
            let generation = intake.generation;
            let reason = String::new();
            *intake = Intake { lifecycle: Lifecycle::Following, producer: None, reason, generation };
        }
        let left = match ring.take() {
            None => 0,
            Some((draining, halt)) => match draining.drain(drain) {
                Ended::Drained => 0,
                Ended::Failed(_, left) => left,
                Ended::NotYet(draining, _) => self.end(Some((*draining, halt))),
            },
        };
        *self.monitor.write() = None;
        // Relaxed: who reads it has the lock of the ring after this.
        replicated.handed.store(self.window.end() - left.min(self.window.end()), Ordering::Relaxed);
    }

    /// Takes events from now on, behind those that it has. Sinks begin with the first event that has not been
    /// [`handed`](Self::handed) on. Does nothing unless it follows.
    ///
    /// Errors: [`EngineError::CannotStart`], or `NotFound` for one that was deleted; it still follows.
    pub fn lead(&self) -> Result<(), EngineError> {
        let mut ring = self.ring.lock();
        if self.is_deleted() {
            return Err(EngineError::NotFound { name: self.name().to_owned(), nearest: None });
        }
        if self.intake.read().lifecycle != Lifecycle::Following {
            return Ok(());
        }
        let end = self.window.end();
        let from = self.handed_while_following().clamp(self.window.start(), end);
        let again = self.window.run(from, usize::MAX);
        // The window of one that follows has no holes.
        assert_eq!(from + again.len() as u64, end, "a window that nobody writes to is whole");
        self.begin(&mut ring, &again)
    }

    fn handed_while_following(&self) -> u64 {
        let handed = self.replicated.as_ref().map(|replicated| &replicated.handed);
        handed.map_or(0, |handed| handed.load(Ordering::Relaxed))
    }

    /// The first event that the sinks at home have not let go of, as far as is known here.
    pub fn handed(&self) -> u64 {
        if self.intake.read().lifecycle == Lifecycle::Following {
            return self.handed_while_following();
        }
        // In this order, so that it is never too much: what is published between the two is in the lag alone.
        let end = self.window.end();
        end.saturating_sub(self.used())
    }

    /// Notes how far the sinks at home are.
    pub fn set_handed(&self, handed: u64) {
        if let Some(replicated) = &self.replicated {
            replicated.handed.store(handed, Ordering::Relaxed);
        }
    }

    /// Adds events of the home to a copy that ends right before them. False, and nothing has happened, if it does not,
    /// or does not follow.
    pub fn append(&self, first: u64, events: &[Event]) -> bool {
        let ring = self.ring.lock();
        let is_next = ring.is_none() && self.window.end() == first;
        if !is_next || self.intake.read().lifecycle != Lifecycle::Following {
            return false;
        }
        (first..).zip(events).for_each(|(sequence, event)| self.window.put(sequence, event.clone()));
        if let Some(last) = events.last() {
            self.last_publish_unix_micros.store(last.unix_micros(), Ordering::Relaxed);
        }
        drop(ring);
        self.window.ring();
        true
    }

    /// Forgets every event of a copy; the next one has this sequence.
    pub fn skip_to(&self, sequence: u64) {
        self.take_back(|this| this.window.skip_to(sequence));
    }

    /// Forgets the events of a copy from a sequence on.
    pub fn truncate_to(&self, sequence: u64) {
        self.take_back(|this| this.window.truncate_to(sequence));
    }

    fn take_back(&self, change: impl FnOnce(&Self)) {
        let ring = self.ring.lock();
        if ring.is_none() && self.intake.read().lifecycle == Lifecycle::Following {
            change(self);
        }
        drop(ring);
        self.window.ring();
    }

    /// What is before was forgotten by command, or never here.
    pub fn floor(&self) -> u64 {
        self.window.floor()
    }

    /// Has those look again who wait for an event.
    pub fn wake_readers(&self) {
        self.window.ring();
    }

    /// The sequences that are kept, whatever their age.
    pub fn kept(&self) -> Range<u64> {
        let end = self.window.end();
        self.window.start().min(end)..end
    }

    /// The events from a sequence on that lie side by side: at least one, if it is kept, and no more than fit into so
    /// many bytes.
    pub fn run(&self, from: u64, bytes_max: usize) -> Vec<Event> {
        self.window.run(from, bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::{
        Author, ContentType, Defaults, Definition, Draft, Engine, EngineError, EngineOptions, Event,
        Lifecycle, NamedDisruptor, Whereabouts,
    };
    use serde_json::json;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    const NOW: Duration = Duration::ZERO;

    fn made(timeout_ms: u64) -> (Arc<Engine>, Arc<NamedDisruptor>) {
        let engine = Engine::new(EngineOptions { replicates: true, ..EngineOptions::default() });
        let definition = json!({
            "name": "a", "buffer_size": 8, "replicas": 3, "consistency": "quorum",
            "replication_timeout_ms": timeout_ms,
        });
        let definition = Definition::from_json(&definition, None, &Defaults::default()).expect("right");
        let (disruptor, _) = engine.create(definition, Author::Operator).expect("made");
        (engine, disruptor)
    }

    fn events(disruptor: &NamedDisruptor, numbers: std::ops::Range<u64>) -> Vec<Event> {
        let event =
            |number: u64| disruptor.accept(&Draft::bare(ContentType::Json, number.to_string().as_bytes()));
        numbers.map(event).collect()
    }

    fn handled_are(disruptor: &NamedDisruptor, count: u64) {
        while disruptor.sink_reports()[0].handled != count {
            thread::yield_now();
        }
    }

    #[test]
    fn publishing_waits_for_followers_and_says_how_many_there_were() {
        let (_engine, disruptor) = made(1);
        disruptor.start().expect("it starts");
        let event = events(&disruptor, 0..1);
        let refused = disruptor.publish(&event, NOW).expect_err("refused");
        assert!(matches!(refused, EngineError::NotEnoughReplicas { present: 1, wanted: 2, .. }), "{refused}");
        assert_eq!(disruptor.next_sequence(), 0);
        let copies = disruptor.copies().expect("it has replicas");
        copies.set([("b", 0..0), ("c", 0..0)].into_iter());
        let late = disruptor.publish(&event, NOW).expect_err("nobody has it");
        assert!(matches!(late, EngineError::ReplicationTimeout { reached: 1, wanted: 2, .. }), "{late}");
        assert_eq!((disruptor.next_sequence(), disruptor.replication_timeouts()), (1, 1));
        copies.set([("b", 0..0), ("c", 0..2)].into_iter());
        assert_eq!(disruptor.publish(&event, NOW).expect("c has it").sequences, 1..2);
    }

    #[test]
    fn one_that_follows_is_filled_by_its_home_and_tells_where_that_is() {
        let (engine, disruptor) = made(1);
        disruptor.follow(NOW);
        assert_eq!(disruptor.lifecycle().0, Lifecycle::Following);
        let event = events(&disruptor, 0..1);
        let refused = |disruptor: &NamedDisruptor| disruptor.publish(&event, NOW).expect_err("refused");
        assert!(matches!(refused(&disruptor), EngineError::NoHome { .. }));
        disruptor.set_whereabouts(Whereabouts::At("b".to_owned(), None));
        assert!(matches!(refused(&disruptor), EngineError::NotHome { home, .. } if home == "b"));
        for refused in
            [disruptor.stop(NOW), disruptor.start(), disruptor.reset().map(drop), disruptor.pause()]
        {
            assert!(matches!(refused, Err(EngineError::NotHome { .. })), "{refused:?}");
        }
        assert!(disruptor.append(0, &events(&disruptor, 0..5)));
        assert!(!disruptor.append(4, &events(&disruptor, 4..6)) && !disruptor.append(6, &[]));
        disruptor.truncate_to(3);
        assert!(disruptor.append(3, &events(&disruptor, 30..31)));
        assert_eq!((disruptor.kept(), disruptor.run(2, usize::MAX).len()), (0..4, 2));
        assert_eq!(disruptor.event(3).expect("it is kept").payload(), b"30");
        engine.delete(&disruptor, NOW).expect("a copy can go");
    }

    #[test]
    fn a_new_home_hands_on_what_the_old_one_has_not() {
        let (_engine, disruptor) = made(1);
        disruptor.follow(NOW);
        disruptor.skip_to(100);
        assert!(disruptor.append(100, &events(&disruptor, 0..6)));
        disruptor.set_handed(104);
        disruptor.lead().expect("it starts");
        handled_are(&disruptor, 2);
        disruptor.copies().expect("it has replicas").set([("b", 100..107)].into_iter());
        let published = disruptor.publish(&events(&disruptor, 6..7), NOW).expect("b has it");
        assert_eq!(published.sequences, 106..107);
        handled_are(&disruptor, 3);
        assert_eq!(disruptor.run(100, usize::MAX).len(), 7);
        // What was handed on before is not handed on again, and the window stays.
        disruptor.follow(Duration::from_secs(60));
        assert_eq!((disruptor.handed(), disruptor.kept()), (107, 100..107));
        assert!(!disruptor.append(0, &[]) && disruptor.append(107, &events(&disruptor, 7..8)));
        disruptor.lead().expect("it starts");
        handled_are(&disruptor, 4);
    }
}
