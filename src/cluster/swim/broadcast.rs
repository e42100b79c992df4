//! Updates on their way: each goes along with other datagrams until it has gone often enough.
//!
//! Source: SWIM, section 4.1: an update that a node has passed on `lambda * log(n)` times has reached all with high
//! probability.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::message::{Subject, Update, encode};

/// Updates, at most one of each subject: a newer one takes the place of an older one.
#[derive(Debug)]
pub struct Broadcasts {
    /// Longer ones are not passed on, since they would keep others waiting; full states have them.
    bytes_max: usize,
    waiting: BTreeMap<Rank, (Subject, Vec<u8>)>,
    ranks: BTreeMap<Subject, Rank>,
    counter: u64,
    notes: usize,
}

/// What is said of members comes first, whatever else there is to tell, and suspicions last among it: where there is too
/// much to tell they would keep back the refutations. Then what has gone least often; of these the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    is_aside: bool,
    is_suspicion: bool,
    transmits: u32,
    age: Reverse<u64>,
}

/// With more, that which has gone most often goes no more; full states have it.
const WAITING_MAX: usize = 65_536;
/// Updates that do not fit may be followed by smaller ones that do; so many are tried.
const MISFITS_MAX: usize = 4;
/// No update is smaller.
const UPDATE_BYTES_MIN: usize = 8;

impl Broadcasts {
    /// None yet, and none that is longer than so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: BTreeMap::new(), ranks: BTreeMap::new(), counter: 0, notes: 0 }
    }

    /// Longer updates are not passed on.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Has an update passed on.
    pub fn push(&mut self, update: &Update) {
        let bytes = encode(update);
        if bytes.len() > self.bytes_max {
            return;
        }
        self.counter += 1;
        let subject = update.subject();
        let is_aside = !matches!(subject, Subject::Member(_));
        let is_suspicion = matches!(update, Update::Suspect { .. });
        let rank = Rank { is_aside, is_suspicion, transmits: 0, age: Reverse(self.counter) };
        match self.ranks.insert(subject.clone(), rank) {
            Some(older) => drop(self.waiting.remove(&older)),
            None => self.notes += usize::from(matches!(subject, Subject::Note(..))),
        }
        self.waiting.insert(rank, (subject, bytes));
        if self.waiting.len() > WAITING_MAX
            && let Some((_, (last, _))) = self.waiting.pop_last()
        {
            self.forget(&last);
        }
    }

    fn forget(&mut self, subject: &Subject) {
        self.ranks.remove(subject);
        self.notes -= usize::from(matches!(subject, Subject::Note(..)));
    }

    /// Whether something of this subject is still to be passed on.
    pub fn holds(&self, subject: &Subject) -> bool {
        self.ranks.contains_key(subject)
    }

    /// Whether there is nothing to pass on.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Notes that are still to be passed on.
    pub fn notes(&self) -> usize {
        self.notes
    }

    /// Adds as many as fit into `bytes_max`; each goes at most `transmits_max` times.
    pub fn fill(&mut self, body: &mut Vec<u8>, bytes_max: usize, transmits_max: u32) {
        let (mut sent, mut misfits) = (Vec::new(), 0);
        for (rank, (_, bytes)) in &self.waiting {
            let left = bytes_max.saturating_sub(body.len());
            if left < UPDATE_BYTES_MIN || misfits == MISFITS_MAX {
                break;
            }
            if bytes.len() > left {
                misfits += 1;
                continue;
            }
            body.extend_from_slice(bytes);
            sent.push(*rank);
        }
        for rank in sent {
            let (subject, bytes) = self.waiting.remove(&rank).expect("it was just seen");
            let rank = Rank { transmits: rank.transmits + 1, ..rank };
            if rank.transmits < transmits_max {
                self.ranks.insert(subject.clone(), rank);
                self.waiting.insert(rank, (subject, bytes));
            } else {
                self.forget(&subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broadcasts, WAITING_MAX};
    use crate::cluster::swim::member::{Metadata, NodeId};
    use crate::cluster::swim::message::{ServiceRecord, Update, decode, encode};

    fn dead(name: &str, incarnation: u64) -> Update {
        Update::Dead { id: NodeId::new(name).expect("a name"), incarnation }
    }

    fn filled(broadcasts: &mut Broadcasts, bytes_max: usize) -> Vec<Update> {
        let mut body = encode(&None::<super::super::message::Message>);
        broadcasts.fill(&mut body, bytes_max, 2);
        assert!(body.len() <= bytes_max);
        decode(&body).expect("it is well formed").1
    }

    #[test]
    fn each_goes_as_often_as_it_should_and_the_newest_of_a_node_counts() {
        let mut broadcasts = Broadcasts::new(100);
        for (name, incarnation) in [("a", 1), ("b", 1), ("a", 2)] {
            broadcasts.push(&dead(name, incarnation));
        }
        let long = Update::Alive {
            id: NodeId::new("long").expect("a name"),
            incarnation: 1,
            address: "127.0.0.1:1".parse().expect("an address"),
            metadata: Metadata::new([("text".to_owned(), "x".repeat(200))].into()),
        };
        broadcasts.push(&long);
        assert_eq!(filled(&mut broadcasts, 1000), [dead("a", 2), dead("b", 1)]);
        broadcasts.push(&dead("c", 1));
        assert_eq!(filled(&mut broadcasts, 1000), [dead("c", 1), dead("a", 2), dead("b", 1)]);
        assert_eq!(filled(&mut broadcasts, 1000), [dead("c", 1)]);
        assert!(broadcasts.is_empty());
    }

    #[test]
    fn who_lives_is_told_before_what_is_offered() {
        let gone = |version| {
            let (node, id) = (NodeId::new("a").expect("a name"), format!("web-{version}"));
            Update::Service(ServiceRecord::Withdrawn { version, node, id })
        };
        let note = Update::Note { from: NodeId::new("a").expect("a name"), number: 1, body: vec![1] };
        let mut broadcasts = Broadcasts::new(100);
        broadcasts.push(&dead("a", 1));
        filled(&mut broadcasts, 1000);
        broadcasts.push(&gone(1));
        broadcasts.push(&gone(2));
        broadcasts.push(&note);
        assert_eq!((broadcasts.notes(), broadcasts.holds(&note.subject())), (1, true));
        assert_eq!(filled(&mut broadcasts, 1000), [dead("a", 1), note.clone(), gone(2), gone(1)]);
        assert_eq!(filled(&mut broadcasts, 1000), [note, gone(2), gone(1)]);
        assert_eq!(broadcasts.notes(), 0);
        assert!(broadcasts.is_empty());
    }

    #[test]
    fn suspicions_do_not_keep_back_what_refutes_them() {
        let suspect = |name: &str| {
            let [id, from] = [name, "z"].map(|name| NodeId::new(name).expect("a name"));
            Update::Suspect { id, incarnation: 1, from, is_refused: false }
        };
        let mut broadcasts = Broadcasts::new(100);
        broadcasts.push(&dead("a", 1));
        broadcasts.push(&suspect("b"));
        assert_eq!(filled(&mut broadcasts, 1000), [dead("a", 1), suspect("b")]);
        broadcasts.push(&suspect("c"));
        assert_eq!(filled(&mut broadcasts, 1000), [dead("a", 1), suspect("c"), suspect("b")]);
    }

    #[test]
    fn what_waits_has_a_limit_and_who_lives_is_told_first() {
        let mut broadcasts = Broadcasts::new(100);
        broadcasts.push(&dead("a", 1));
        for number in 0..WAITING_MAX as u64 + 100 {
            let from = NodeId::new("b").expect("a name");
            broadcasts.push(&Update::Note { from, number, body: Vec::new() });
        }
        assert_eq!(broadcasts.waiting.len(), WAITING_MAX);
        assert_eq!((broadcasts.ranks.len(), broadcasts.notes()), (WAITING_MAX, WAITING_MAX - 1));
        assert_eq!(filled(&mut broadcasts, 10), [dead("a", 1)]);
    }

    #[test]
    fn what_does_not_fit_waits_for_the_next_one() {
        let mut broadcasts = Broadcasts::new(100);
        (0..100).for_each(|number| broadcasts.push(&dead(&format!("node-{number}"), 1)));
        let mut seen = 0;
        while !broadcasts.is_empty() {
            let sent = filled(&mut broadcasts, 200).len();
            assert!(sent > 0);
            seen += sent;
        }
        assert_eq!(seen, 200);
    }
}
