//! Updates on their way: each goes along with other datagrams until it has gone often enough.
//!
//! Source: SWIM, section 4.1: an update that a node has passed on `lambda * log(n)` times has reached all with high
//! probability.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::member::NodeId;
use super::message::{Update, encode};

/// Updates, at most one of each node: a newer one takes the place of an older one.
#[derive(Debug)]
pub struct Broadcasts {
    /// Longer ones are not passed on, since they would keep others waiting; full states have them.
    bytes_max: usize,
    waiting: BTreeMap<Rank, (NodeId, Vec<u8>)>,
    ranks: BTreeMap<NodeId, Rank>,
    counter: u64,
}

/// Who has gone least often comes first, and of these the newest.
type Rank = (u32, Reverse<u64>);

/// Updates that do not fit may be followed by smaller ones that do; so many are tried.
const MISFITS_MAX: usize = 4;
/// No update is smaller.
const UPDATE_BYTES_MIN: usize = 8;

impl Broadcasts {
    /// None yet, and none that is longer than so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: BTreeMap::new(), ranks: BTreeMap::new(), counter: 0 }
    }

    /// Has an update passed on.
    pub fn push(&mut self, update: &Update) {
        let bytes = encode(update);
        if bytes.len() > self.bytes_max {
            return;
        }
        self.counter += 1;
        let (id, rank) = (update.id().clone(), (0, Reverse(self.counter)));
        if let Some(older) = self.ranks.insert(id.clone(), rank) {
            self.waiting.remove(&older);
        }
        self.waiting.insert(rank, (id, bytes));
    }

    /// Whether something of this node is still to be passed on.
    pub fn holds(&self, id: &NodeId) -> bool {
        self.ranks.contains_key(id)
    }

    /// Whether there is nothing to pass on.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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
        for (transmits, age) in sent {
            let (id, bytes) = self.waiting.remove(&(transmits, age)).expect("it was just seen");
            let rank = (transmits + 1, age);
            if rank.0 < transmits_max {
                self.ranks.insert(id.clone(), rank);
                self.waiting.insert(rank, (id, bytes));
            } else {
                self.ranks.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Broadcasts;
    use crate::cluster::swim::member::{Metadata, NodeId};
    use crate::cluster::swim::message::{Update, decode, encode};

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
