//! How long a suspect has: long, unless others have found the same.
//!
//! Source: Lifeguard, section 4.2 ("dogpile").

use std::collections::BTreeSet;
use std::time::Duration;

use super::member::NodeId;

/// The time that a suspect has, and who confirms that it does not answer.
#[derive(Debug)]
pub struct Suspicion {
    started: Duration,
    least: Duration,
    most: Duration,
    /// Confirmations after which only the least time is left.
    wanted: u32,
    from: BTreeSet<NodeId>,
}

impl Suspicion {
    /// Begins at `now`, by what `from` has found.
    pub fn new(now: Duration, from: NodeId, wanted: u32, least: Duration, most: Duration) -> Self {
        Self { started: now, least, most, wanted, from: BTreeSet::from([from]) }
    }

    /// Counts somebody who has found the same; false if that changes nothing.
    pub fn confirm(&mut self, from: &NodeId) -> bool {
        self.confirmations() < self.wanted && self.from.insert(from.clone())
    }

    fn confirmations(&self) -> u32 {
        self.from.len() as u32 - 1
    }

    /// When the suspect's time is over.
    pub fn deadline(&self) -> Duration {
        if self.wanted == 0 {
            return self.started + self.least;
        }
        let share = f64::from(self.confirmations() + 1).ln() / f64::from(self.wanted + 1).ln();
        let span = self.most.as_secs_f64() - share * (self.most - self.least).as_secs_f64();
        self.started + Duration::from_secs_f64(span).max(self.least)
    }
}

#[cfg(test)]
mod tests {
    use super::Suspicion;
    use crate::cluster::swim::member::NodeId;
    use std::time::Duration;

    #[test]
    fn each_confirmation_takes_time_from_the_suspect() {
        let id = |name: &str| NodeId::new(name).expect("a name");
        let seconds = Duration::from_secs;
        let mut suspicion = Suspicion::new(seconds(10), id("a"), 3, seconds(2), seconds(30));
        assert_eq!(suspicion.deadline(), seconds(40));
        // The figures of Lifeguard's formula for k = 3.
        for (from, millis) in [("b", 26_000), ("c", 17_810), ("d", 12_000)] {
            assert!(suspicion.confirm(&id(from)) && !suspicion.confirm(&id(from)));
            let told = suspicion.deadline().as_millis();
            assert!(told.abs_diff(millis) < 5, "{from}: {told}");
        }
        assert!(!suspicion.confirm(&id("e")), "enough have confirmed it");
        assert_eq!(Suspicion::new(seconds(1), id("a"), 0, seconds(2), seconds(30)).deadline(), seconds(3));
    }
}
