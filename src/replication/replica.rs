//! What a node has of a disruptor, and what it answers to others.

use super::home::Home;
use super::message::{Answer, Block, Hello, Known, Part, Pulse, Request, Set};
use super::reign::{Lineage, Reign};
use crate::cluster::swim::NodeId;
use crate::engine::Event;

/// The events of a disruptor, by sequence, and who writes them.
pub trait Log {
    /// The first event that is kept.
    fn start(&self) -> u64;
    /// The sequence of the next event.
    fn end(&self) -> u64;
    /// What is before was forgotten by command.
    fn floor(&self) -> u64;
    /// The first event that the sinks have not handed on, as far as is known.
    fn handed(&self) -> u64;
    /// Notes that.
    fn set_handed(&mut self, handed: u64);
    /// Events that lie side by side: at least one, if it is kept, and no more than fit into so many bytes.
    fn run(&self, from: u64, bytes_max: usize) -> Vec<Event>;
    /// Adds events at the end of a copy.
    fn append(&mut self, events: &[Event]);
    /// Forgets the events of a copy from a sequence on.
    fn truncate_to(&mut self, sequence: u64);
    /// Forgets every event of a copy; the next one has this sequence.
    fn skip_to(&mut self, sequence: u64);
    /// Takes events.
    ///
    /// Errors: why it cannot.
    fn lead(&mut self) -> Result<(), String>;
    /// Takes no more events but those of another home.
    fn follow(&mut self);
}

/// What a node does for a disruptor.
#[derive(Debug)]
pub enum Role {
    /// Takes events and sends them to followers.
    Home(Home),
    /// Has a copy, of a home if that is known.
    Following(Option<NodeId>),
    /// Has the definition, and looks for copies before it becomes the home.
    Claiming,
}

/// A disruptor with replicas, as one of its nodes has it.
#[derive(Debug)]
pub struct Replica<L> {
    pub(super) me: NodeId,
    pub(super) name: String,
    /// How many nodes are to have the events.
    pub(super) replicas: usize,
    /// The events.
    pub log: L,
    pub(super) lineage: Lineage,
    /// It listens to nobody below this.
    pub(super) promised: Option<Reign>,
    pub(super) role: Role,
    /// The conversation in which its home has said hello last.
    listens_to: Option<u64>,
    set: Set,
    /// The home's choice by which it has a copy.
    choice: u64,
    /// The log is complete when it ends here, or behind.
    complete_at: u64,
}

/// What is sent at once. Larger events go alone.
pub const BATCH_BYTES: usize = 1 << 20;

impl<L: Log> Replica<L> {
    /// One that has nothing yet. It wants to be the home, unless it is for a copy.
    pub fn new(me: NodeId, name: &str, replicas: usize, log: L, is_claimant: bool) -> Self {
        let role = if is_claimant { Role::Claiming } else { Role::Following(None) };
        let (lineage, set) = (Lineage::default(), Set::default());
        Self {
            me,
            name: name.to_owned(),
            replicas,
            log,
            lineage,
            promised: None,
            role,
            listens_to: None,
            set,
            choice: 0,
            // Not complete, before a home has said so.
            complete_at: u64::MAX,
        }
    }

    /// Listens to nobody below a reign, as was promised before there was a copy.
    pub fn promise(&mut self, reign: Option<Reign>) {
        self.promised = self.promised.take().max(reign);
    }

    /// It listens to nobody below this.
    pub fn promised(&self) -> Option<&Reign> {
        self.promised.as_ref()
    }

    /// What it does.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The home's part, if this is the home.
    pub fn home(&mut self) -> Option<&mut Home> {
        match &mut self.role {
            Role::Home(home) => Some(home),
            Role::Following(_) | Role::Claiming => None,
        }
    }

    /// The last reign that it knows of.
    pub fn reign(&self) -> Option<&Reign> {
        self.lineage.last()
    }

    /// Those whose copies count, as far as is known here.
    pub fn set(&self) -> &Set {
        match &self.role {
            Role::Home(home) => home.set(),
            Role::Following(_) | Role::Claiming => &self.set,
        }
    }

    /// What it tells others of itself.
    pub fn known(&self) -> Known {
        let part = match self.role {
            Role::Home(_) => Part::Home,
            Role::Following(_) => Part::Follower,
            Role::Claiming => Part::Claimant,
        };
        let (start, end) = (self.log.start(), self.log.end());
        Known {
            part,
            lineage: self.lineage.clone(),
            promised: self.promised.clone(),
            start,
            end,
            is_complete: matches!(self.role, Role::Home(_)) || end >= self.complete_at,
            handed: self.log.handed(),
            set: self.set().clone(),
        }
    }

    /// Answers another node, which speaks in a conversation of this number.
    pub fn hear(&mut self, conversation: u64, request: Request) -> Answer {
        match request {
            Request::Hello(hello) => self.greet(conversation, hello),
            Request::Ask(_) => Answer::Known(Box::new(self.known())),
            Request::Claim(_, reign) => {
                if let Some(higher) = self.higher_than(&reign) {
                    return Answer::Superseded(higher);
                }
                self.listen_to(reign, None);
                Answer::Known(Box::new(self.known()))
            }
            // Only what was there when it promised, and is there still.
            Request::Fetch(_, reign, from) if self.promised.as_ref() == Some(&reign) => {
                let events = self.log.run(from, BATCH_BYTES);
                Answer::Events(from, events.into_iter().map(Block).collect())
            }
            Request::Fetch(..) => {
                Answer::Refused("it was not asked for a promise, or has lost it".to_owned())
            }
            Request::Events(..) | Request::Skip(_) | Request::Beat(_) => {
                match (&self.promised, self.listens_to == Some(conversation)) {
                    (Some(reign), false) => Answer::Superseded(reign.clone()),
                    (None, false) => Answer::Refused("nobody has said hello".to_owned()),
                    (_, true) => {
                        self.take(request);
                        self.have()
                    }
                }
            }
            Request::Release(..) | Request::Yield(_) | Request::Promote(_) => {
                Answer::Refused("this is not for a replica".to_owned())
            }
        }
    }

    fn greet(&mut self, conversation: u64, hello: Hello) -> Answer {
        let Some(reign) = hello.lineage.last().cloned().filter(|_| hello.lineage.is_sound()) else {
            return Answer::Refused("a lineage that cannot be".to_owned());
        };
        if let Some(higher) = self.higher_than(&reign) {
            return Answer::Superseded(higher);
        }
        self.listen_to(reign, Some(conversation));
        self.adopt(&hello.lineage, hello.end, hello.set);
        self.choice = hello.choice;
        self.pulse(hello.pulse);
        self.have()
    }

    /// Makes the log the beginning of another one, which ends at `end`, of those whose copies count.
    pub(super) fn adopt(&mut self, lineage: &Lineage, end: u64, set: Set) {
        let agreed = self.lineage.agrees_up_to(self.log.end(), lineage);
        if agreed < self.log.end() {
            self.log.truncate_to(agreed);
        }
        let is_known = self.lineage.last() == lineage.last() && self.log.end() >= self.complete_at;
        // Who had all of it when this reign said hello first goes on having it, event by event.
        self.complete_at = if is_known { self.complete_at } else { end };
        self.lineage = lineage.clone();
        self.set = set;
    }

    fn take(&mut self, request: Request) {
        match request {
            Request::Events(first, blocks, pulse) => {
                self.pulse(pulse);
                if first == self.log.end() {
                    let events: Vec<Event> = blocks.into_iter().map(|Block(event)| event).collect();
                    self.log.append(&events);
                }
            }
            Request::Skip(to) if to > self.log.end() => self.log.skip_to(to),
            Request::Beat(pulse) => self.pulse(pulse),
            _ => {}
        }
    }

    fn pulse(&mut self, pulse: Pulse) {
        self.log.set_handed(pulse.handed);
        // What is forgotten at home is forgotten here, once all that was before it has come.
        if pulse.floor > self.log.start() && pulse.floor == self.log.end() {
            self.log.skip_to(pulse.floor);
        }
    }

    fn have(&self) -> Answer {
        Answer::Have(self.log.start(), self.log.end())
    }

    fn higher_than(&self, reign: &Reign) -> Option<Reign> {
        self.promised.clone().filter(|promised| promised > reign)
    }

    /// Listens to nobody below a reign, and from now on to this conversation alone.
    pub(super) fn listen_to(&mut self, reign: Reign, conversation: Option<u64>) {
        let is_own = reign.home == self.me;
        let home = (!is_own && conversation.is_some()).then(|| reign.home.clone());
        let is_news = self.promised.as_ref() != Some(&reign);
        match &mut self.role {
            // A higher reign than its own.
            Role::Home(_) if is_news => {
                self.log.follow();
                self.role = Role::Following(home);
            }
            Role::Home(_) => {}
            Role::Following(known) => *known = home.or(known.take()),
            Role::Claiming if home.is_some() => self.role = Role::Following(home),
            Role::Claiming => {}
        }
        self.promised = Some(reign);
        self.listens_to = conversation;
    }

    /// Hears that there is a higher reign than its own.
    pub fn step_down(&mut self, reign: &Reign) {
        if self.promised.as_ref().is_some_and(|promised| promised >= reign) {
            return;
        }
        let lost_its_memory = reign.home == self.me;
        self.listen_to(reign.clone(), None);
        self.role = match lost_its_memory {
            true => Role::Claiming,
            false => Role::Following(Some(reign.home.clone())),
        };
    }

    /// Is neither home nor follower any more.
    pub fn retire(&mut self) {
        self.role = Role::Following(None);
        self.listens_to = None;
    }

    /// Becomes the home, with what it has, of those whose copies counted before and of others that have some. Without so
    /// many copies as `quorum` nobody is promoted.
    ///
    /// Errors: why not.
    pub(super) fn lead(
        &mut self,
        reign: Reign,
        set: Set,
        others: impl Iterator<Item = NodeId>,
        quorum: usize,
    ) -> Result<(), String> {
        self.log.lead()?;
        let end = self.log.end();
        self.lineage = self.lineage.up_to(end).with(reign.clone(), end);
        self.complete_at = end;
        self.listens_to = None;
        self.promised = Some(reign);
        self.role = Role::Home(Home::new(self.me.clone(), set, others, self.replicas, quorum));
        Ok(())
    }

    /// Whether its copy is to go because a home has chosen others, and has not chosen it again since.
    pub fn is_released(&self, reign: &Reign, choice: u64) -> bool {
        let is_current = self.lineage.last() == Some(reign) && choice <= self.choice;
        matches!(self.role, Role::Following(_)) && self.higher_than(reign).is_none() && !is_current
    }

    /// What it says first to a follower.
    pub(super) fn hello(&self, definition: &str, set: &Set, choice: u64) -> Hello {
        Hello {
            name: self.name.clone(),
            definition: definition.to_owned(),
            lineage: self.lineage.clone(),
            set: set.clone(),
            choice,
            end: self.log.end(),
            pulse: self.own_pulse(),
        }
    }

    pub(super) fn own_pulse(&self) -> Pulse {
        Pulse { floor: self.log.floor(), handed: self.log.handed() }
    }
}
