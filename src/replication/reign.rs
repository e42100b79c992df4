//! Who has been home, and from which event on: by this two copies know how far they agree.
//!
//! Source: the leader epochs of Kafka (KIP-101), with a token, since nobody here hands out epochs.

use serde::{Deserialize, Serialize};

use crate::cluster::swim::NodeId;

/// A node's time as the home of a disruptor. The higher of two reigns holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reign {
    /// Counts homes, from 1.
    pub epoch: u64,
    /// Tells apart two reigns of one epoch, which two halves of a cluster may begin.
    pub token: u64,
    /// The node.
    pub home: NodeId,
}

/// Reigns that are remembered.
const REIGNS_MAX: usize = 64;

/// The reigns under which the events of a log were taken, the oldest first, each with its first event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage(Vec<(Reign, u64)>);

impl Lineage {
    /// The last reign that is known of.
    pub fn last(&self) -> Option<&Reign> {
        self.0.last().map(|(reign, _)| reign)
    }

    /// Each reign with its first event.
    #[cfg(test)]
    pub fn reigns(&self) -> &[(Reign, u64)] {
        &self.0
    }

    /// The reigns that a log with this end has events of.
    pub fn up_to(&self, end: u64) -> Self {
        Self(self.0.iter().filter(|(_, start)| *start < end).cloned().collect())
    }

    /// With one more reign, from an event on.
    pub fn with(mut self, reign: Reign, start: u64) -> Self {
        self.0.push((reign, start));
        let forgotten = self.0.len().saturating_sub(REIGNS_MAX);
        self.0.drain(..forgotten);
        self
    }

    /// Up to where a log of this lineage and with this end is the beginning of a home's log.
    pub fn agrees_up_to(&self, end: u64, home: &Self) -> u64 {
        let own = self.up_to(end);
        let end_of = |lineage: &Self, place: usize| lineage.0.get(place + 1).map(|(_, start)| *start);
        let places = (0..own.0.len()).rev();
        let shared = places.filter_map(|place| {
            let there = home.0.iter().position(|(reign, _)| *reign == own.0[place].0)?;
            let own_end = end_of(&own, place).unwrap_or(end);
            Some(end_of(home, there).map_or(own_end, |end| end.min(own_end)))
        });
        shared.into_iter().next().unwrap_or(0)
    }

    /// Whether it can be one, wherever it comes from.
    pub fn is_sound(&self) -> bool {
        let grows = |pair: &[(Reign, u64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        self.0.len() <= REIGNS_MAX && self.0.windows(2).all(grows)
    }
}

#[cfg(test)]
mod tests {
    use super::{Lineage, Reign};
    use crate::cluster::swim::NodeId;

    fn lineage(reigns: &[(u64, u64)]) -> Lineage {
        let home = NodeId::new("a").expect("a name");
        let reign = |epoch| Reign { epoch, token: epoch, home: home.clone() };
        reigns.iter().fold(Lineage::default(), |lineage, (epoch, start)| lineage.with(reign(*epoch), *start))
    }

    #[test]
    fn logs_agree_up_to_the_end_of_the_last_reign_that_both_know() {
        let home = lineage(&[(1, 0), (3, 80), (5, 90)]);
        let agrees = |own: &[(u64, u64)], end| lineage(own).agrees_up_to(end, &home);
        assert_eq!(agrees(&[(1, 0)], 60), 60);
        assert_eq!(agrees(&[(1, 0)], 100), 80);
        assert_eq!(agrees(&[(1, 0), (4, 70)], 75), 70);
        assert_eq!(agrees(&[(1, 0), (4, 85)], 87), 80);
        assert_eq!(agrees(&[(1, 0), (3, 80)], 85), 85);
        assert_eq!(agrees(&[(1, 0), (3, 80), (5, 90)], 99), 99);
        // A reign that was announced and of which no event came says nothing.
        assert_eq!(agrees(&[(1, 0), (5, 90)], 70), 70);
        assert_eq!(agrees(&[(2, 0)], 50), 0);
        assert_eq!(agrees(&[], 0), 0);
    }

    #[test]
    fn a_lineage_grows_and_forgets_the_oldest() {
        let long: Vec<_> = (1..100).map(|epoch| (epoch, epoch)).collect();
        assert!(lineage(&long).is_sound() && lineage(&long).0.len() == 64);
        assert!(!lineage(&[(2, 0), (1, 5)]).is_sound() && !lineage(&[(1, 5), (2, 4)]).is_sound());
    }
}
