//! How long a suspect has: long, unless others have found the same, and not long if its machine has told two of them
//! that nobody listens there.
//!
//! Source: Lifeguard, section 4.2 ("dogpile"), but for refusals.

use std::collections::BTreeSet;
use std::time::Duration;

use super::member::NodeId;

/// The least and the most that a suspect has.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    /// What is left once enough have been refused.
    pub refused: Duration,
    /// What is left once enough have confirmed it, or one has been refused.
    pub least: Duration,
    /// What it has while nobody has confirmed it.
    pub most: Duration,
}

/// How many must have found the same.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Besides the first.
    pub confirmations: u32,
    /// All in all. One that is refused may be behind a wall that refuses for the suspect.
    pub refusals: usize,
}

/// The time that a suspect has, and who confirms that it does not answer.
#[derive(Debug)]
pub struct Suspicion {
    started: Duration,
    spans: Spans,
    wanted: Wanted,
    from: BTreeSet<NodeId>,
    /// Those to whom the suspect's machine has said that nobody listens there.
    refused: BTreeSet<NodeId>,
}

impl Suspicion {
    /// Begins at `now`, with nobody who has found it yet.
    pub fn new(now: Duration, spans: Spans, wanted: Wanted) -> Self {
        Self { started: now, spans, wanted, from: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Counts somebody who has found it; false if that changes nothing.
    pub fn confirm(&mut self, from: &NodeId, is_refused: bool) -> bool {
        if is_refused {
            return self.refused.len() < self.wanted.refusals && self.refused.insert(from.clone());
        }
        self.refused.is_empty()
            && self.from.len() <= self.wanted.confirmations as usize
            && self.from.insert(from.clone())
    }

    /// Gives the suspect so much more time.
    pub fn delay(&mut self, span: Duration) {
        self.started += span;
    }

    /// Whether `by` may find out more by asking the suspect's machine itself.
    pub fn wants_refusal(&self, by: &NodeId) -> bool {
        self.refused.len() < self.wanted.refusals && !self.refused.contains(by)
    }

    /// When the suspect's time is over.
    pub fn deadline(&self) -> Duration {
        let Spans { refused, least, most } = self.spans;
        self.started
            + match (self.refused.len(), self.wanted.confirmations) {
                (refusals, _) if refusals >= self.wanted.refusals => refused,
                (0, wanted @ 1..) => {
                    let share = (self.from.len().max(1) as f64).ln() / f64::from(wanted + 1).ln();
                    let span = most.as_secs_f64() - share * (most - least).as_secs_f64();
                    Duration::from_secs_f64(span).max(least)
                }
                _ => least,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::{Spans, Suspicion, Wanted};
    use crate::cluster::swim::member::NodeId;
    use std::time::Duration;

    fn id(name: &str) -> NodeId {
        NodeId::new(name).expect("a name")
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn suspicion(confirmations: u32) -> Suspicion {
        let spans = Spans { refused: seconds(1), least: seconds(2), most: seconds(30) };
        Suspicion::new(seconds(10), spans, Wanted { confirmations, refusals: 2 })
    }

    #[test]
    fn each_confirmation_takes_time_from_the_suspect() {
        let mut suspicion = suspicion(3);
        // The figures of Lifeguard's formula for k = 3.
        for (from, millis) in [("a", 40_000), ("b", 26_000), ("c", 17_810), ("d", 12_000)] {
            assert!(suspicion.confirm(&id(from), false) && !suspicion.confirm(&id(from), false));
            let told = suspicion.deadline().as_millis();
            assert!(told.abs_diff(millis) < 5, "{from}: {told}");
        }
        assert!(!suspicion.confirm(&id("e"), false), "enough have confirmed it");
    }

    #[test]
    fn where_nobody_can_confirm_it_the_least_time_is_all() {
        let mut suspicion = suspicion(0);
        assert!(suspicion.confirm(&id("a"), false) && !suspicion.confirm(&id("b"), false));
        assert_eq!(suspicion.deadline(), seconds(12));
    }

    #[test]
    fn one_that_is_refused_leaves_the_least_time_and_two_leave_less() {
        let mut suspicion = suspicion(3);
        for (from, deadline) in [("a", 12), ("b", 11)] {
            assert!(suspicion.wants_refusal(&id(from)));
            assert!(suspicion.confirm(&id(from), true) && !suspicion.confirm(&id(from), true));
            assert!(!suspicion.wants_refusal(&id(from)));
            assert_eq!(suspicion.deadline(), seconds(deadline));
        }
        assert!(!suspicion.confirm(&id("c"), true) && !suspicion.confirm(&id("d"), false));
    }
}
