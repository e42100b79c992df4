//! Services: what this node offers, what others do, and which one to take.

use std::collections::BTreeMap;

use super::driver::{Cluster, Shared};
use super::health::Check;
use super::swim::{Input, NodeId, Offer, Service, ServiceError, Status};
use crate::base::rng::Rng;

/// How one of several offers is chosen; only those with the best status among them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Any.
    Random,
    /// One after the other, in the order of their nodes and ids. Each name and tag has its own turn on each node.
    RoundRobin,
    /// That with the smallest load; any of those if there are several.
    LeastLoaded,
}

impl Cluster {
    /// Offers a service, or describes it anew. With a check it is critical until that has found otherwise, without one
    /// passing; a service that is described anew and checked as before keeps its status, and in any case its load.
    ///
    /// Errors: [`ServiceError`]; nothing has changed then.
    pub fn register(&self, service: Service, check: Option<Check>) -> Result<(), ServiceError> {
        if let Some(check) = &check {
            check.validate()?;
        }
        self.shared.register(&service, check)
    }

    /// Offers a service no longer.
    ///
    /// Errors: [`ServiceError::Unknown`].
    pub fn deregister(&self, id: &str) -> Result<(), ServiceError> {
        let mut book = self.shared.checks.book();
        let mut node = self.shared.node.lock();
        node.swim.own_offer(id).ok_or_else(|| ServiceError::Unknown(id.to_owned()))?;
        self.shared.handle_in(&mut node, Input::Withdraw(id));
        book.forget(id);
        Ok(())
    }

    /// Says how well a service of this node is, and why in at most 96 bytes.
    ///
    /// Errors: [`ServiceError::Unknown`]; [`ServiceError::Checked`] if a TCP or HTTP check finds that; a note that is too
    /// long. Nothing has changed then.
    pub fn report(&self, id: &str, status: Status, note: &str) -> Result<(), ServiceError> {
        let mut book = self.shared.checks.book();
        book.may_report(id)?;
        self.shared.change_offer(id, |offer| (offer.status, offer.note) = (status, note.to_owned()))?;
        book.reported(id);
        self.shared.checks.wake();
        Ok(())
    }

    /// Says how busy a service of this node is, in units of its own. Each change is spread.
    ///
    /// Errors: [`ServiceError::Unknown`].
    pub fn report_load(&self, id: &str, load: u32) -> Result<(), ServiceError> {
        self.shared.change_offer(id, |offer| offer.load = load)
    }

    /// What this node offers, and members that are there, by node and id.
    pub fn services(&self) -> Vec<Offer> {
        self.offers(|_| true)
    }

    /// The services of a name, with a tag if one is given: the best status first, then by node and id.
    pub fn lookup(&self, name: &str, tag: Option<&str>) -> Vec<Offer> {
        let mut found = self.offers(|offer| is_meant(offer, name, tag));
        found.sort_by_key(|offer| offer.status);
        found
    }

    /// One of the services of a name, with a tag if one is given. A critical one only if there is no other.
    pub fn pick(&self, name: &str, tag: Option<&str>, choice: Choice) -> Option<Offer> {
        self.shared.picks.lock().pick(self.lookup(name, tag), name, tag, choice)
    }

    fn offers(&self, wants: impl Fn(&Offer) -> bool) -> Vec<Offer> {
        self.read(|swim| {
            swim.offers().filter(|offer| wants(offer)).map(|offer| Offer::clone(offer)).collect()
        })
    }
}

fn is_meant(offer: &Offer, name: &str, tag: Option<&str>) -> bool {
    offer.service.name == name && tag.is_none_or(|tag| offer.service.tags.iter().any(|own| own == tag))
}

impl Shared {
    fn register(&self, service: &Service, check: Option<Check>) -> Result<(), ServiceError> {
        let mut book = self.checks.book();
        let mut node = self.node.lock();
        node.swim.check_offer(service, "")?;
        let before = node.swim.own_offer(&service.id).cloned();
        let load = before.as_ref().map_or(0, |before| before.load);
        let is_checked = book.has(service, check.as_ref());
        let (status, note) = match &before {
            Some(before) if is_checked => (before.status, before.note.as_str()),
            _ => Check::first(check.as_ref()),
        };
        self.handle_in(&mut node, Input::Offer { service, status, load, note });
        if !is_checked {
            book.watch(service, check);
            self.checks.wake();
        }
        Ok(())
    }

    /// Takes up what a check has found.
    pub(super) fn found(&self, id: &str, status: Status, note: &str) {
        // What has been deregistered has no status.
        let _changed = self.change_offer(id, |offer| (offer.status, offer.note) = (status, note.to_owned()));
    }

    fn change_offer(&self, id: &str, change: impl FnOnce(&mut Offer)) -> Result<(), ServiceError> {
        let mut node = self.node.lock();
        let before = node.swim.own_offer(id).ok_or_else(|| ServiceError::Unknown(id.to_owned()))?;
        let mut offer = Offer::clone(before);
        change(&mut offer);
        let Offer { service, status, load, note, .. } = &offer;
        node.swim.check_offer(service, note)?;
        let (status, load) = (*status, *load);
        self.handle_in(&mut node, Input::Offer { service, status, load, note });
        Ok(())
    }
}

/// Names and tags whose turns are remembered; then all begin anew.
const TURNS_MAX: usize = 1024;

/// What choices depend on besides the offers.
#[derive(Debug)]
pub struct Picks {
    rng: Rng,
    /// Which one was taken last, by name and tag.
    last: BTreeMap<(String, Option<String>), (NodeId, String)>,
}

impl Picks {
    /// Nothing was taken yet.
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), last: BTreeMap::new() }
    }

    /// One of the offers, which come with the best status first.
    fn pick(
        &mut self,
        mut offers: Vec<Offer>,
        name: &str,
        tag: Option<&str>,
        choice: Choice,
    ) -> Option<Offer> {
        let best = offers.first()?.status;
        offers.retain(|offer| offer.status == best);
        if choice == Choice::LeastLoaded {
            let least = offers.iter().map(|offer| offer.load).min();
            offers.retain(|offer| Some(offer.load) == least);
        }
        let place = match choice {
            Choice::Random | Choice::LeastLoaded => self.rng.below(offers.len() as u64) as usize,
            Choice::RoundRobin => {
                let key = (name.to_owned(), tag.map(str::to_owned));
                let last = self.last.get(&key);
                let next = offers.iter().position(|offer| {
                    last.is_some_and(|last| (&offer.node, &offer.service.id) > (&last.0, &last.1))
                });
                let place = next.unwrap_or(0);
                if self.last.len() >= TURNS_MAX && !self.last.contains_key(&key) {
                    self.last.clear();
                }
                self.last.insert(key, (offers[place].node.clone(), offers[place].service.id.clone()));
                place
            }
        };
        Some(offers.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Picks};
    use crate::cluster::swim::{NodeId, Offer, Service, Status};
    use std::collections::BTreeMap;

    fn offer(node: &str, status: Status, load: u32) -> Offer {
        let service = Service {
            id: "web".to_owned(),
            name: "web".to_owned(),
            address: "localhost".to_owned(),
            port: 1,
            tags: Vec::new(),
            metadata: BTreeMap::new(),
        };
        Offer { node: NodeId::new(node).expect("a name"), service, status, load, note: String::new() }
    }

    #[test]
    fn one_of_the_best_is_taken() {
        use Status::{Critical, Passing, Warning};
        let mut picks = Picks::new(1);
        let mut pick = |offers: &[Offer], tag, choice| {
            picks.pick(offers.to_vec(), "web", tag, choice).map(|offer| offer.node.to_string())
        };
        let mixed = [
            offer("a", Passing, 5),
            offer("b", Passing, 3),
            offer("c", Passing, 3),
            offer("d", Warning, 0),
            offer("e", Critical, 0),
        ];
        let mut turns = |offers: &[Offer], tag, choice, count| {
            (0..count).map(|_| pick(offers, tag, choice).unwrap_or_default()).collect::<Vec<_>>().concat()
        };
        assert_eq!(turns(&mixed, None, Choice::RoundRobin, 4), "abca");
        assert_eq!(turns(&mixed, Some("blue"), Choice::RoundRobin, 2), "ab", "another turn");
        // It was c's turn, who is gone.
        assert_eq!(turns(&[&mixed[..1], &mixed[3..]].concat(), Some("blue"), Choice::RoundRobin, 2), "aa");
        let letters = |text: String| text.chars().collect::<std::collections::BTreeSet<_>>();
        assert_eq!(letters(turns(&mixed, None, Choice::Random, 100)), ['a', 'b', 'c'].into());
        assert_eq!(letters(turns(&mixed, None, Choice::LeastLoaded, 100)), ['b', 'c'].into());
        assert_eq!(turns(&mixed[3..], None, Choice::LeastLoaded, 1), "d");
        assert_eq!(turns(&mixed[4..], None, Choice::Random, 1), "e");
        assert_eq!(turns(&[], None, Choice::Random, 1), "");
    }

    #[test]
    fn turns_take_no_more_memory_than_they_may() {
        let mut picks = Picks::new(1);
        for number in 0..3000 {
            picks.pick(vec![offer("a", Status::Passing, 0)], &number.to_string(), None, Choice::RoundRobin);
            assert!(picks.last.len() <= super::TURNS_MAX);
        }
    }
}
