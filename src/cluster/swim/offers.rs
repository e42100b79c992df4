//! What is known of the services of all nodes, and the rules by which that changes.
//!
//! A record belongs to its node: only the node counts its versions up, in one counter for all of its services. A higher
//! version wins; at the same one, which a node that has lost its memory may give twice, the greater sum. A service
//! that is gone leaves a tombstone, so that old news does not bring it back. A node that hears of a service of its own
//! that it does not offer says so, above the version that it has heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::member::NodeId;
use super::message::ServiceRecord;
use super::service::{Offer, SERVICE_BYTES_MAX, SERVICES_MAX, check_status_note};

/// No node has spoken of its services so often; who says so lies, and leaves no room to say otherwise.
const VERSION_MAX: u64 = 1 << 62;

/// Services by their nodes and ids.
#[derive(Debug)]
pub struct Offers {
    own: NodeId,
    /// After which a tombstone is forgotten.
    reclaim: Duration,
    /// More are not taken up from others.
    total_max: usize,
    /// The highest version that this node has given or heard of itself.
    version: u64,
    nodes: BTreeMap<NodeId, BTreeMap<String, Kept>>,
    total: usize,
    refused: u64,
}

#[derive(Debug)]
struct Kept {
    record: ServiceRecord,
    digest: u64,
    since: Duration,
}

/// What a record has changed.
#[derive(Debug)]
pub struct Change {
    /// What was offered.
    pub before: Option<Arc<Offer>>,
    /// What is offered now.
    pub after: Option<Arc<Offer>>,
}

impl Offers {
    /// No services yet, of the node `own`.
    pub fn new(own: NodeId, reclaim: Duration, total_max: usize) -> Self {
        Self { own, reclaim, total_max, version: 0, nodes: BTreeMap::new(), total: 0, refused: 0 }
    }

    /// How often one was not taken up since there were too many.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// What a node offers.
    pub fn of(&self, node: &NodeId) -> impl Iterator<Item = &Arc<Offer>> {
        self.nodes.get(node).into_iter().flatten().filter_map(|(_, kept)| kept.record.offer())
    }

    /// Nodes, and what each of them offers.
    pub fn by_node(&self) -> impl Iterator<Item = (&NodeId, impl Iterator<Item = &Arc<Offer>>)> {
        self.nodes.iter().map(|(node, services)| {
            let offers = services.values().filter_map(|kept| kept.record.offer());
            (node, offers)
        })
    }

    /// What a node offers under this id.
    pub fn get(&self, node: &NodeId, id: &str) -> Option<&Arc<Offer>> {
        self.nodes.get(node)?.get(id)?.record.offer()
    }

    /// Offers a service of this node, at the next version. Nothing if there is no room.
    pub fn offer(&mut self, now: Duration, offer: Offer) -> Option<(ServiceRecord, Change)> {
        let record = ServiceRecord::Offered { version: self.version + 1, offer: Arc::new(offer) };
        self.say(now, record)
    }

    /// Offers a service of this node no longer. Nothing if it does not offer that.
    pub fn withdraw(&mut self, now: Duration, id: &str) -> Option<(ServiceRecord, Change)> {
        self.get(&self.own, id)?;
        self.say(now, self.tombstone(id))
    }

    fn tombstone(&self, id: &str) -> ServiceRecord {
        ServiceRecord::Withdrawn { version: self.version + 1, node: self.own.clone(), id: id.to_owned() }
    }

    fn say(&mut self, now: Duration, record: ServiceRecord) -> Option<(ServiceRecord, Change)> {
        self.version = record.version();
        let before = self.put(now, record.clone())?;
        let after = record.offer().cloned();
        Some((record, Change { before, after }))
    }

    /// Takes up what is said of another node's service: what has changed, or nothing.
    pub fn hear(&mut self, now: Duration, record: &ServiceRecord) -> Option<Change> {
        let kept = self.nodes.get(record.node()).and_then(|services| services.get(record.id()));
        if kept.is_none() && self.total >= self.total_max {
            self.refused += 1;
            return None;
        }
        if kept.is_some_and(|kept| !kept.yields_to(record)) || !is_sound(record) {
            return None;
        }
        let before = self.put(now, record.clone())?;
        Some(Change { before, after: record.offer().cloned() })
    }

    /// What this node has to say to what others say of its services, if anything.
    pub fn hear_own(&mut self, now: Duration, record: &ServiceRecord) -> Option<ServiceRecord> {
        if !is_sound(record) {
            return None;
        }
        let services = self.nodes.get_mut(&self.own).and_then(|services| services.get_mut(record.id()));
        if let Some(kept) = services
            && !kept.yields_to(record)
        {
            let is_silent = !kept.is_told(now, self.reclaim);
            // Somebody has not heard of the removal in all the time in which it was told.
            return (is_silent && record.offer().is_some()).then(|| {
                kept.since = now;
                kept.record.clone()
            });
        }
        self.version = self.version.max(record.version());
        let answer = match (self.get(&self.own, record.id()), record) {
            (Some(offer), _) => {
                ServiceRecord::Offered { version: self.version + 1, offer: Arc::clone(offer) }
            }
            (None, ServiceRecord::Offered { .. }) => self.tombstone(record.id()),
            (None, ServiceRecord::Withdrawn { .. }) => {
                self.put(now, record.clone());
                return None;
            }
        };
        self.version = answer.version();
        self.put(now, answer.clone());
        Some(answer)
    }

    /// Keeps a record: what was offered before, or nothing at all if there is no room.
    fn put(&mut self, now: Duration, record: ServiceRecord) -> Option<Option<Arc<Offer>>> {
        let services = self.nodes.entry(record.node().clone()).or_default();
        let id = record.id().to_owned();
        if services.len() >= SERVICES_MAX && !services.contains_key(&id) {
            // The oldest tombstone goes; every node chooses the same one.
            let tombstones = services.iter().filter(|(_, kept)| kept.record.offer().is_none());
            let oldest = tombstones.map(|(id, kept)| (kept.record.version(), id)).min()?;
            if record.offer().is_none() && record.version() < oldest.0 {
                return None;
            }
            let oldest = oldest.1.clone();
            services.remove(&oldest);
            self.total -= 1;
        }
        let kept = Kept { digest: record.digest(), record, since: now };
        let before = services.insert(id, kept);
        self.total += usize::from(before.is_none());
        Some(before.and_then(|before| before.record.offer().cloned()))
    }

    /// Every record that is told to others. Tombstones are told for the first half of their time only: what one node has
    /// forgotten is not to come back from another one that has not yet.
    pub fn told(&self, now: Duration) -> impl Iterator<Item = &ServiceRecord> {
        self.told_kept(now).map(|kept| &kept.record)
    }

    /// A sum over what is told.
    pub fn digest(&self, now: Duration) -> u64 {
        self.told_kept(now).fold(0, |sum, kept| sum.wrapping_add(kept.digest))
    }

    fn told_kept(&self, now: Duration) -> impl Iterator<Item = &Kept> {
        self.nodes.values().flat_map(BTreeMap::values).filter(move |kept| kept.is_told(now, self.reclaim))
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: &NodeId) {
        self.total -= self.nodes.remove(node).map_or(0, |services| services.len());
    }

    /// Forgets tombstones that have had their time.
    pub fn sweep(&mut self, now: Duration) {
        let reclaim = self.reclaim;
        self.nodes.retain(|_, services| {
            services.retain(|_, kept| kept.record.offer().is_some() || kept.since + reclaim > now);
            !services.is_empty()
        });
        self.total = self.nodes.values().map(BTreeMap::len).sum();
    }
}

impl Kept {
    fn yields_to(&self, record: &ServiceRecord) -> bool {
        let order = self.record.version().cmp(&record.version());
        order.then_with(|| self.digest.cmp(&record.digest())).is_lt()
    }

    fn is_told(&self, now: Duration, reclaim: Duration) -> bool {
        self.record.offer().is_some() || self.since + reclaim / 2 > now
    }
}

fn is_sound(record: &ServiceRecord) -> bool {
    let is_whole = match record {
        ServiceRecord::Offered { offer, .. } => {
            offer.service.check().is_ok() && check_status_note(&offer.note).is_ok()
        }
        ServiceRecord::Withdrawn { id, .. } => NodeId::new(id).is_some(),
    };
    is_whole && record.version() < VERSION_MAX && record.bytes() <= SERVICE_BYTES_MAX
}
