//! The home's part: who its followers are, what each of them has, and what it is sent next.

use std::collections::BTreeMap;
use std::ops::Range;

use super::message::{Answer, Block, Request, Set};
use super::replica::{BATCH_BYTES, Log, Replica, Role};
use crate::cluster::swim::NodeId;

/// What a home keeps of its followers.
///
/// Who is to have copies is one thing, whose copies count is another: a new follower counts when it has come as far as
/// the home was when it was chosen, and when the others have been told of it. So those whose copies count have all that
/// was acknowledged, together, and each of them knows the others.
#[derive(Debug)]
pub struct Home {
    me: NodeId,
    replicas: usize,
    /// Whose copies count, the home among them, and how that was before.
    set: Set,
    before: Vec<NodeId>,
    /// Who is to have copies, and how far they must have come before they count.
    wanted: Vec<NodeId>,
    goal: u64,
    /// How often that was chosen.
    choice: u64,
    links: BTreeMap<NodeId, Link>,
}

/// A follower, as its home sees it.
#[derive(Debug, Default)]
pub struct Link {
    /// Whether it has answered the hello of this conversation.
    is_open: bool,
    /// The version of the set that it was told.
    version: u64,
    /// What it has without a gap.
    has: Range<u64>,
    /// Why it does not take part.
    refused: Option<String>,
}

impl Link {
    /// What it has without a gap.
    pub fn has(&self) -> Range<u64> {
        self.has.clone()
    }

    /// Whether it takes events.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// Why it does not take part.
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }
}

impl Home {
    /// One that goes on with those whose copies have counted so far, and knows of others that have some.
    pub(super) fn new(
        me: NodeId,
        set: &[NodeId],
        others: impl Iterator<Item = NodeId>,
        replicas: usize,
    ) -> Self {
        let nodes = if set.contains(&me) { set.to_vec() } else { vec![me.clone()] };
        let linked = nodes.iter().cloned().chain(others).filter(|node| *node != me);
        let links = linked.map(|node| (node, Link::default())).collect();
        let set = Set { version: 1, nodes: nodes.clone() };
        Self { me, replicas, set, before: nodes, wanted: Vec::new(), goal: 0, choice: 0, links }
    }

    /// The home and the followers whose copies count.
    pub fn set(&self) -> &Set {
        &self.set
    }

    /// Every node that has a copy or is to have one.
    pub fn links(&self) -> &BTreeMap<NodeId, Link> {
        &self.links
    }

    /// Chooses other followers, while the log ends at `end`.
    pub fn want(&mut self, wanted: Vec<NodeId>, end: u64) {
        if wanted != self.wanted {
            self.goal = end;
            self.choice += 1;
            self.wanted = wanted;
            for node in &self.wanted {
                self.links.entry(node.clone()).or_default();
            }
        }
        self.settle();
    }

    /// Has the new followers count as soon as they can.
    fn settle(&mut self) {
        // Before there is a follower nobody has anything that could be lost.
        let is_first = self.set.nodes.len() == 1;
        let is_same = self.wanted.len() + 1 == self.set.nodes.len()
            && self.wanted.iter().all(|node| self.set.nodes.contains(node));
        let has_come = |node: &NodeId| self.links.get(node).is_some_and(|link| link.has.end >= self.goal);
        if !is_same && (is_first || self.wanted.iter().all(has_come)) {
            let nodes = std::iter::once(&self.me).chain(&self.wanted).cloned().collect();
            let set = Set { version: self.set.version + 1, nodes };
            self.before = std::mem::replace(&mut self.set, set).nodes;
        }
    }

    /// The followers by whose copies events are acknowledged.
    pub fn counted(&self) -> Vec<NodeId> {
        let is_told = |link: &Link| !link.is_open || link.version == self.set.version;
        let all_are_told = self.links.values().all(is_told);
        let counts = |node: &&NodeId| {
            let is_of_both = self.set.nodes.contains(node) && self.wanted.contains(node);
            **node != self.me && is_of_both && (all_are_told || self.before.contains(node))
        };
        self.set.nodes.iter().filter(counts).cloned().collect()
    }

    /// Counts the choices of followers.
    pub fn choice(&self) -> u64 {
        self.choice
    }

    /// Takes out those whose copies are needed no more, since there are enough others; they are to be told so.
    pub fn take_released(&mut self) -> Vec<NodeId> {
        if self.set.nodes.len() < self.replicas {
            return Vec::new();
        }
        let is_needed = |node: &NodeId| self.set.nodes.contains(node) || self.wanted.contains(node);
        let released: Vec<_> = self.links.keys().filter(|node| !is_needed(node)).cloned().collect();
        released.iter().for_each(|node| drop(self.links.remove(node)));
        released
    }
}

/// What an answer from a follower means.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// It has what it has.
    Has(Range<u64>),
    /// There is a higher reign; this node is home no more.
    Deposed,
    /// It does not take part for now.
    Refused,
}

impl<L: Log> Replica<L> {
    /// A new conversation with a follower begins.
    pub fn begin(&mut self, follower: &NodeId) {
        if let Some(link) = self.home().and_then(|home| home.links.get_mut(follower)) {
            link.is_open = false;
        }
    }

    /// What a follower is to be sent next; `None` if it has everything. It is sent one thing at a time.
    pub fn next_for(&self, follower: &NodeId, definition: &str) -> Option<Request> {
        let Role::Home(home) = &self.role else { return None };
        let link = home.links.get(follower)?;
        if !link.is_open || link.version < home.set.version {
            return Some(Request::Hello(self.hello(definition, &home.set, home.choice)));
        }
        let next = link.has.end;
        if next < self.log.start() {
            return Some(Request::Skip(self.log.start()));
        }
        let events = self.log.run(next, BATCH_BYTES);
        if events.is_empty() {
            // Overtaken while it was looked up: the next time it is skipped.
            return None;
        }
        Some(Request::Events(next, events.into_iter().map(Block).collect(), self.own_pulse()))
    }

    /// What a follower is sent that has everything, so that both know that the other one lives.
    pub fn beat(&self) -> Request {
        Request::Beat(self.own_pulse())
    }

    /// A follower has answered. `told` is the version of the set that it was sent, if it was a hello.
    pub fn answered(&mut self, follower: &NodeId, told: Option<u64>, answer: Answer) -> Heard {
        let end = self.log.end();
        if let Answer::Superseded(reign) = &answer
            && self.promised.as_ref() < Some(reign)
        {
            self.step_down(reign);
            return Heard::Deposed;
        }
        let Role::Home(home) = &mut self.role else { return Heard::Deposed };
        let Some(link) = home.links.get_mut(follower) else { return Heard::Refused };
        match answer {
            Answer::Have(start, has_end) if start <= has_end && has_end <= end => {
                link.has = start..has_end;
                link.refused = None;
                if let Some(version) = told {
                    link.is_open = true;
                    link.version = version;
                }
                home.settle();
                Heard::Has(start..has_end)
            }
            // It listens to another conversation of this home's, an old one that came late.
            Answer::Superseded(_) => {
                link.is_open = false;
                Heard::Refused
            }
            Answer::Refused(why) => {
                link.is_open = false;
                link.refused = Some(why);
                Heard::Refused
            }
            _ => {
                link.is_open = false;
                link.refused = Some("it answers what nobody asked".to_owned());
                Heard::Refused
            }
        }
    }
}
