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
    /// Whose copies count from now on. What those that stay have is kept.
    pub fn set_followers(&self, names: &[&str]) {
        let mut state = self.state.lock();
        let known = std::mem::take(&mut state.followers);
        let had = |name: &str| known.iter().find(|(other, _)| other == name).map(|(_, has)| has.clone());
        state.followers =
            names.iter().map(|name| ((*name).to_owned(), had(name).unwrap_or_default())).collect();
        self.changed.notify_all();
    }

    /// Notes what a follower has. It is of no interest if it does not count.
    pub fn note(&self, name: &str, has: Range<u64>) {
        let mut state = self.state.lock();
        if let Some(follower) = state.followers.iter_mut().find(|(other, _)| other == name) {
            follower.1 = has;
            self.changed.notify_all();
        }
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
        copies.set_followers(&["a", "b"]);
        let reached = |events, needed| copies.wait(&events, needed, Deadline::after(Duration::ZERO));
        assert_eq!(reached(0..5, 0), Ok(()));
        copies.note("a", 0..5);
        copies.note("b", 0..4);
        copies.note("stranger", 0..9);
        assert_eq!((reached(0..5, 1), reached(0..5, 2)), (Ok(()), Err(1)));
        // It skipped some of them.
        copies.note("b", 3..9);
        assert_eq!((reached(0..5, 2), reached(3..5, 2)), (Err(1), Ok(())));
        copies.set_followers(&["b"]);
        assert_eq!((copies.count(), reached(0..5, 1)), (1, Err(0)));
        let patient = Deadline::after(Duration::from_secs(600));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| copies.wait(&(9..10), 1, patient));
            copies.note("b", 3..10);
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
