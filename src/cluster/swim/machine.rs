//! The protocol: probing, suspicion, gossip, exchange of full states, and the rules by which records change.
//!
//! The rules, for a record of a node at an incarnation: a higher incarnation wins; at the same one left wins over dead,
//! dead over suspect, and suspect over alive; only the node itself counts its incarnation up, to refute. So old news
//! changes nothing, whenever and however often it comes.

mod probing;
mod telling;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use self::probing::{Probe, Relay};
use super::awareness::Awareness;
use super::broadcast::Broadcasts;
use super::member::{Event, METADATA_BYTES_MAX, Member, Metadata, NodeId, State, metadata_bytes};
use super::message::{
    Exchange, Message, Record, ServiceRecord, Subject, Update, decode, decode_exchange, digest, encode,
};
use super::notes::Notes;
use super::offers::Offers;
use super::service::{Service, Status};
use super::suspicion::{Spans, Suspicion, Wanted};
use crate::base::rng::Rng;

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its name.
    pub id: NodeId,
    /// Where others reach it.
    pub address: SocketAddr,
    /// What it says of itself.
    pub metadata: Metadata,
    /// Where every choice comes from.
    pub seed: u64,
    /// Between two probes.
    pub probe_interval: Duration,
    /// After which others are asked to probe.
    pub probe_timeout: Duration,
    /// How many others are asked.
    pub indirect_probes: usize,
    /// How long a suspect has at least: times `log10(n)` probe intervals.
    pub suspicion_mult: u32,
    /// How many times longer it has at most.
    pub suspicion_max_mult: u32,
    /// How long a suspect has if its machine has told two others that nobody listens there: times `log10(n)` probe
    /// intervals.
    pub refused_mult: u32,
    /// Between two rounds of gossip.
    pub gossip_interval: Duration,
    /// Members to whom a round goes.
    pub fanout: usize,
    /// How often an update is passed on: times `log10(n)`, rounded up, and at least twice as often as this.
    pub retransmit_mult: u32,
    /// Between two exchanges of full states, on average; longer where there are many.
    pub push_pull_interval: Duration,
    /// How long a dead node is still told what is said of it.
    pub gossip_to_dead: Duration,
    /// After which the record of a node that is dead or has left, or of a service that is gone, is forgotten.
    pub reclaim: Duration,
    /// The longest datagram, without what the driver puts around it.
    pub body_bytes_max: usize,
    /// More members, and more services in all, are not taken up, whoever tells of them.
    pub members_max: usize,
}

impl Settings {
    /// The defaults, which are those of memberlist.
    pub fn new(id: NodeId, address: SocketAddr, seed: u64) -> Self {
        Self {
            id,
            address,
            metadata: Metadata::default(),
            seed,
            probe_interval: Duration::from_secs(1),
            probe_timeout: Duration::from_millis(500),
            indirect_probes: 3,
            suspicion_mult: 4,
            suspicion_max_mult: 6,
            refused_mult: 1,
            gossip_interval: Duration::from_millis(200),
            fanout: 3,
            retransmit_mult: 4,
            push_pull_interval: Duration::from_secs(30),
            gossip_to_dead: Duration::from_secs(30),
            reclaim: Duration::from_secs(24 * 3600),
            body_bytes_max: 1350,
            members_max: 65_536,
        }
    }
}

/// What comes in.
#[derive(Clone, Copy, Debug)]
pub enum Input<'i> {
    /// Nothing but the time.
    Time,
    /// A datagram.
    Datagram {
        /// Who sent it.
        from: SocketAddr,
        /// What is in it.
        body: &'i [u8],
    },
    /// Somebody has opened a stream and waits for an answer.
    Request {
        /// By which the answer finds its stream.
        stream: u64,
        /// What is in it.
        body: &'i [u8],
    },
    /// The answer to a request of this node.
    Answer {
        /// The request's.
        request: u64,
        /// What is in it.
        body: &'i [u8],
    },
    /// A request of this node has no answer.
    NoAnswer {
        /// The request's.
        request: u64,
        /// Whether the other machine has said that nobody listens there.
        is_refused: bool,
    },
    /// Somebody wants this node to exchange states with another one, by which it joins.
    Join(SocketAddr),
    /// Somebody wants this node to go.
    Leave,
    /// This node says something else of itself.
    Metadata(&'i Metadata),
    /// This node offers a service, or says something else of it. Nothing happens if
    /// [`check_offer`](Swim::check_offer) does not allow it.
    Offer {
        /// What it is.
        service: &'i Service,
        /// How well it is.
        status: Status,
        /// How busy it is.
        load: u32,
        /// Why it has its status.
        note: &'i str,
    },
    /// This node does not offer the service of this id any more.
    Withdraw(&'i str),
    /// This node has something to say to all. Nothing happens if [`check_note`](Swim::check_note) does not allow it.
    Note(&'i [u8]),
    /// Somebody knows that a dead node will not come back: its record says then that it has left.
    ForceLeave(&'i NodeId),
}

/// What goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A datagram.
    Datagram {
        /// To whom.
        to: SocketAddr,
        /// What is in it, at most `body_bytes_max` long.
        body: Vec<u8>,
    },
    /// A stream is to be opened, and its answer told.
    Request {
        /// By which the answer is known.
        request: u64,
        /// To whom.
        to: SocketAddr,
        /// What is in it.
        body: Vec<u8>,
    },
    /// The answer on a stream.
    Answer {
        /// Which stream.
        stream: u64,
        /// What is in it.
        body: Vec<u8>,
    },
    /// Something has become of a node.
    Event(Event),
}

/// No node has spoken for itself so often; who says so lies, and leaves no room to refute.
const INCARNATION_MAX: u64 = 1 << 62;
/// Rounds of gossip after which most of the news at the time of a join has come.
const SETTLED_ROUNDS: u32 = 10;
/// The longest message, with two names and an address.
const MESSAGE_BYTES_MAX: usize = 192;

/// A node's view of its cluster.
#[derive(Debug)]
pub struct Swim {
    settings: Settings,
    rng: Rng,
    now: Duration,
    incarnation: u64,
    is_leaving: bool,
    members: BTreeMap<NodeId, Known>,
    /// Members that are alive or suspect.
    present: usize,
    /// How often one was not taken up since there were `members_max`.
    refused: u64,
    /// Every member once, shuffled anew after each round of probes.
    order: Vec<NodeId>,
    next: usize,
    /// Who was told the last news, by the place in `order`.
    turn: usize,
    probe: Option<Probe>,
    relays: BTreeMap<u32, Relay>,
    requests: BTreeMap<u64, Purpose>,
    awareness: Awareness,
    broadcasts: Broadcasts,
    offers: Offers,
    notes: Notes,
    timers: BinaryHeap<Reverse<(Duration, u64, Timer)>>,
    /// Counts timers, requests and questions.
    counter: u64,
    outputs: Vec<Output>,
}

#[derive(Debug)]
struct Known {
    member: Member,
    suspicion: Option<Box<Suspicion>>,
    /// Until when full states have it while it is dead or gone.
    told_until: Duration,
    /// How long its last answer took.
    round_trip: Duration,
}

#[derive(Debug)]
enum Purpose {
    Join,
    State,
    Digest(SocketAddr),
    Ping(u32),
    Tell { suspect: NodeId, incarnation: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Probe,
    ProbeAgain(u32),
    ProbeLate(u32),
    ProbeRefused(u32),
    RelayAgain(u32),
    RelayLate(u32),
    Gossip,
    Exchange,
    Compare(Duration),
    Suspicion(NodeId),
    Reclaim(NodeId),
}

impl Swim {
    /// A node that knows nobody.
    pub fn new(settings: Settings, now: Duration) -> Self {
        let rng = Rng::new(settings.seed);
        // So that what answered a question of a former run answers none of this one.
        let first_number = Rng::new(!settings.seed).next_u64() >> 32;
        let update_bytes_max = settings.body_bytes_max.saturating_sub(MESSAGE_BYTES_MAX);
        let offers = Offers::new(settings.id.clone(), settings.reclaim, settings.members_max);
        let mut swim = Self {
            settings,
            rng,
            now,
            incarnation: 0,
            is_leaving: false,
            members: BTreeMap::new(),
            present: 0,
            refused: 0,
            order: Vec::new(),
            next: 0,
            turn: 0,
            probe: None,
            relays: BTreeMap::new(),
            requests: BTreeMap::new(),
            awareness: Awareness::default(),
            broadcasts: Broadcasts::new(update_bytes_max),
            offers,
            notes: Notes::default(),
            timers: BinaryHeap::new(),
            counter: first_number,
            outputs: Vec::new(),
        };
        // Nodes that start together do not all ask together.
        for (timer, span) in [
            (Timer::Probe, swim.settings.probe_interval),
            (Timer::Gossip, swim.settings.gossip_interval),
            (Timer::Exchange, swim.settings.push_pull_interval),
        ] {
            let nanos = swim.rng.below(span.as_nanos() as u64 + 1);
            swim.after(Duration::from_nanos(nanos), timer);
        }
        swim
    }

    /// Takes up members that are known from before, as from a former run, and tells nobody. What is known already stays.
    pub fn remember(&mut self, records: impl IntoIterator<Item = Record>) {
        for Record { id, address, incarnation, state, metadata } in records {
            if id != self.settings.id && !self.members.contains_key(&id) {
                self.insert(id, incarnation, address, metadata, state);
            }
        }
    }

    /// Does what is due by `now`, then what `input` asks for, and returns what goes out.
    pub fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output> {
        let late = now.saturating_sub(self.deadline());
        self.now = self.now.max(now);
        if late > self.settings.probe_timeout {
            self.stood_still(late);
        }
        while let Some(Reverse((due, _, _))) = self.timers.peek()
            && *due <= self.now
        {
            let Reverse((_, _, timer)) = self.timers.pop().expect("it was just seen");
            self.ring(timer);
        }
        match input {
            Input::Time => {}
            Input::Datagram { from, body } => self.hear(from, body),
            Input::Request { stream, body } => self.be_asked(stream, body),
            Input::Answer { request, body } => self.be_answered(request, body),
            Input::NoAnswer { request, is_refused } => match self.requests.remove(&request) {
                // Those who were asked to ask get a quarter of the usual time.
                Some(Purpose::Ping(number)) if is_refused => {
                    self.after(self.settings.probe_timeout / 4, Timer::ProbeRefused(number));
                }
                Some(Purpose::Tell { suspect, incarnation }) if is_refused => {
                    self.suspect(suspect, incarnation, self.settings.id.clone(), true);
                }
                _ => {}
            },
            Input::Join(address) => self.exchange_with(address, Purpose::Join),
            Input::Leave => self.leave(),
            // Who has left does not come back by what it says of itself.
            Input::Metadata(_) if self.is_leaving => {}

            Input::Metadata(metadata) => {
                self.settings.metadata = metadata.clone();
                self.incarnation += 1;
                self.announce();
            }
            Input::Offer { service, status, load, note } => self.offer(service, status, load, note),
            Input::Withdraw(id) => self.withdraw(id),
            Input::Note(body) => self.note(body),
            Input::ForceLeave(id) => self.force_leave(id),
        }
        std::mem::take(&mut self.outputs)
    }

    /// When [`handle`](Self::handle) is to be called at the latest.
    pub fn deadline(&self) -> Duration {
        self.timers.peek().map_or(Duration::MAX, |Reverse((due, _, _))| *due)
    }

    /// This node.
    pub fn id(&self) -> &NodeId {
        &self.settings.id
    }

    /// How often this node has spoken for itself.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// This node's own health, 0 for well, up to [`SCORE_MAX`](super::SCORE_MAX).
    pub fn awareness(&self) -> u32 {
        self.awareness.score()
    }

    /// Every other node that is known, also those that are dead or have left.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values().map(|known| &known.member)
    }

    /// What is known of a node.
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id).map(|known| &known.member)
    }

    /// Whether this node has left and as many as can be have been told.
    pub fn has_left(&self) -> bool {
        self.is_leaving
            && (self.present == 0 || !self.broadcasts.holds(&Subject::Member(self.settings.id.clone())))
    }

    fn after(&mut self, span: Duration, timer: Timer) {
        self.at(self.now + span, timer);
    }

    fn at(&mut self, due: Duration, timer: Timer) {
        self.counter += 1;
        self.timers.push(Reverse((due, self.counter, timer)));
    }

    /// Who has stood still has answers that it has not read, and has not heard who lives: it holds that against nobody.
    fn stood_still(&mut self, late: Duration) {
        self.probe = None;
        self.awareness.add(1);
        let mut delayed = Vec::new();
        for (id, known) in &mut self.members {
            if let Some(suspicion) = &mut known.suspicion {
                suspicion.delay(late);
                delayed.push((suspicion.deadline(), id.clone()));
            }
        }
        delayed.into_iter().for_each(|(deadline, id)| self.at(deadline, Timer::Suspicion(id)));
    }

    fn ring(&mut self, timer: Timer) {
        match timer {
            Timer::Probe => {
                self.end_probe();
                self.begin_probe();
                self.after(self.awareness.stretched(self.settings.probe_interval), Timer::Probe);
            }
            Timer::ProbeAgain(number) => self.ask(number),
            Timer::ProbeLate(number) => self.ask_others(number),
            Timer::ProbeRefused(number) => self.refused(number),
            Timer::RelayAgain(number) => self.relay(number),
            Timer::RelayLate(number) => self.deny(number),
            Timer::Gossip => {
                self.gossip();
                self.after(self.settings.gossip_interval, Timer::Gossip);
            }
            Timer::Exchange => {
                self.offers.sweep(self.now);
                self.exchange();
                // Not in step with others, so that soon somebody finds that a partition is over.
                let interval = self.exchange_interval();
                let nanos = self.rng.below(interval.as_nanos() as u64 + 1);
                self.after(interval / 2 + Duration::from_nanos(nanos), Timer::Exchange);
            }
            Timer::Compare(waited) => {
                self.exchange();
                self.compare_after(2 * waited);
            }
            Timer::Suspicion(id) => {
                let is_over = |known: &Known| {
                    known.suspicion.as_ref().is_some_and(|suspicion| suspicion.deadline() <= self.now)
                };
                let over = self.members.get(&id).filter(|known| is_over(known));
                if let Some(incarnation) = over.map(|known| known.member.incarnation) {
                    self.dead(id, incarnation);
                }
            }
            Timer::Reclaim(id) => {
                let is_old = |known: &&Known| {
                    !known.member.state.is_present() && known.member.since + self.settings.reclaim <= self.now
                };
                if self.members.get(&id).filter(is_old).is_some() {
                    self.members.remove(&id);
                    self.order.retain(|known| *known != id);
                    self.offers.forget(&id);
                    self.notes.forget(&id);
                    self.outputs.push(Output::Event(Event::Forgotten(id)));
                }
            }
        }
    }

    // Datagrams.

    fn hear(&mut self, from: SocketAddr, body: &[u8]) {
        let Ok((message, updates)) = decode(body) else { return };
        // Members first: services of a node that is not known are not taken up.
        let (of_members, others): (Vec<_>, Vec<_>) =
            updates.into_iter().partition(|update| update.incarnation().is_some());
        of_members.into_iter().chain(others).for_each(|update| self.learn(update));
        match message {
            None => {}
            // One who had this address before may be meant.
            Some(Message::Ping { to, .. }) if to != self.settings.id => {}
            Some(Message::Ping { number, from: asker, .. }) => {
                let charge = self.member(asker.as_str()).and_then(|member| self.charge(member));
                self.send_to(from, Some(&Message::Ack { number }), charge);
            }
            Some(Message::PingRequest { number, to, address, .. }) => {
                self.ask_for(Relay { to: from, number, target: to, address });
            }
            Some(Message::Ack { number }) => self.answered(number),
            Some(Message::Nack { number, from }) => self.denied(number, from),
        }
    }

    /// What a member has to hear before anything else, so that it can refute at once: that it is suspect or dead here.
    fn charge(&self, member: &Member) -> Option<Update> {
        let (id, incarnation) = (member.id.clone(), member.incarnation);
        let from = self.settings.id.clone();
        match member.state {
            State::Suspect => Some(Update::Suspect { id, incarnation, from, is_refused: false }),
            State::Dead => Some(Update::Dead { id, incarnation }),
            State::Alive | State::Left => None,
        }
    }

    fn send(&mut self, to: SocketAddr, message: Option<&Message>) {
        self.send_to(to, message, None);
    }

    /// A message, then the charge, then whatever there is to tell.
    fn send_to(&mut self, to: SocketAddr, message: Option<&Message>, charge: Option<Update>) {
        let mut body = encode(&message);
        body.extend(charge.iter().flat_map(encode));
        // Where there are few, as many as among eleven: one that is missed there is missed by a large part of all.
        let transmits_max = self.settings.retransmit_mult * log10_up(self.present + 2).max(2);
        self.broadcasts.fill(&mut body, self.settings.body_bytes_max, transmits_max);
        self.outputs.push(Output::Datagram { to, body });
    }

    fn gossip(&mut self) {
        if self.broadcasts.is_empty() {
            return;
        }
        let (now, window) = (self.now, self.settings.gossip_to_dead);
        let wants = |member: &Member| {
            member.state.is_present() || member.state == State::Dead && member.since + window > now
        };
        for (to, charge) in self.next_in_turn(self.settings.fanout, wants) {
            if !self.broadcasts.is_empty() {
                self.send_to(to, None, charge);
            }
        }
    }

    /// Up to so many members, and what is to be told them first, in turns: chance alone would leave one out too often.
    /// Source: Doerr, Friedrich, Sauerwald, "Quasirandom rumor spreading", 2008.
    fn next_in_turn(
        &mut self,
        count: usize,
        wants: impl Fn(&Member) -> bool,
    ) -> Vec<(SocketAddr, Option<Update>)> {
        let mut found = Vec::new();
        for _ in 0..self.order.len() {
            if found.len() == count {
                break;
            }
            self.turn = (self.turn + 1) % self.order.len();
            let member = &self.members[&self.order[self.turn]].member;
            if wants(member) {
                found.push((member.address, self.charge(member)));
            }
        }
        found
    }

    /// The addresses of up to so many different members, chosen at random.
    fn pick(&mut self, count: usize, wants: impl Fn(&Member) -> bool) -> Vec<SocketAddr> {
        let mut picked: Vec<usize> = Vec::new();
        // As many tries as make it likely that enough are found where most are wanted.
        for _ in 0..3 * self.order.len().min(count * 8) {
            if picked.len() == count {
                break;
            }
            let place = self.rng.below(self.order.len() as u64) as usize;
            if !picked.contains(&place) && wants(&self.members[&self.order[place]].member) {
                picked.push(place);
            }
        }
        picked.iter().map(|place| self.members[&self.order[*place]].member.address).collect()
    }

    // Streams.

    fn exchange(&mut self) {
        let present = self.pick(1, |member| member.state.is_present());
        // Who was on the other side of a partition may be there again.
        let gone = self.pick(1, |member| member.state == State::Dead);
        let digest = self.digest();
        for address in present.into_iter().chain(gone) {
            self.request(address, &Exchange::Digest(digest), Purpose::Digest(address));
        }
    }

    /// Full states of many members are exchanged less often. Source: memberlist.
    fn exchange_interval(&self) -> Duration {
        const MANY: usize = 32;
        let factor = (self.present / MANY).max(1).ilog2() + 1;
        self.settings.push_pull_interval * factor
    }

    /// A sum over everything that is known, this node included.
    fn digest(&self) -> u64 {
        let own = if self.is_leaving { State::Left } else { State::Alive };
        let members = self.members().fold(digest(&self.settings.id, self.incarnation, own), |sum, member| {
            sum.wrapping_add(digest(&member.id, member.incarnation, member.state))
        });
        members.wrapping_add(self.offers.digest(self.now))
    }

    /// Others may join at the same time, and news of one of them may miss this node: at first it compares what it knows
    /// more often.
    fn compare_after(&mut self, span: Duration) {
        if span < self.settings.push_pull_interval {
            self.after(span, Timer::Compare(span));
        }
    }

    fn exchange_with(&mut self, address: SocketAddr, purpose: Purpose) {
        let state = self.state();
        self.request(address, &state, purpose);
    }

    fn request(&mut self, to: SocketAddr, exchange: &Exchange, purpose: Purpose) {
        self.counter += 1;
        self.requests.insert(self.counter, purpose);
        self.outputs.push(Output::Request { request: self.counter, to, body: encode(exchange) });
    }

    fn be_asked(&mut self, stream: u64, body: &[u8]) {
        let answer = match decode_exchange(body) {
            Ok(Exchange::State { members, services, notes }) => {
                // What it says of this node is answered with what follows from it.
                self.merge_state(members, services, notes);
                self.state()
            }
            // Mostly there is nothing new.
            Ok(Exchange::Digest(digest)) if digest == self.digest() => Exchange::Same,
            Ok(Exchange::Digest(_)) => self.state(),
            Ok(Exchange::Ping { number, to }) if to == self.settings.id => Exchange::Ack { number },
            Ok(Exchange::Suspected { id, incarnation })
                if id == self.settings.id && incarnation < INCARNATION_MAX =>
            {
                self.refute(incarnation);
                Exchange::State { members: vec![self.record()], services: Vec::new(), notes: Vec::new() }
            }
            _ => return,
        };
        self.outputs.push(Output::Answer { stream, body: encode(&answer) });
    }

    fn be_answered(&mut self, request: u64, body: &[u8]) {
        match (self.requests.remove(&request), decode_exchange(body)) {
            (
                Some(purpose @ (Purpose::Join | Purpose::State | Purpose::Tell { .. })),
                Ok(Exchange::State { members, services, notes }),
            ) => {
                self.merge_state(members, services, notes);
                if matches!(purpose, Purpose::Join) {
                    self.compare_after(SETTLED_ROUNDS * self.settings.gossip_interval);
                }
            }
            (Some(Purpose::Digest(address)), Ok(Exchange::State { members, services, notes })) => {
                let digests =
                    members.iter().map(Record::digest).chain(services.iter().map(ServiceRecord::digest));
                let theirs = digests.fold(0, u64::wrapping_add);
                self.merge_state(members, services, notes);
                if self.digest() != theirs {
                    // There is something that they do not know.
                    self.exchange_with(address, Purpose::State);
                }
            }
            (Some(Purpose::Ping(asked)), Ok(Exchange::Ack { number })) if asked == number => {
                self.answered(number);
            }
            _ => {}
        }
    }

    /// What this node says of itself.
    fn record(&self) -> Record {
        Record {
            id: self.settings.id.clone(),
            address: self.settings.address,
            incarnation: self.incarnation,
            state: if self.is_leaving { State::Left } else { State::Alive },
            metadata: self.settings.metadata.clone(),
        }
    }

    fn state(&self) -> Exchange {
        let is_told = |known: &&Known| known.member.state.is_present() || known.told_until > self.now;
        let others = self.members.values().filter(is_told).map(|Known { member, .. }| Record {
            id: member.id.clone(),
            address: member.address,
            incarnation: member.incarnation,
            state: member.state,
            metadata: member.metadata.clone(),
        });
        Exchange::State {
            members: std::iter::once(self.record()).chain(others).collect(),
            services: self.offers.told(self.now).cloned().collect(),
            notes: self.notes.highest().map(|(origin, number)| (origin.clone(), number)).collect(),
        }
    }

    fn merge_state(&mut self, members: Vec<Record>, services: Vec<ServiceRecord>, notes: Vec<(NodeId, u64)>) {
        members.into_iter().for_each(|record| self.merge(record));
        services.into_iter().for_each(|record| self.hear_service(record));
        let own = notes.into_iter().find(|(origin, _)| *origin == self.settings.id);
        self.notes.learn(own.map_or(0, |(_, sent)| sent));
    }

    fn merge(&mut self, record: Record) {
        let Record { id, address, incarnation, state, metadata } = record;
        if incarnation >= INCARNATION_MAX || metadata_bytes(&metadata) > METADATA_BYTES_MAX {
            return;
        }
        match state {
            State::Alive => {
                self.tell_end(&id);
                self.alive(id, incarnation, address, metadata);
            }
            // Known only so that old news does not bring it back.
            State::Dead | State::Left if id != self.settings.id && !self.members.contains_key(&id) => {
                self.insert(id, incarnation, address, metadata, state);
            }
            State::Left => self.left(id, incarnation),
            // One that is dead elsewhere may live: it gets the time to say so.
            State::Suspect | State::Dead => {
                self.alive(id.clone(), incarnation, address, metadata);
                self.suspect(id, incarnation, self.settings.id.clone(), false);
            }
        }
    }

    // The rules.

    fn learn(&mut self, update: Update) {
        if update.incarnation().is_some_and(|incarnation| incarnation >= INCARNATION_MAX) {
            return;
        }
        match update {
            Update::Alive { metadata, .. } if metadata_bytes(&metadata) > METADATA_BYTES_MAX => {}
            Update::Alive { id, incarnation, address, metadata } => {
                self.tell_end(&id);
                self.alive(id, incarnation, address, metadata);
            }
            Update::Suspect { id, incarnation, from, is_refused } => {
                self.suspect(id, incarnation, from, is_refused);
            }
            Update::Dead { id, incarnation } => self.dead(id, incarnation),
            Update::Left { id, incarnation } => self.left(id, incarnation),
            Update::Service(record) => self.hear_service(record),
            Update::Note { from, number, body } => self.hear_note(from, number, body),
        }
    }

    fn insert(
        &mut self,
        id: NodeId,
        incarnation: u64,
        address: SocketAddr,
        metadata: Metadata,
        state: State,
    ) {
        if self.members.len() >= self.settings.members_max {
            self.refused += 1;
            return;
        }
        let member = Member { id: id.clone(), address, incarnation, state, metadata, since: self.now };
        // Who only hears of an end does not tell it again: it would go on from one to the next, and never be forgotten.
        self.members.insert(
            id.clone(),
            Known { member, suspicion: None, told_until: self.now, round_trip: Duration::ZERO },
        );
        self.present += usize::from(state.is_present());
        if !state.is_present() {
            self.after(self.settings.reclaim, Timer::Reclaim(id.clone()));
        }
        // Anywhere, so that those who come together are not all probed at the end of a round.
        let place = self.rng.below(self.order.len() as u64 + 1) as usize;
        self.order.push(id);
        let last = self.order.len() - 1;
        self.order.swap(place, last);
    }

    fn alive(&mut self, id: NodeId, incarnation: u64, address: SocketAddr, metadata: Metadata) {
        if id == self.settings.id {
            // What is older may be what this node said itself, at another address.
            if address != self.settings.address && incarnation >= self.incarnation {
                self.outputs.push(Output::Event(Event::NameTaken(address)));
            }
            let is_same = address == self.settings.address && metadata == self.settings.metadata;
            if incarnation > self.incarnation || incarnation == self.incarnation && !is_same {
                self.refute(incarnation);
            }
            return;
        }
        let update = Update::Alive { id: id.clone(), incarnation, address, metadata: metadata.clone() };
        let Some(known) = self.members.get_mut(&id) else {
            self.insert(id.clone(), incarnation, address, metadata, State::Alive);
            if let Some(member) = self.member(id.as_str()).cloned() {
                self.tell(&update, Event::Joined(member));
            }
            return;
        };
        let member = &mut known.member;
        if incarnation <= member.incarnation {
            return;
        }
        let (before, is_changed) = (member.state, member.address != address || member.metadata != metadata);
        if before != State::Alive {
            (member.state, member.since) = (State::Alive, self.now);
        }
        (member.incarnation, member.address, member.metadata) = (incarnation, address, metadata);
        known.suspicion = None;
        let member = known.member.clone();
        match before {
            State::Suspect => self.outputs.push(Output::Event(Event::Refuted(member.clone()))),
            State::Dead | State::Left => {
                self.present += 1;
                self.outputs.push(Output::Event(Event::Joined(member.clone())));
            }
            State::Alive => {}
        }
        if before.is_present() && is_changed {
            self.outputs.push(Output::Event(Event::Updated(member)));
        }
        self.broadcasts.push(&update);
    }

    /// Who lives has to hear that it is dead or gone here before it can refute that.
    fn tell_end(&mut self, id: &NodeId) {
        self.members.get_mut(id).into_iter().for_each(|known| known.told_until = Duration::MAX);
    }

    fn suspect(&mut self, id: NodeId, incarnation: u64, from: NodeId, is_refused: bool) {
        if id == self.settings.id {
            return self.refute(incarnation);
        }
        let (spans, wanted) = (self.suspicion_spans(), self.suspicion_wanted());
        let own = self.settings.id.clone();
        let Some(known) = self.members.get_mut(&id) else { return };
        if incarnation < known.member.incarnation || !known.member.state.is_present() {
            return;
        }
        if incarnation > known.member.incarnation {
            // It has refuted what was said of it before.
            known.member.incarnation = incarnation;
            known.suspicion = None;
        }
        let suspicion =
            known.suspicion.get_or_insert_with(|| Box::new(Suspicion::new(self.now, spans, wanted)));
        if !suspicion.confirm(&from, is_refused) {
            return;
        }
        let deadline = suspicion.deadline();
        // What others were told is not believed, but tried.
        let asks = is_refused && suspicion.wants_refusal(&own);
        let address = known.member.address;
        if known.member.state == State::Alive {
            (known.member.state, known.member.since) = (State::Suspect, self.now);
            self.outputs.push(Output::Event(Event::Suspected(known.member.clone())));
        }
        self.at(deadline.max(self.now), Timer::Suspicion(id.clone()));
        self.broadcasts.push(&Update::Suspect { id: id.clone(), incarnation, from, is_refused });
        if asks {
            let exchange = Exchange::Suspected { id: id.clone(), incarnation };
            self.request(address, &exchange, Purpose::Tell { suspect: id, incarnation });
        }
    }

    fn dead(&mut self, id: NodeId, incarnation: u64) {
        if id == self.settings.id {
            return self.refute(incarnation);
        }
        let update = Update::Dead { id: id.clone(), incarnation };
        if let Some(member) = self.end(&id, incarnation, State::Dead) {
            self.tell(&update, Event::Died(member));
        }
    }

    fn left(&mut self, id: NodeId, incarnation: u64) {
        if id == self.settings.id {
            return self.refute(incarnation);
        }
        let update = Update::Left { id: id.clone(), incarnation };
        if let Some(member) = self.end(&id, incarnation, State::Left) {
            self.tell(&update, Event::Left(member));
        }
    }

    /// Ends a member, unless what is known of it is newer or as bad.
    fn end(&mut self, id: &NodeId, incarnation: u64, state: State) -> Option<Member> {
        let known = self.members.get_mut(id)?;
        let before = known.member.state;
        let is_worse = before.is_present() || before == State::Dead && state == State::Left;
        if incarnation < known.member.incarnation || !is_worse {
            return None;
        }
        let member = &mut known.member;
        (member.incarnation, member.state, member.since) = (incarnation, state, self.now);
        (known.suspicion, known.told_until) = (None, self.now + self.settings.reclaim / 2);
        let member = known.member.clone();
        self.present -= usize::from(before.is_present());
        self.after(self.settings.reclaim, Timer::Reclaim(id.clone()));
        Some(member)
    }

    fn tell(&mut self, update: &Update, event: Event) {
        self.broadcasts.push(update);
        self.outputs.push(Output::Event(event));
    }

    /// Says that this node lives, above what was said of it.
    fn refute(&mut self, incarnation: u64) {
        if self.is_leaving {
            return;
        }
        if incarnation < self.incarnation {
            // Somebody has not heard the answer.
            if !self.broadcasts.holds(&Subject::Member(self.settings.id.clone())) {
                self.announce();
            }
            return;
        }
        self.incarnation = incarnation + 1;
        // Who is suspected may be slow.
        self.awareness.add(1);
        self.announce();
    }

    fn announce(&mut self) {
        self.broadcasts.push(&Update::Alive {
            id: self.settings.id.clone(),
            incarnation: self.incarnation,
            address: self.settings.address,
            metadata: self.settings.metadata.clone(),
        });
    }

    fn leave(&mut self) {
        self.is_leaving = true;
        self.broadcasts.push(&Update::Left { id: self.settings.id.clone(), incarnation: self.incarnation });
    }

    /// As many as there are, where there are few: neither this node nor the suspect confirms what this node has found.
    fn suspicion_wanted(&self) -> Wanted {
        let confirmations = self.settings.suspicion_mult.saturating_sub(2);
        let is_few = self.present.saturating_sub(1) < confirmations as usize;
        Wanted { confirmations: if is_few { 0 } else { confirmations }, refusals: self.present.clamp(1, 2) }
    }

    fn suspicion_spans(&self) -> Spans {
        let scale = ((self.present + 1) as f64).log10().max(1.0);
        let span = |mult: u32| self.settings.probe_interval.mul_f64(f64::from(mult) * scale);
        let least = span(self.settings.suspicion_mult);
        Spans {
            refused: span(self.settings.refused_mult).min(least),
            least,
            most: least * self.settings.suspicion_max_mult,
        }
    }
}

/// The logarithm, rounded up.
fn log10_up(count: usize) -> u32 {
    (count.max(1) as f64).log10().ceil() as u32
}
