//! What can be seen of a disruptor's replication from one of its nodes.

use super::driver::Replication;
use super::message::Part;
use super::replica::{Log, Role};

/// A disruptor's replication, as this node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// `home`, `follower`, or `claimant` for a node that looks for copies before it becomes the home.
    pub part: &'static str,
    /// Counts the homes that there have been; 0 before the first.
    pub epoch: u64,
    /// The home, if one is known.
    pub home: Option<String>,
    /// The nodes whose copies count, the home among them.
    pub nodes: Vec<String>,
    /// The first event that is kept here.
    pub start: u64,
    /// The next event's sequence here.
    pub end: u64,
    /// Whether this copy has all that was acknowledged before it was made.
    pub is_complete: bool,
    /// Nodes that are to have an event when it is acknowledged.
    pub wanted: usize,
    /// At home: the nodes that have every event by now, the home among them.
    pub reached: Option<usize>,
    /// At home: the others.
    pub followers: Vec<FollowerReport>,
    /// Why there is no home.
    pub trouble: Option<String>,
}

/// A follower, as its home knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowerReport {
    /// The node.
    pub node: String,
    /// The next event's sequence there.
    pub end: u64,
    /// Events that it has not had.
    pub lag: u64,
    /// Whether events are acknowledged by its copy.
    pub counts: bool,
    /// Whether it takes events.
    pub is_connected: bool,
    /// Batches that it has answered since this node became the home.
    pub batches: u64,
    /// The bytes of their messages.
    pub bytes: u64,
    /// Why nothing goes.
    pub trouble: Option<String>,
}

impl Replication {
    /// What is known here of a disruptor's replication.
    pub fn report(&self, name: &str) -> Option<Report> {
        let entry = self.entry(name)?;
        let own = self.cluster().id().clone();
        let links = entry.links.lock().clone();
        let trouble = entry.trouble.lock().clone();
        Some(entry.look(|replica| {
            let known = replica.known();
            let (home, mut followers, mut reached) = match replica.role() {
                Role::Following(home) => (home.clone(), Vec::new(), None),
                Role::Claiming => (None, Vec::new(), None),
                Role::Home(_) => (Some(own), Vec::new(), Some(1)),
            };
            let end = replica.log.end();
            if let Role::Home(home) = replica.role() {
                let counted = home.counted();
                for (node, link) in home.links() {
                    let figures = links.get(node);
                    let has = link.has();
                    let counts = counted.contains(node);
                    if let Some(reached) = reached.as_mut().filter(|_| counts && has.end >= end) {
                        *reached += 1;
                    }
                    followers.push(FollowerReport {
                        node: node.to_string(),
                        end: has.end,
                        lag: end.saturating_sub(has.end),
                        counts,
                        is_connected: link.is_open(),
                        batches: figures.map_or(0, |figures| figures.batches.value()),
                        bytes: figures.map_or(0, |figures| figures.bytes.value()),
                        trouble: figures.and_then(|figures| figures.trouble.lock().clone()),
                    });
                }
            }
            Report {
                part: match known.part {
                    Part::Home => "home",
                    Part::Follower => "follower",
                    Part::Claimant => "claimant",
                },
                epoch: known.lineage.last().map_or(0, |reign| reign.epoch),
                home: home.map(|home| home.to_string()),
                nodes: known.set.nodes.iter().map(ToString::to_string).collect(),
                start: known.start,
                end: known.end,
                is_complete: known.is_complete,
                wanted: entry.level(),
                reached,
                followers,
                trouble: trouble.filter(|_| known.part == Part::Claimant),
            }
        }))
    }
}
