//! What followers have of a disruptor's events, and who waits until they do.

use std::ops::Range;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::base::deadline::Deadline;

/// The followers of a disruptor whose home is here.
#[derive(Debug, Default)]
pub struct Copies {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By name: the events that it has had, without a gap.
    followers: Vec<(String, Range<u64>)>,
    /// Counts how often this node has ceased to be the home.
    ceased: u64,
}

impl Copies {
    /// The followers that count from now on, and what each has had without a gap.
    pub fn set<'n>(&self, followers: impl Iterator<Item = (&'n str, Range<u64>)>) {
        let mut state = self.state.lock();
        state.followers.clear();
        state.followers.extend(followers.map(|(name, has)| (name.to_owned(), has)));
        self.changed.notify_all();
    }

    /// The followers that count, and what they have.
    pub fn followers(&self) -> Vec<(String, Range<u64>)> {
        self.state.lock().followers.clone()
    }

    /// How many followers count.
    pub fn count(&self) -> usize {
        self.state.lock().followers.len()
    }

    /// Forgets the followers, and sends everybody home who waits for them.
    pub fn cease(&self) {
        let mut state = self.state.lock();
        state.followers.clear();
        state.ceased += 1;
        self.changed.notify_all();
    }

    /// Waits until so many followers have these events.
    ///
    /// Errors: how many had them when the time was over, or when this node ceased to be the home.
    pub fn wait(&self, events: &Range<u64>, needed: usize, deadline: Deadline) -> Result<(), usize> {
        let mut state = self.state.lock();
        let ceased = state.ceased;
        loop {
            let has_them = |has: &Range<u64>| has.start <= events.start && events.end <= has.end;
            let reached = state.followers.iter().filter(|(_, has)| has_them(has)).count();
            if reached >= needed {
                return Ok(());
            }
            let left = deadline.remaining().unwrap_or(Duration::MAX / 4);
            if left.is_zero() || state.ceased != ceased {
                return Err(reached);
            }
            self.changed.wait_for(&mut state, left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Copies;
    use crate::base::deadline::Deadline;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn waiting_ends_when_enough_have_all_of_it() {
        let copies = Copies::default();
        let reached = |events, needed| copies.wait(&events, needed, Deadline::after(Duration::ZERO));
        assert_eq!(reached(0..5, 0), Ok(()));
        copies.set([("a", 0..5), ("b", 0..4)].into_iter());
        assert_eq!((reached(0..5, 1), reached(0..5, 2)), (Ok(()), Err(1)));
        // It skipped some of them.
        copies.set([("a", 0..5), ("b", 3..9)].into_iter());
        assert_eq!((reached(0..5, 2), reached(3..5, 2)), (Err(1), Ok(())));
        copies.set([("b", 3..9)].into_iter());
        assert_eq!((copies.count(), reached(0..5, 1)), (1, Err(0)));
        let patient = Deadline::after(Duration::from_secs(600));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| copies.wait(&(9..10), 1, patient));
            copies.set([("b", 3..10)].into_iter());
            assert_eq!(waiting.join().expect("no panic"), Ok(()));
            let waiting = scope.spawn(|| copies.wait(&(10..11), 1, patient));
            while !waiting.is_finished() {
                copies.cease();
                thread::yield_now();
            }
            assert_eq!(waiting.join().expect("no panic"), Err(0));
        });
    }
}
