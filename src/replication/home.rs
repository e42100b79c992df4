//! The home's part: who its followers are, what each of them has, and what it is sent next.

use std::collections::BTreeMap;
use std::ops::Range;

use super::message::{Answer, Block, Request, Set};
use super::replica::{BATCH_BYTES, Log, Replica, Role};
use crate::cluster::swim::NodeId;

/// What a home keeps of its followers.
///
/// Who is to have copies is one thing, whose copies count is another: a new follower counts when it has come as far as
/// the home was when it was chosen, and when so many of those before have been told of it that without one of them
/// nobody is promoted. So those whose copies count have all that was acknowledged, together, and no new home overlooks
/// them.
#[derive(Debug)]
pub struct Home {
    me: NodeId,
    replicas: usize,
    /// Copies without which nobody is promoted.
    quorum: usize,
    /// Whose copies count, the home among them but for a while after it took over as none of them.
    set: Set,
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
    /// Whether a conversation has begun. What is answered before belongs to an earlier reign, or to an earlier choice.
    has_begun: bool,
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
        mut set: Set,
        others: impl Iterator<Item = NodeId>,
        replicas: usize,
        quorum: usize,
    ) -> Self {
        let linked = set.nodes.iter().chain(&set.before).cloned().chain(others).filter(|node| *node != me);
        let links = linked.map(|node| (node, Link::default())).collect();
        set.version = 1;
        Self { me, replicas, quorum, set, wanted: Vec::new(), goal: 0, choice: 0, links }
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
        if !self.set.is_settled() && self.is_known() {
            self.change_set(self.set.nodes.clone());
        }
        if !self.set.is_settled() {
            return;
        }
        // Before there is a follower nobody has anything that could be lost.
        let is_first = self.set.nodes == [self.me.clone()];
        let is_same = self.wanted.len() + 1 == self.set.nodes.len()
            && self.wanted.iter().all(|node| self.set.nodes.contains(node));
        let has_come = |node: &NodeId| self.links.get(node).is_some_and(|link| link.has.end >= self.goal);
        if !is_same && (is_first || self.wanted.iter().all(has_come)) {
            let nodes = std::iter::once(&self.me).chain(&self.wanted).cloned().collect();
            self.change_set(nodes);
            if is_first {
                self.set.before.clone_from(&self.set.nodes);
            }
        }
    }

    fn change_set(&mut self, nodes: Vec<NodeId>) {
        let before = std::mem::take(&mut self.set.nodes);
        self.set = Set { version: self.set.version + 1, nodes, before };
    }

    /// Whether so many of those before know of the set that no others could promote one of themselves, and everybody
    /// who is there.
    fn is_known(&self) -> bool {
        let is_told = |link: &Link| link.version == self.set.version;
        let knows = |node: &&NodeId| **node == self.me || self.links.get(*node).is_some_and(is_told);
        let known = self.set.before.iter().filter(knows).count();
        // Of two copies one may be gone for good.
        let needed = (self.set.before.len() + 1).saturating_sub(self.quorum).min(self.replicas - 1);
        known >= needed && self.links.values().all(|link| !link.is_open || is_told(link))
    }

    /// The followers by whose copies events are acknowledged.
    pub fn counted(&self) -> Vec<NodeId> {
        let counts = |node: &&NodeId| {
            **node != self.me && self.wanted.contains(node) && self.set.before.contains(node)
        };
        let is_of_them = self.set.nodes.contains(&self.me) && self.set.before.contains(&self.me);
        self.set.nodes.iter().filter(|_| is_of_them).filter(counts).cloned().collect()
    }

    /// Counts the choices of followers.
    pub fn choice(&self) -> u64 {
        self.choice
    }

    /// Takes out those whose copies are needed no more, since there are enough others; they are to be told so.
    pub fn take_released(&mut self) -> Vec<NodeId> {
        if self.set.nodes.len() < self.replicas || !self.set.is_settled() {
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
            (link.has_begun, link.is_open) = (true, false);
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
        let Some(link) = home.links.get_mut(follower).filter(|link| link.has_begun) else {
            return Heard::Refused;
        };
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
