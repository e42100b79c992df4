//! Answers to requests that may come twice.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::clock::Clock;

/// What was answered to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status of the answer.
    pub status: u16,
    /// Its media type.
    pub content_type: String,
    /// Its body.
    pub body: Arc<[u8]>,
}

/// What is known about a key.
pub enum Attempt<'i> {
    /// Nothing: do it, and finish the ticket.
    Fresh(Ticket<'i>),
    /// It was done, and this was answered.
    Done(Answer),
    /// The key was used for another request.
    Other,
    /// It is being done at this moment.
    InProgress,
}

/// Remembers answers by key for some time, the latest ones only.
///
/// Source: the Idempotency-Key header field, draft-ietf-httpapi-idempotency-key-header-06.
pub struct Idempotency {
    clock: Clock,
    entries: Mutex<Entries>,
    /// Told of every answer, to keep it for the next start.
    keep: Box<dyn Fn(&Remembered) + Send + Sync>,
}

#[derive(Default)]
struct Entries {
    by_key: HashMap<String, Entry>,
    /// Finished keys, the oldest first.
    finished: VecDeque<(u64, String)>,
}

struct Entry {
    hash: [u8; 32],
    /// `None` while it is being done.
    done: Option<(u64, Answer)>,
}

/// An answer with its key, to be kept somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The key.
    pub key: String,
    /// What the request was, hashed.
    pub hash: [u8; 32],
    /// When it was answered, in microseconds since 1970.
    pub unix_micros: u64,
    /// What was answered.
    pub answer: Answer,
}

const ENTRIES_MAX: usize = 10_000;
const KEPT_FOR: Duration = Duration::from_secs(600);

impl Idempotency {
    /// Begins with what was kept, and tells `keep` of each new answer.
    pub fn new(
        clock: Clock,
        kept: impl IntoIterator<Item = Remembered>,
        keep: impl Fn(&Remembered) + Send + Sync + 'static,
    ) -> Self {
        let new = Self { clock, entries: Mutex::default(), keep: Box::new(keep) };
        kept.into_iter().for_each(|kept| new.remember(kept));
        new
    }

    /// Looks a key up, and takes it if it is free.
    pub fn attempt(&self, key: String, hash: [u8; 32]) -> Attempt<'_> {
        let mut entries = self.entries.lock();
        entries.forget(self.clock.unix_micros());
        match entries.by_key.get(&key) {
            Some(entry) if entry.hash != hash => Attempt::Other,
            Some(Entry { done: Some((_, answer)), .. }) => Attempt::Done(answer.clone()),
            Some(_) => Attempt::InProgress,
            None => {
                entries.by_key.insert(key.clone(), Entry { hash, done: None });
                Attempt::Fresh(Ticket { of: self, key: Some(key), hash })
            }
        }
    }

    /// Everything that is remembered, the oldest first.
    pub fn remembered(&self) -> Vec<Remembered> {
        let mut entries = self.entries.lock();
        entries.forget(self.clock.unix_micros());
        let remembered = entries.finished.iter().filter_map(|(unix_micros, key)| {
            let Entry { hash, done } = entries.by_key.get(key)?;
            let (_, answer) = done.clone()?;
            Some(Remembered { key: key.clone(), hash: *hash, unix_micros: *unix_micros, answer })
        });
        remembered.collect()
    }

    fn remember(&self, kept: Remembered) {
        let mut entries = self.entries.lock();
        let done = Some((kept.unix_micros, kept.answer));
        entries.by_key.insert(kept.key.clone(), Entry { hash: kept.hash, done });
        entries.finished.push_back((kept.unix_micros, kept.key));
        entries.forget(self.clock.unix_micros());
    }
}

impl Entries {
    fn forget(&mut self, now: u64) {
        let oldest = now.saturating_sub(KEPT_FOR.as_micros() as u64);
        while self.finished.len() > ENTRIES_MAX || self.finished.front().is_some_and(|(at, _)| *at < oldest) {
            let (_, key) = self.finished.pop_front().expect("there is a first one");
            self.by_key.remove(&key);
        }
    }
}

/// The right to do a request under its key. If it is dropped, the key is free again.
pub struct Ticket<'i> {
    of: &'i Idempotency,
    key: Option<String>,
    hash: [u8; 32],
}

impl Ticket<'_> {
    /// Remembers the answer.
    pub fn finish(mut self, answer: Answer) {
        let key = self.key.take().expect("a ticket is finished once");
        let kept = Remembered { key, hash: self.hash, unix_micros: self.of.clock.unix_micros(), answer };
        // In this order: who writes down everything that is remembered misses nothing that `keep` was told of.
        self.of.remember(kept.clone());
        (self.of.keep)(&kept);
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.of.entries.lock().by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Attempt, ENTRIES_MAX, Idempotency};
    use crate::base::clock::Clock;
    use std::sync::Arc;
    use std::time::Duration;

    fn answer(body: &str) -> Answer {
        Answer { status: 201, content_type: "application/json".to_owned(), body: Arc::from(body.as_bytes()) }
    }

    fn fresh(known: &Idempotency, key: &str, body: &str) {
        match known.attempt(key.to_owned(), [0; 32]) {
            Attempt::Fresh(ticket) => ticket.finish(answer(body)),
            _ => panic!("{key} is taken"),
        }
    }

    #[test]
    fn a_key_gives_its_first_answer_until_it_is_too_old() {
        let clock = Clock::by_hand(0);
        let known = Idempotency::new(clock.clone(), [], |_| {});
        fresh(&known, "a", "first");
        assert!(
            matches!(known.attempt("a".to_owned(), [0; 32]), Attempt::Done(done) if done == answer("first"))
        );
        assert!(matches!(known.attempt("a".to_owned(), [1; 32]), Attempt::Other));
        clock.advance(Duration::from_secs(601));
        fresh(&known, "a", "second");
    }

    #[test]
    fn a_request_in_progress_is_not_done_twice_and_a_failed_one_may_be_repeated() {
        let known = Idempotency::new(Clock::by_hand(0), [], |_| {});
        let ticket = known.attempt("a".to_owned(), [0; 32]);
        assert!(matches!(&ticket, Attempt::Fresh(_)));
        assert!(matches!(known.attempt("a".to_owned(), [0; 32]), Attempt::InProgress));
        drop(ticket);
        fresh(&known, "a", "done");
    }

    #[test]
    fn the_oldest_keys_go_first_and_the_others_come_back_after_a_restart() {
        let clock = Clock::by_hand(0);
        let known = Idempotency::new(clock.clone(), [], |_| {});
        (0..=ENTRIES_MAX).for_each(|number| fresh(&known, &number.to_string(), "x"));
        assert!(matches!(known.attempt("0".to_owned(), [0; 32]), Attempt::Fresh(_)));
        let again = Idempotency::new(clock, known.remembered(), |_| {});
        assert_eq!(again.remembered().len(), ENTRIES_MAX);
        assert!(matches!(again.attempt("1".to_owned(), [0; 32]), Attempt::Done(_)));
    }
}
