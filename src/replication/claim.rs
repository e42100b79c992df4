//! How a node becomes the home of a disruptor: it asks what the others have, has them promise to listen to nobody
//! below its own reign, and fetches what it lacks from the best copy.
//!
//! An event that was acknowledged is on as many nodes of the last home's set as the consistency says. If so many of the
//! set promise that no others are left that could have acknowledged it, then nothing that was acknowledged is lost.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{Answer, Block, Known, Part, Request, Set};
use super::placement::score;
use super::reign::Reign;
use super::replica::{Log, Replica, Role};
use crate::cluster::swim::NodeId;

/// Why a node wants to be the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody makes the disruptor here.
    Create,
    /// It has the definition, and was the home before it lost its memory, or nobody was.
    Recover {
        /// Whether it has waited for others for so long that it goes on without them, if no event was promised to be
        /// on more than one node.
        is_late: bool,
    },
    /// Somebody wants it to.
    Promote {
        /// Even if something that was acknowledged could be lost.
        by_force: bool,
    },
}

/// What is to be done next.
#[derive(Debug)]
pub enum Step {
    /// Ask these nodes, and tell what each has answered, or that it has not.
    Ask(Vec<(NodeId, Request)>),
    /// Wait for the answers that are missing.
    Wait,
    /// It is over.
    Over(Outcome),
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This node is the home.
    Home,
    /// Another node is, or was the last one, and this one has no right to follow it by itself.
    Follows(NodeId),
    /// It must be tried again later.
    Later(String),
    /// Something that was acknowledged could be lost.
    Uncertain {
        /// Copies that answered and have all that was acknowledged when they were made.
        reached: usize,
        /// As many as there must be.
        wanted: usize,
    },
}

/// A node on its way to be the home.
#[derive(Debug)]
pub struct Claim {
    purpose: Purpose,
    /// Nodes that have an event when it is acknowledged.
    level: usize,
    token: u64,
    peers: Vec<NodeId>,
    /// Those that answer.
    there: Vec<NodeId>,
    phase: Phase,
    /// Who has not answered yet.
    open: BTreeSet<NodeId>,
    answers: BTreeMap<NodeId, Option<Known>>,
    /// The highest reign that anybody has promised to listen to.
    highest: Option<Reign>,
    /// The highest one of them that may have begun.
    before: Option<Reign>,
    /// Those whose copies counted in the last reign.
    set: Set,
    /// Whether too few of them have answered to go on with them.
    is_alone: bool,
    attempts: u32,
}

#[derive(Debug)]
enum Phase {
    Asking,
    Yielding,
    Claiming(Reign),
    Fetching { reign: Reign, from: NodeId, end: u64 },
}

const ATTEMPTS_MAX: u32 = 5;

impl Claim {
    /// One that is to be begun. `level` counts the nodes that have an event when it is acknowledged.
    pub fn new(purpose: Purpose, level: usize, token: u64, peers: Vec<NodeId>) -> Self {
        Self {
            purpose,
            level,
            token,
            peers,
            there: Vec::new(),
            phase: Phase::Asking,
            open: BTreeSet::new(),
            answers: BTreeMap::new(),
            highest: None,
            before: None,
            set: Set::default(),
            is_alone: true,
            attempts: 0,
        }
    }

    /// The first step.
    pub fn begin<L: Log>(&mut self, replica: &mut Replica<L>) -> Step {
        let request = Request::Ask(replica.name.clone());
        self.ask_all(replica, &self.peers.clone(), &request)
    }

    /// A node has answered, or has not in time.
    pub fn hear<L: Log>(&mut self, replica: &mut Replica<L>, from: &NodeId, answer: Option<Answer>) -> Step {
        if !self.open.remove(from) {
            return Step::Wait;
        }
        if let Phase::Fetching { reign, from, end } = &self.phase {
            let (reign, from, end) = (reign.clone(), from.clone(), *end);
            return self.fetched(replica, reign, from, end, answer);
        }
        // An answer to what was asked before does not count for a promise.
        let is_current = |known: &Known| match &self.phase {
            Phase::Claiming(reign) => known.promised.as_ref() == Some(reign),
            Phase::Asking | Phase::Yielding | Phase::Fetching { .. } => true,
        };
        match answer {
            Some(Answer::Known(known)) if known.lineage.is_sound() && is_current(&known) => {
                self.answers.insert(from.clone(), Some(*known));
            }
            Some(Answer::Nothing) => drop(self.answers.insert(from.clone(), None)),
            Some(Answer::Superseded(reign)) => {
                self.before = self.before.take().max(Some(reign.clone()));
                self.highest = self.highest.take().max(Some(reign));
            }
            _ => {}
        }
        self.go_on(replica)
    }

    fn ask_all<L: Log>(&mut self, replica: &mut Replica<L>, nodes: &[NodeId], request: &Request) -> Step {
        self.open = nodes.iter().cloned().collect();
        self.answers.clear();
        if self.open.is_empty() {
            return self.go_on(replica);
        }
        Step::Ask(nodes.iter().map(|node| (node.clone(), request.clone())).collect())
    }

    fn go_on<L: Log>(&mut self, replica: &mut Replica<L>) -> Step {
        if !self.open.is_empty() {
            return Step::Wait;
        }
        if let Role::Home(_) = replica.role {
            return Step::Over(Outcome::Home);
        }
        match &self.phase {
            Phase::Asking => {
                self.note_reigns(replica);
                // Who has not answered that would only be waited for again.
                self.there = self.answers.keys().cloned().collect();
                if let Some(outcome) = self.objection(replica) {
                    return replica_follows(replica, outcome);
                }
                let is_home = |known: &&Known| known.part == Part::Home;
                let homes =
                    self.answers.iter().filter(|(_, known)| known.as_ref().is_some_and(|k| is_home(&k)));
                match homes.map(|(node, _)| node.clone()).next() {
                    Some(home) => {
                        self.phase = Phase::Yielding;
                        self.open.insert(home.clone());
                        Step::Ask(vec![(home, Request::Yield(replica.name.clone()))])
                    }
                    None => self.claim(replica),
                }
            }
            Phase::Yielding => self.claim(replica),
            Phase::Claiming(reign) => {
                let reign = reign.clone();
                if replica.promised.as_ref() != Some(&reign) || self.highest.as_ref() > Some(&reign) {
                    return self.claim(replica);
                }
                if let Some(outcome) = self.objection(replica) {
                    return replica_follows(replica, outcome);
                }
                self.choose(replica, reign)
            }
            Phase::Fetching { .. } => Step::Wait,
        }
    }

    fn note_reigns<L: Log>(&mut self, replica: &Replica<L>) {
        let own = replica.known();
        let known: Vec<(&NodeId, &Known)> = {
            let others = self.answers.iter().filter_map(|(node, known)| Some((node, known.as_ref()?)));
            others.chain([(&replica.me, &own)]).collect()
        };
        let has_begun = |reign: &Reign| {
            // Who has promised itself and was never home says so.
            let denies = |(node, known): &(&NodeId, &Known)| {
                **node == reign.home
                    && known.part != Part::Home
                    && known.promised.as_ref() >= Some(reign)
                    && known.lineage.last() < Some(reign)
            };
            !known.iter().any(denies)
        };
        let promised = || known.iter().filter_map(|(_, known)| known.promised.clone());
        self.highest = promised().max();
        self.before = promised().filter(has_begun).max();
    }

    /// Has everybody promise.
    fn claim<L: Log>(&mut self, replica: &mut Replica<L>) -> Step {
        self.attempts += 1;
        if self.attempts > ATTEMPTS_MAX {
            return Step::Over(Outcome::Later("other nodes want to be its home as well".to_owned()));
        }
        let highest = self.highest.as_ref().max(replica.promised.as_ref());
        let epoch = highest.map_or(0, |reign| reign.epoch).saturating_add(1);
        let reign = Reign { epoch, token: self.token, home: replica.me.clone() };
        replica.listen_to(reign.clone(), None);
        self.phase = Phase::Claiming(reign.clone());
        let request = Request::Claim(replica.name.clone(), reign);
        self.ask_all(replica, &self.there.clone(), &request)
    }

    /// Why this node may not be the home now.
    fn objection<L: Log>(&mut self, replica: &Replica<L>) -> Option<Outcome> {
        let own = replica.known();
        let copies = || {
            let others = self.answers.iter().filter_map(|(node, known)| Some((node, known.as_ref()?)));
            others.chain([(&replica.me, &own)])
        };
        let last = copies().filter_map(|(_, known)| known.lineage.last()).max();
        // Not if there was a reign, perhaps, of which nobody here knows whose copies counted.
        let is_heard_of = self.before.as_ref() <= last;
        let set = copies()
            .filter(|(_, known)| known.lineage.last() == last)
            .map(|(_, known)| &known.set)
            .max_by_key(|set| set.version);
        let set = set.cloned().unwrap_or_default();
        let reached_of = |nodes: &[NodeId]| {
            copies().filter(|(node, known)| known.is_complete && nodes.contains(node)).count()
        };
        let reached = reached_of(&set.nodes).min(reached_of(&set.before));
        let wanted = self.quorum(replica.replicas);
        // So many share a node with those that promised the last reign, if it began.
        let is_majority = 2 * wanted > replica.replicas;
        // At the lowest level nothing was promised.
        let is_alone = reached < wanted;
        let is_certain = self.level == 1 || ((is_majority || is_heard_of) && !is_alone);
        // If that was not enough, one more copy is wanted: that of somebody who has heard of the last reign.
        let wanted = if is_certain { wanted } else { wanted.max(reached + 1) };
        let uncertain = Outcome::Uncertain { reached, wanted };
        // Has waited for those who could have something, and does not know whether they have.
        let is_late = self.level == 1 && self.purpose == Purpose::Recover { is_late: true };
        let objection = match self.purpose {
            Purpose::Promote { by_force } => (!by_force && !is_certain).then_some(uncertain),
            Purpose::Recover { .. } | Purpose::Create => match last {
                Some(last) => {
                    let last = self.before.as_ref().max(Some(last)).expect("one of them is there");
                    let has_answered = |node: &NodeId| *node == replica.me || self.answers.contains_key(node);
                    // Then nobody else can have anything.
                    let is_full = set.nodes.len() >= replica.replicas;
                    let is_all = is_full && set.nodes.iter().chain(&set.before).all(has_answered);
                    let may = is_all || if self.level == 1 { is_late } else { is_certain };
                    match last.home == replica.me {
                        true => (!may).then_some(uncertain),
                        false => Some(Outcome::Follows(last.home.clone())),
                    }
                }
                None => {
                    let rivals = copies().filter(|(_, known)| known.part == Part::Claimant);
                    let rank = |node: &NodeId| (score(&replica.name, node), node.clone());
                    let first = rivals.map(|(node, _)| node).max_by_key(|node| rank(node));
                    let needed = self.peers.len().max(replica.replicas - 1);
                    let missing = needed.saturating_sub(self.answers.len());
                    match first.filter(|first| **first != replica.me) {
                        Some(first) => Some(Outcome::Later(format!("node `{first}` goes first"))),
                        None if missing > 0 && !is_late && self.purpose != Purpose::Create => {
                            Some(Outcome::Later(format!("{missing} more nodes are asked for copies")))
                        }
                        None => None,
                    }
                }
            },
        };
        (self.set, self.is_alone) = (set, is_alone);
        objection
    }

    /// Copies that share one with any on which an event is acknowledged, and with those that are told of other followers.
    fn quorum(&self, replicas: usize) -> usize {
        (replicas + 1).saturating_sub(self.level).max(replicas.div_ceil(2))
    }

    /// Takes over what the best copy has.
    fn choose<L: Log>(&mut self, replica: &mut Replica<L>, reign: Reign) -> Step {
        fn rank(known: &Known) -> (Option<Reign>, u64) {
            (known.lineage.up_to(known.end).last().cloned(), known.end)
        }
        let handed = self.answers.values().flatten().map(|known| known.handed).max();
        let handed = handed.unwrap_or(0).max(replica.log.handed());
        replica.log.set_handed(handed);
        let best = self.answers.iter().filter_map(|(node, known)| Some((node, known.as_ref()?)));
        let best = best.max_by_key(|(_, known)| rank(known));
        let own = rank(&replica.known());
        let Some((from, best)) = best.filter(|(_, best)| rank(best) > own) else {
            return self.finish(replica, reign);
        };
        let (from, end) = (from.clone(), best.end);
        replica.adopt(&best.lineage, end, self.set.clone());
        if replica.log.end() < best.start {
            replica.log.skip_to(best.start);
        }
        self.fetch(replica, reign, from, end)
    }

    fn fetch<L: Log>(&mut self, replica: &mut Replica<L>, reign: Reign, from: NodeId, end: u64) -> Step {
        if replica.log.end() >= end {
            return self.finish(replica, reign);
        }
        let request = Request::Fetch(replica.name.clone(), reign.clone(), replica.log.end());
        self.open.insert(from.clone());
        self.phase = Phase::Fetching { reign, from: from.clone(), end };
        Step::Ask(vec![(from, request)])
    }

    fn fetched<L: Log>(
        &mut self,
        replica: &mut Replica<L>,
        reign: Reign,
        from: NodeId,
        end: u64,
        answer: Option<Answer>,
    ) -> Step {
        if replica.promised.as_ref() != Some(&reign) {
            return Step::Over(Outcome::Later("another node became its home meanwhile".to_owned()));
        }
        match answer {
            Some(Answer::Events(first, blocks)) if first == replica.log.end() && !blocks.is_empty() => {
                let events: Vec<_> = blocks.into_iter().map(|Block(event)| event).collect();
                replica.log.append(&events);
                self.fetch(replica, reign, from, end)
            }
            _ => Step::Over(Outcome::Later(format!(
                "node `{from}`, which has the best copy, does not give it"
            ))),
        }
    }

    fn finish<L: Log>(&self, replica: &mut Replica<L>, reign: Reign) -> Step {
        // Those who have copies and are not to have them are told so in time.
        let copies = self.answers.iter().filter(|(_, known)| known.is_some()).map(|(node, _)| node);
        let others = copies.chain(&self.set.nodes).cloned();
        let set = if self.is_alone { Set::of(replica.me.clone()) } else { self.set.clone() };
        let quorum = self.quorum(replica.replicas);
        Step::Over(match replica.lead(reign, set, others, quorum) {
            Ok(()) => Outcome::Home,
            Err(reason) => Outcome::Later(reason),
        })
    }
}

/// A claimant that has no right to be the home follows from then on.
fn replica_follows<L: Log>(replica: &mut Replica<L>, outcome: Outcome) -> Step {
    if let (Outcome::Follows(home), Role::Claiming) = (&outcome, &replica.role) {
        replica.role = Role::Following(Some(home.clone()));
    }
    Step::Over(outcome)
}
