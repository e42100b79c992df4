//! The protocol under everything that can go wrong, in virtual time: nodes whose messages are late or lost, that hang,
//! restart with lost memory, are cut off, and are promoted, in an order that a seed decides.

mod histories;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::claim::{Claim, Outcome, Purpose, Step};
use super::home::Heard;
use super::message::{Answer, Request, decode, encode};
use super::placement::{Candidate, followers};
use super::reign::Reign;
use super::replica::{Log, Replica, Role};
use crate::base::rng::Rng;
use crate::base::ulid::Ulid;
use crate::cluster::swim::NodeId;
use crate::engine::{Consistency, ContentType, Draft, Event};

/// A window of events in plain memory.
#[derive(Debug, Default)]
struct Window {
    events: VecDeque<Event>,
    start: u64,
    floor: u64,
    handed: u64,
    takes_events: bool,
    capacity: usize,
}

impl Window {
    fn push(&mut self, event: Event) {
        self.events.push_back(event);
        if self.events.len() > self.capacity {
            self.events.pop_front();
            self.start += 1;
        }
    }
}

impl Log for Window {
    fn start(&self) -> u64 {
        self.start
    }

    fn end(&self) -> u64 {
        self.start + self.events.len() as u64
    }

    fn floor(&self) -> u64 {
        self.floor
    }

    fn handed(&self) -> u64 {
        self.handed
    }

    fn set_handed(&mut self, handed: u64) {
        self.handed = handed;
    }

    fn run(&self, from: u64, _bytes_max: usize) -> Vec<Event> {
        // Small batches have more ways to go wrong.
        match from.checked_sub(self.start) {
            Some(skipped) => self.events.iter().skip(skipped as usize).take(3).cloned().collect(),
            None => Vec::new(),
        }
    }

    fn append(&mut self, events: &[Event]) {
        assert!(!self.takes_events, "a home writes its log itself");
        events.iter().for_each(|event| self.push(event.clone()));
    }

    fn truncate_to(&mut self, sequence: u64) {
        assert!(!self.takes_events, "a home takes nothing back");
        if sequence <= self.start {
            return self.skip_to(sequence);
        }
        self.events.truncate((sequence - self.start) as usize);
    }

    fn skip_to(&mut self, sequence: u64) {
        assert!(!self.takes_events, "a home skips nothing");
        self.events.clear();
        (self.start, self.floor) = (sequence, sequence);
    }

    fn lead(&mut self) -> Result<(), String> {
        self.takes_events = true;
        Ok(())
    }

    fn follow(&mut self) {
        self.takes_events = false;
    }
}

struct Host {
    replica: Option<Replica<Window>>,
    /// What is on its disk: whether it claims to be the home after a restart.
    is_defined: bool,
    hangs: bool,
    /// By follower: the conversation, and whether an answer is waited for.
    links: BTreeMap<NodeId, (u64, bool)>,
    claim: Option<(u64, Claim)>,
    /// Who is gone, as it has heard.
    missed: BTreeSet<usize>,
    /// Who promised what before there was a copy.
    promised: Option<Reign>,
}

/// A message on its way.
struct Flight {
    /// Of a link, or of a claim.
    conversation: u64,
    from: usize,
    to: usize,
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Request { told: Option<u64>, is_link: bool },
    Answer { told: Option<u64>, is_link: bool },
}

/// What was published, and is waited for.
struct Waiting {
    home: usize,
    reign: Reign,
    events: Range<u64>,
}

struct Model {
    rng: Rng,
    ids: Vec<NodeId>,
    hosts: Vec<Host>,
    flights: Vec<Flight>,
    /// Pairs of nodes between which nothing goes.
    cut: BTreeSet<(usize, usize)>,
    replicas: usize,
    level: Consistency,
    capacity: usize,
    conversations: u64,
    published: u64,
    waiting: Vec<Waiting>,
    /// What was taken, by reign and sequence: the truth.
    taken: BTreeMap<(Reign, u64), Ulid>,
    /// What was acknowledged, by sequence.
    acknowledged: BTreeMap<u64, Ulid>,
    /// Nodes that lost their memory and do not have everything yet that was acknowledged.
    maimed: BTreeSet<usize>,
    promotions: u64,
    acknowledgements: u64,
}

const NAME: &str = "d";

impl Model {
    fn new(seed: u64, nodes: usize, replicas: usize, level: Consistency, capacity: usize) -> Self {
        let ids: Vec<_> = (0..nodes).map(|n| NodeId::new(&format!("n{n}")).expect("a name")).collect();
        let host = |_: &NodeId| Host {
            replica: None,
            is_defined: false,
            hangs: false,
            links: BTreeMap::new(),
            claim: None,
            missed: BTreeSet::new(),
            promised: None,
        };
        let mut model = Self {
            rng: Rng::new(seed),
            hosts: ids.iter().map(host).collect(),
            ids,
            flights: Vec::new(),
            cut: BTreeSet::new(),
            replicas,
            level,
            capacity,
            conversations: 0,
            published: 0,
            waiting: Vec::new(),
            taken: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            maimed: BTreeSet::new(),
            promotions: 0,
            acknowledgements: 0,
        };
        model.define(0);
        model.claim(0, Purpose::Create);
        model
    }

    fn copies_needed(&self) -> usize {
        self.level.followers_needed(self.replicas) + 1
    }

    fn window(&self) -> Window {
        Window { capacity: self.capacity, ..Window::default() }
    }

    /// A client makes the disruptor at a node.
    fn define(&mut self, node: usize) {
        let window = self.window();
        self.hosts[node].is_defined = true;
        self.hosts[node].replica =
            Some(Replica::new(self.ids[node].clone(), NAME, self.replicas, window, true));
    }

    fn place(&self, id: &NodeId) -> usize {
        self.ids.iter().position(|other| other == id).expect("a node of this model")
    }

    fn is_cut(&self, one: usize, other: usize) -> bool {
        self.cut.contains(&(one.min(other), one.max(other)))
    }

    fn pick(&mut self, count: usize) -> usize {
        self.rng.below(count as u64) as usize
    }

    fn send(&mut self, conversation: u64, from: usize, to: usize, bytes: Vec<u8>, kind: Kind) {
        self.flights.push(Flight { conversation, from, to, bytes, kind });
    }

    fn can_arrive(&self, flight: &Flight) -> bool {
        !self.is_cut(flight.from, flight.to) && !self.hosts[flight.to].hangs
    }

    /// One message arrives, if it can.
    fn deliver(&mut self, place: usize) {
        if !self.can_arrive(&self.flights[place]) {
            return;
        }
        let Flight { conversation, from, to, bytes, kind } = self.flights.swap_remove(place);
        match kind {
            Kind::Request { told, is_link } => {
                let request: Request = decode(&bytes).expect("a request of ours");
                let answer = self.answer(conversation, to, request);
                self.send(conversation, to, from, encode(&answer), Kind::Answer { told, is_link });
            }
            Kind::Answer { told, is_link: true } => {
                let follower = self.ids[from].clone();
                if self.hosts[to].links.get(&follower).is_none_or(|link| link.0 != conversation) {
                    return;
                }
                self.hosts[to].links.insert(follower.clone(), (conversation, false));
                let answer: Answer = decode(&bytes).expect("an answer of ours");
                let Some(replica) = &mut self.hosts[to].replica else { return };
                if replica.answered(&follower, told, answer) == Heard::Refused {
                    self.hosts[to].links.remove(&follower);
                } else if self.rng.below(8) > 0 {
                    self.home_works(to, false);
                }
            }
            Kind::Answer { is_link: false, .. } => {
                let answer: Answer = decode(&bytes).expect("an answer of ours");
                self.claim_hears(conversation, to, from, Some(answer));
            }
        }
    }

    fn answer(&mut self, conversation: u64, node: usize, request: Request) -> Answer {
        let window = self.window();
        let host = &mut self.hosts[node];
        if let (None, Request::Hello(_)) = (&host.replica, &request) {
            let mut replica = Replica::new(self.ids[node].clone(), NAME, self.replicas, window, false);
            replica.promise(host.promised.take());
            host.replica = Some(replica);
        }
        match (&mut host.replica, request) {
            (Some(replica), Request::Release(_, reign, choice)) => {
                if replica.is_released(&reign, choice) {
                    host.promised = replica.promised.clone();
                    (host.replica, host.is_defined) = (None, false);
                }
                Answer::Done
            }
            (Some(_), Request::Yield(_)) => Answer::Done,
            (Some(replica), request) => replica.hear(conversation, request),
            (None, Request::Claim(_, reign)) => match &host.promised {
                Some(promised) if *promised > reign => Answer::Superseded(promised.clone()),
                _ => {
                    host.promised = Some(reign);
                    Answer::Nothing
                }
            },
            (None, _) => Answer::Nothing,
        }
    }

    /// A home sends what is next to each of its followers.
    fn home_works(&mut self, node: usize, beats: bool) {
        let Some(replica) = &mut self.hosts[node].replica else { return };
        let reign = replica.reign().cloned();
        let Some(home) = replica.home() else {
            // An answer that is waited for may find it at home again.
            self.hosts[node].links.retain(|_, (_, awaits)| *awaits);
            return;
        };
        let (choice, released) = (home.choice(), home.take_released());
        let followers: Vec<NodeId> = home.links().keys().cloned().collect();
        for follower in released {
            let reign = reign.clone().expect("a home has one");
            let release = Request::Release(NAME.to_owned(), reign, choice);
            self.hosts[node].links.remove(&follower);
            self.conversations += 1;
            let kind = Kind::Request { told: None, is_link: true };
            self.send(self.conversations, node, self.place(&follower), encode(&release), kind);
        }
        for follower in followers {
            let to = self.place(&follower);
            let host = &mut self.hosts[node];
            let replica = host.replica.as_mut().expect("it is the home");
            let (conversation, awaits) = *host.links.entry(follower.clone()).or_insert_with(|| {
                self.conversations += 1;
                replica.begin(&follower);
                (self.conversations, false)
            });
            if awaits {
                continue;
            }
            let request = match replica.next_for(&follower, "{}") {
                Some(request) => request,
                None if beats => replica.beat(),
                None => continue,
            };
            let told = match &request {
                Request::Hello(hello) => Some(hello.set.version),
                _ => None,
            };
            host.links.insert(follower, (conversation, true));
            self.send(conversation, node, to, encode(&request), Kind::Request { told, is_link: true });
        }
    }

    /// A conversation with a follower is over.
    fn break_off(&mut self, node: usize, other: usize) {
        let follower = self.ids[other].clone();
        let host = &mut self.hosts[node];
        host.links.remove(&follower);
        if let Some(replica) = &mut host.replica {
            replica.begin(&follower);
        }
    }

    /// A home hears who is there, which takes a while.
    fn home_looks(&mut self, node: usize) {
        for other in (0..self.ids.len()).filter(|other| *other != node) {
            let is_gone = self.is_cut(node, other) || self.hosts[other].hangs;
            if is_gone && self.rng.below(2) == 0 {
                self.hosts[node].missed.insert(other);
                self.break_off(node, other);
            } else if !is_gone {
                self.hosts[node].missed.remove(&other);
            }
        }
        let missed = &self.hosts[node].missed;
        let there = (0..self.ids.len()).filter(|other| *other != node && !missed.contains(other));
        let candidates: Vec<_> = there.map(|other| Candidate { id: &self.ids[other], zone: None }).collect();
        let wanted = followers(NAME, None, &candidates, self.replicas - 1);
        let Some(replica) = &mut self.hosts[node].replica else { return };
        let end = replica.log.end();
        if let Some(home) = replica.home() {
            home.want(wanted, end);
        }
    }

    fn claim(&mut self, node: usize, purpose: Purpose) {
        let peers: Vec<_> = self.ids.iter().filter(|id| **id != self.ids[node]).cloned().collect();
        let (level, token) = (self.copies_needed(), self.rng.next_u64());
        let host = &mut self.hosts[node];
        if host.hangs || host.claim.is_some() {
            return;
        }
        let Some(replica) = &mut host.replica else { return };
        self.conversations += 1;
        let mut claim = Claim::new(purpose, level, token, peers);
        let step = claim.begin(replica);
        host.claim = Some((self.conversations, claim));
        self.claim_goes_on(node, step);
    }

    fn claim_hears(&mut self, number: u64, node: usize, from: usize, answer: Option<Answer>) {
        let from = self.ids[from].clone();
        let host = &mut self.hosts[node];
        let (Some((own, claim)), Some(replica)) = (&mut host.claim, &mut host.replica) else { return };
        if *own == number {
            let step = claim.hear(replica, &from, answer);
            self.claim_goes_on(node, step);
        }
    }

    fn claim_goes_on(&mut self, node: usize, step: Step) {
        match step {
            Step::Wait => {}
            Step::Ask(requests) => {
                let number = self.hosts[node].claim.as_ref().expect("it goes on").0;
                for (to, request) in requests {
                    let to = self.place(&to);
                    let kind = Kind::Request { told: None, is_link: false };
                    self.send(number, node, to, encode(&request), kind);
                }
            }
            Step::Over(outcome) => {
                self.hosts[node].claim = None;
                let replica = self.hosts[node].replica.as_ref().expect("it claimed");
                if outcome == Outcome::Home {
                    assert!(matches!(replica.role(), Role::Home(_)));
                    self.promotions += 1;
                    self.hosts[node].is_defined = true;
                    self.home_looks(node);
                }
            }
        }
    }

    /// What a claim waits for is given up.
    fn claim_times_out(&mut self, node: usize) {
        let Some((number, _)) = self.hosts[node].claim else { return };
        for other in 0..self.ids.len() {
            let is_same = |flight: &Flight| {
                flight.conversation == number && (flight.to == other || flight.from == other)
            };
            // Requests may still arrive, and be answered to nobody.
            if other != node && self.hosts[node].claim.as_ref().is_some_and(|(own, _)| *own == number) {
                let was_lost = !self.flights.iter().any(is_same) || self.rng.below(2) == 0;
                if was_lost || self.is_cut(node, other) || self.hosts[other].hangs {
                    self.claim_hears(number, node, other, None);
                }
            }
        }
    }

    fn publish(&mut self, node: usize) {
        let needed = self.copies_needed() - 1;
        let host = &mut self.hosts[node];
        let Some(replica) = &mut host.replica else { return };
        let reign = replica.reign().cloned();
        let Some(home) = replica.home() else { return };
        if host.hangs || home.counted().len() < needed {
            return;
        }
        let reign = reign.expect("a home has one");
        let (start, count) = (replica.log.end(), 1 + self.rng.below(4));
        for sequence in start..start + count {
            self.published += 1;
            let id = Ulid(u128::from(self.published));
            let event = Event::new(&Draft::bare(ContentType::Bytes, &id.0.to_le_bytes()), id, 0);
            replica.log.push(event);
            let twice = self.taken.insert((reign.clone(), sequence), id);
            assert!(twice.is_none(), "two events at {sequence} of {reign:?}");
        }
        self.waiting.push(Waiting { home: node, reign, events: start..start + count });
    }

    /// Acknowledges what enough followers have, as `engine/copies.rs` does.
    fn acknowledge(&mut self) {
        let needed = self.copies_needed() - 1;
        for Waiting { home, reign, events } in std::mem::take(&mut self.waiting) {
            let Some(replica) = &mut self.hosts[home].replica else { continue };
            if replica.reign() != Some(&reign) {
                continue;
            }
            let Some(own) = replica.home() else { continue };
            let has = |node: &&NodeId| {
                let has = own.links()[*node].has();
                has.start <= events.start && events.end <= has.end
            };
            if own.counted().iter().filter(has).count() < needed {
                self.waiting.push(Waiting { home, reign, events });
                continue;
            }
            self.acknowledgements += 1;
            for sequence in events {
                let id = self.taken[&(reign.clone(), sequence)];
                let other = self.acknowledged.insert(sequence, id);
                assert!(
                    self.level == Consistency::Any || other.is_none_or(|other| other == id),
                    "two events were acknowledged at {sequence}"
                );
            }
        }
    }

    /// Whether a node has everything that was acknowledged and is not overwritten.
    fn is_whole(&self, node: usize) -> bool {
        let Some(replica) = &self.hosts[node].replica else { return self.acknowledged.is_empty() };
        let end = self.acknowledged.last_key_value().map_or(0, |(sequence, _)| sequence + 1);
        replica.log.end() >= end && self.lacks(node).is_none()
    }

    /// The first event that was acknowledged and should be there, and is not.
    fn lacks(&self, node: usize) -> Option<u64> {
        let log = &self.hosts[node].replica.as_ref()?.log;
        let kept = self.acknowledged.range(log.start()..);
        let is_there = |sequence: u64, id: Ulid| {
            log.events.get((sequence - log.start()) as usize).is_some_and(|event| event.id() == id)
        };
        kept.map(|(sequence, id)| (*sequence, *id)).find(|(s, id)| !is_there(*s, *id)).map(|(s, _)| s)
    }

    fn restart(&mut self, node: usize) {
        let maimed: BTreeSet<usize> =
            self.maimed.iter().copied().filter(|other| !self.is_whole(*other)).collect();
        self.maimed = maimed;
        // As many as may lose their memory at once, at this level.
        let are_too_many = self.maimed.len() + 1 >= self.copies_needed() && !self.maimed.contains(&node);
        if are_too_many || self.keeps_off_an_old_home(node) {
            return;
        }
        self.maimed.insert(node);
        self.flights.retain(|flight| flight.from != node && flight.to != node);
        let id = self.ids[node].clone();
        for host in &mut self.hosts {
            host.links.remove(&id);
        }
        let host = &mut self.hosts[node];
        *host = Host {
            replica: None,
            is_defined: host.is_defined,
            hangs: false,
            links: BTreeMap::new(),
            claim: None,
            missed: BTreeSet::new(),
            promised: None,
        };
        if self.hosts[node].is_defined {
            self.define(node);
        }
        self.waiting.retain(|waiting| waiting.home != node);
    }

    /// Whether an old home that has not heard of a later one would be listened to again, if this node forgot its promise.
    fn keeps_off_an_old_home(&self, node: usize) -> bool {
        let host = &self.hosts[node];
        let promised = host.replica.as_ref().map_or(&host.promised, |replica| &replica.promised);
        self.homes().into_iter().filter(|home| *home != node).any(|home| {
            self.hosts[home].replica.as_ref().and_then(|replica| replica.reign()) < promised.as_ref()
        })
    }

    /// What a log says of each event is what was taken there.
    fn check(&self) {
        for host in &self.hosts {
            let Some(replica) = &host.replica else { continue };
            let mut reigns = replica.lineage.up_to(replica.log.end()).reigns().to_vec();
            for (place, event) in replica.log.events.iter().enumerate().rev() {
                let sequence = replica.log.start() + place as u64;
                while reigns.last().is_some_and(|(_, start)| *start > sequence) {
                    reigns.pop();
                }
                let (reign, _) = reigns.last().expect("somebody took it");
                let taken = self.taken.get(&(reign.clone(), sequence));
                assert_eq!(taken, Some(&event.id()), "event {sequence} of {reign:?} at {}", replica.me);
            }
        }
        // One thing at a time to each follower, whether it answers or not.
        let mut open = BTreeMap::new();
        for flight in &self.flights {
            if let Kind::Request { is_link: true, .. } = flight.kind {
                *open.entry(flight.conversation).or_insert(0) += 1;
            }
        }
        assert!(open.values().all(|count| *count == 1));
    }

    fn step(&mut self) {
        let nodes = self.ids.len();
        let node = self.pick(nodes);
        match self.rng.below(1000) {
            0..560 => {
                let open = (0..self.flights.len()).filter(|place| self.can_arrive(&self.flights[*place]));
                let open: Vec<_> = open.collect();
                if !open.is_empty() {
                    let place = open[self.pick(open.len())];
                    self.deliver(place);
                }
            }
            560..640 => {
                let beats = self.rng.below(4) == 0;
                self.home_works(node, beats);
            }
            640..730 => self.publish(node),
            730..860 => self.home_looks(node),
            860..864 => self.split(),
            864..870 => {
                let other = self.pick(nodes);
                let pair = (node.min(other), node.max(other));
                if node != other && !self.cut.remove(&pair) && self.rng.below(2) == 0 {
                    self.cut.insert(pair);
                }
            }
            870..880 => {
                let hangs = !self.hosts[node].hangs && self.rng.below(3) == 0;
                self.hosts[node].hangs = hangs;
            }
            880..890 => {
                // A conversation breaks; what is under way may still arrive.
                let other = self.pick(nodes);
                self.break_off(node, other);
            }
            890..894 => self.restart(node),
            894..915 => self.claim(node, Purpose::Promote { by_force: false }),
            915..945 => self.recover(node),
            _ => (0..nodes).for_each(|node| self.claim_times_out(node)),
        }
        self.acknowledge();
    }

    /// Falls into two halves, or comes together again.
    fn split(&mut self) {
        let nodes = self.ids.len();
        let side = self.rng.below(1 << nodes);
        let is_between = |one: usize, other: usize| (side >> one) & 1 != (side >> other) & 1;
        let pairs = (0..nodes).flat_map(|other| (0..other).map(move |one| (one, other)));
        self.cut = match self.cut.is_empty() {
            true => pairs.filter(|(one, other)| is_between(*one, *other)).collect(),
            false => BTreeSet::new(),
        };
    }

    fn recover(&mut self, node: usize) {
        let is_claimant = |replica: &Replica<Window>| matches!(replica.role(), Role::Claiming);
        if self.hosts[node].replica.as_ref().is_some_and(is_claimant) {
            let is_late = self.rng.below(4) == 0;
            self.claim(node, Purpose::Recover { is_late });
        }
    }

    /// Everything works again.
    fn heal(&mut self) {
        self.cut.clear();
        self.hosts.iter_mut().for_each(|host| host.hangs = false);
    }

    /// Runs until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..8 {
            (0..self.ids.len()).for_each(|node| self.home_works(node, true));
            let mut deliveries = 0;
            loop {
                for node in 0..self.ids.len() {
                    self.home_looks(node);
                    self.home_works(node, false);
                }
                if self.flights.is_empty() {
                    break;
                }
                self.deliver(0);
                self.acknowledge();
                deliveries += 1;
                assert!(deliveries < 4000, "it does not come to rest");
            }
        }
    }

    /// Carries messages between these nodes until there is none, while their homes send.
    fn run_of(&mut self, nodes: &[usize]) {
        loop {
            nodes.iter().for_each(|node| self.home_works(*node, false));
            let is_among = |flight: &Flight| nodes.contains(&flight.from) && nodes.contains(&flight.to);
            let Some(place) = self.flights.iter().position(is_among) else { return };
            self.deliver(place);
        }
    }

    /// Has a node claim that reaches these nodes only.
    fn promote_among(&mut self, node: usize, nodes: &[usize]) {
        self.claim(node, Purpose::Promote { by_force: false });
        self.run_of(nodes);
        let number = self.conversations;
        for other in (0..self.ids.len()).filter(|other| !nodes.contains(other)) {
            self.claim_hears(number, node, other, None);
        }
        self.run_of(nodes);
    }

    fn homes(&self) -> Vec<usize> {
        let is_home = |host: &Host| {
            host.replica.as_ref().is_some_and(|replica| matches!(replica.role(), Role::Home(_)))
        };
        (0..self.ids.len()).filter(|node| is_home(&self.hosts[*node])).collect()
    }

    /// Sees to it that there is a home: by itself, if one has the right to be, else by a command.
    fn crown(&mut self) {
        let nodes = self.ids.len();
        let recover = (0..2 * nodes).map(|turn| (turn % nodes, Purpose::Recover { is_late: true }));
        let promote = (0..nodes).map(|node| (node, Purpose::Promote { by_force: false }));
        let force = (0..nodes).map(|node| (node, Purpose::Promote { by_force: true }));
        for (node, purpose) in recover.chain(promote).chain(force) {
            self.settle();
            (0..nodes).for_each(|node| self.claim_times_out(node));
            self.settle();
            if !self.homes().is_empty() {
                return;
            }
            let replica = self.hosts[node].replica.as_ref();
            let is_claimant = replica.is_some_and(|replica| matches!(replica.role(), Role::Claiming));
            if is_claimant || matches!(purpose, Purpose::Promote { .. }) {
                self.claim(node, purpose);
            }
        }
        self.settle();
    }
}

/// What was acknowledged at a level is there in the end, on every node that has a copy.
fn survives(seed: u64, nodes: usize, replicas: usize, level: Consistency, capacity: usize) -> (u64, u64) {
    let mut model = Model::new(seed, nodes, replicas, level, capacity);
    for step in 0..1500 {
        model.step();
        if step % 16 == 0 {
            model.check();
        }
    }
    model.heal();
    model.crown();
    model.check();
    let homes = model.homes();
    assert_eq!(homes.len(), 1, "there is one home in the end");
    let home = model.hosts[homes[0]].replica.as_ref().expect("it is the home");
    let copies = &home.set().nodes;
    assert_eq!(copies.len(), replicas, "there are as many copies as there are to be");
    for node in copies.iter().map(|id| model.place(id)) {
        let copy = model.hosts[node].replica.as_ref().expect("it counts");
        assert_eq!(copy.log.end(), home.log.end());
        if level != Consistency::Any {
            assert_eq!(model.lacks(node), None, "node {node} lacks what was acknowledged");
        }
    }
    (model.acknowledgements, model.promotions)
}

#[test]
fn what_is_acknowledged_survives_whatever_happens() {
    let sums = std::cell::Cell::new((0, 0));
    for level in [Consistency::Any, Consistency::One, Consistency::Quorum, Consistency::All] {
        for (nodes, replicas) in [(2, 2), (3, 3), (5, 5), (5, 3), (6, 4)] {
            let mut seed_of = Rng::new(7);
            for run in 0..45 {
                let seed = seed_of.next_u64();
                // Windows that hold everything, and windows that overflow.
                let capacity = if run % 3 < 2 { 1 << 20 } else { 16 };
                let run = std::panic::catch_unwind(|| survives(seed, nodes, replicas, level, capacity));
                let Ok((acknowledged, promotions)) = run else {
                    panic!("seed {seed}, {replicas} replicas on {nodes} nodes at {level:?}");
                };
                sums.set((sums.get().0 + acknowledged, sums.get().1 + promotions));
            }
        }
    }
    // It would mean nothing if nothing had happened.
    assert!(sums.get().0 > 10_000 && sums.get().1 > 1_000, "{sums:?}");
}
