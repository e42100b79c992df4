//! A network in one thread, in virtual time: thousands of nodes, and links that lose, delay, reorder and double.

#[path = "text.rs"]
mod text;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use badbatch::base::rng::Rng;
use badbatch::cluster::swim::{Event, Input, Metadata, NodeId, Output, Record, Settings, State, Swim};

/// What links do.
#[derive(Clone, Debug)]
pub struct Links {
    /// The share of what is sent that is lost: of datagrams, and of the parts of streams, which are sent again.
    pub loss: f64,
    /// Whether no datagram comes through at all, as where a wall lets only streams pass.
    pub only_streams: bool,
    /// The share of datagrams that come twice.
    pub doubled: f64,
    /// The shortest and the longest time that something is on its way.
    pub delay: (Duration, Duration),
}

impl Default for Links {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self { loss: 0.0, only_streams: false, doubled: 0.0, delay: (millis(1), millis(5)) }
    }
}

/// What a node is made of: ours, or another one to compare with.
pub trait Machine {
    /// As [`Swim::handle`].
    fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output>;
    /// As [`Swim::deadline`].
    fn deadline(&self) -> Duration;
    /// As [`Swim::remember`].
    fn remember(&mut self, records: &[Record]);
    /// What it knows of a node.
    fn state_of(&self, id: &NodeId) -> Option<State>;
}

impl Machine for Swim {
    fn handle(&mut self, now: Duration, input: Input<'_>) -> Vec<Output> {
        self.handle(now, input)
    }

    fn deadline(&self) -> Duration {
        self.deadline()
    }

    fn remember(&mut self, records: &[Record]) {
        self.remember(records.iter().cloned());
    }

    fn state_of(&self, id: &NodeId) -> Option<State> {
        self.member(id.as_str()).map(|member| member.state)
    }
}

pub struct Node<M> {
    pub swim: M,
    pub is_up: bool,
    /// Whether the machine refuses streams for a process that is gone.
    refuses: bool,
    /// A node that stands still: what comes for it waits.
    pub is_paused: bool,
    /// How much later than others it does everything.
    pub lag: Duration,
    /// Nodes on different sides do not reach each other.
    pub side: u8,
    held: Vec<What>,
    /// The next wake that is in the queue.
    wake: Duration,
}

#[derive(Clone)]
enum What {
    Wake,
    Datagram(SocketAddr, Vec<u8>),
    /// From whom, and the request's number there.
    Request(usize, u64, Vec<u8>),
    Answer(u64, Vec<u8>),
    /// The request's number, and whether nobody listens there.
    NoAnswer(u64, bool),
}

/// Starts a node: its number, a seed, and the time.
type Make<M> = Box<dyn Fn(usize, u64, Duration) -> M>;

pub struct Net<M = Swim> {
    pub now: Duration,
    pub links: Links,
    pub nodes: Vec<Node<M>>,
    /// Pairs, from and to, between which nothing goes.
    pub cut: Vec<(usize, usize)>,
    /// Pairs, from and to, between which a wall stands that refuses streams and drops datagrams.
    pub walls: Vec<(usize, usize)>,
    /// Everything that nodes have told, in order.
    pub told: Vec<(Duration, usize, Event)>,
    pub bytes: u64,
    pub datagrams: u64,
    /// Datagrams that have been seen, to be sent again.
    pub seen: Vec<(usize, SocketAddr, Vec<u8>)>,
    pub keeps_seen: bool,
    /// What goes through it, if that is to be read.
    pub transcript: Option<String>,
    make: Make<M>,
    rng: Rng,
    queue: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    whats: BTreeMap<u64, What>,
    counter: u64,
    /// The streams that nodes have to answer: who asked, and by which number.
    streams: BTreeMap<u64, (usize, u64)>,
}

/// After which a stream is given up, as in the driver.
const STREAM_TIME: Duration = Duration::from_secs(5);
pub const DATAGRAM_BYTES_MAX: usize = 1350;

pub fn id(node: usize) -> NodeId {
    NodeId::new(&format!("node-{node:05}")).expect("a name")
}

fn index(id: &NodeId) -> usize {
    id.as_str()["node-".len()..].parse().expect("one of ours")
}

pub fn address(node: usize) -> SocketAddr {
    let [_, a, b, c] = (node as u32).to_be_bytes();
    (Ipv4Addr::new(10, a, b, c), 7946).into()
}

pub fn node_at(address: SocketAddr) -> usize {
    match address.ip() {
        std::net::IpAddr::V4(ip) => u32::from(ip) as usize & 0xff_ffff,
        std::net::IpAddr::V6(_) => unreachable!("none is given"),
    }
}

impl Net<Swim> {
    /// So many nodes that know nobody.
    pub fn new(count: usize, seed: u64) -> Self {
        Self::with(count, seed, |_| {})
    }

    /// The same, told something else.
    pub fn with(count: usize, seed: u64, tell: fn(&mut Settings)) -> Self {
        let make = move |node: usize, seed: u64, now: Duration| {
            let mut settings = Settings::new(id(node), address(node), seed);
            settings.body_bytes_max = DATAGRAM_BYTES_MAX;
            tell(&mut settings);
            Swim::new(settings, now)
        };
        Self::of(count, seed, Box::new(make))
    }
}

impl<M: Machine> Net<M> {
    /// So many nodes that are made like this.
    pub fn of(count: usize, seed: u64, make: Make<M>) -> Self {
        let mut net = Self {
            now: Duration::ZERO,
            links: Links::default(),
            nodes: Vec::new(),
            cut: Vec::new(),
            walls: Vec::new(),
            told: Vec::new(),
            bytes: 0,
            datagrams: 0,
            seen: Vec::new(),
            keeps_seen: false,
            transcript: None,
            make,
            rng: Rng::new(seed),
            queue: BinaryHeap::new(),
            whats: BTreeMap::new(),
            counter: 0,
            streams: BTreeMap::new(),
        };
        for node in 0..count {
            let swim = net.start(node);
            net.nodes.push(Node {
                swim,
                is_up: true,
                refuses: true,
                is_paused: false,
                lag: Duration::ZERO,
                side: 0,
                held: Vec::new(),
                wake: Duration::MAX,
            });
            net.schedule(node);
        }
        net
    }

    fn start(&mut self, node: usize) -> M {
        (self.make)(node, self.rng.next_u64(), self.now)
    }

    /// Has every node know every other one, as if they had been together for long.
    pub fn introduce(&mut self) {
        self.introduce_first(self.nodes.len());
    }

    /// The same for so many nodes; the others know nobody.
    pub fn introduce_first(&mut self, count: usize) {
        let record = |node: usize| Record {
            id: id(node),
            address: address(node),
            incarnation: 0,
            state: State::Alive,
            metadata: Metadata::default(),
        };
        let all: Vec<Record> = (0..count).map(record).collect();
        for node in 0..count {
            self.nodes[node].swim.remember(&all);
            self.schedule(node);
        }
        // So that they are amid their rounds.
        self.run(Duration::from_secs(20));
        self.forget();
    }

    /// Begins to count anew.
    pub fn forget(&mut self) {
        self.told.clear();
        (self.bytes, self.datagrams) = (0, 0);
    }

    /// Ends a process; its machine goes on.
    pub fn kill(&mut self, node: usize) {
        self.write(node, "", || "is killed".to_owned());
        self.nodes[node].is_up = false;
    }

    /// Ends a machine.
    pub fn unplug(&mut self, node: usize) {
        self.write(node, "", || "is gone with its machine".to_owned());
        (self.nodes[node].is_up, self.nodes[node].refuses) = (false, false);
    }

    /// Starts a node that has forgotten everything.
    pub fn restart(&mut self, node: usize) {
        self.write(node, "", || "starts, and knows nothing".to_owned());
        let swim = self.start(node);
        let old = &mut self.nodes[node];
        (old.swim, old.is_up, old.refuses, old.wake) = (swim, true, true, Duration::MAX);
        self.schedule(node);
    }

    pub fn pause(&mut self, node: usize) {
        self.write(node, "", || "stands still".to_owned());
        self.nodes[node].is_paused = true;
    }

    pub fn resume(&mut self, node: usize) {
        self.write(node, "", || "goes on".to_owned());
        self.nodes[node].is_paused = false;
        for what in std::mem::take(&mut self.nodes[node].held) {
            self.push(self.now, node, what);
        }
        self.nodes[node].wake = Duration::MAX;
        self.schedule(node);
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(Reverse((due, _, _))) = self.queue.peek()
            && *due <= end
        {
            let Reverse((due, key, node)) = self.queue.pop().expect("it was just seen");
            self.now = due;
            let what = self.whats.remove(&key).expect("each is there once");
            self.happen(node, what);
        }
        self.now = end;
    }

    /// Tells a node something.
    pub fn input(&mut self, node: usize, input: Input<'_>) {
        match &input {
            Input::Join(address) => {
                self.write(node, "", || format!("is to join by n{}", node_at(*address)));
            }
            Input::Leave => self.write(node, "", || "is to leave".to_owned()),
            _ => {}
        }
        let outputs = self.nodes[node].swim.handle(self.now, input);
        for output in outputs {
            self.carry(node, output);
        }
        self.schedule(node);
    }

    fn happen(&mut self, node: usize, what: What) {
        if !self.nodes[node].is_up {
            if let What::Request(asker, request, _) = what {
                match self.nodes[node].refuses {
                    true => self.later(asker, What::NoAnswer(request, true)),
                    false => self.push(self.now + STREAM_TIME, asker, What::NoAnswer(request, false)),
                }
            }
            return;
        }
        if self.nodes[node].is_paused {
            if !matches!(what, What::Wake) {
                self.nodes[node].held.push(what);
            }
            return;
        }
        match what {
            // An earlier one has come before it.
            What::Wake if self.nodes[node].wake != self.now => {}
            What::Wake => {
                self.nodes[node].wake = Duration::MAX;
                self.input(node, Input::Time);
            }
            What::Datagram(from, body) => self.input(node, Input::Datagram { from, body: &body }),
            What::Request(asker, request, body) => {
                self.counter += 1;
                let stream = self.counter;
                self.streams.insert(stream, (asker, request));
                self.input(node, Input::Request { stream, body: &body });
                if self.streams.remove(&stream).is_some() {
                    self.later(asker, What::NoAnswer(request, false));
                }
            }
            What::Answer(request, body) => self.input(node, Input::Answer { request, body: &body }),
            What::NoAnswer(request, is_refused) => {
                let why = if is_refused { "is refused" } else { "has no answer" };
                self.write(node, "", || format!("{why} on a stream"));
                self.input(node, Input::NoAnswer { request, is_refused });
            }
        }
    }

    fn carry(&mut self, from: usize, output: Output) {
        match output {
            Output::Event(event) => {
                self.write(from, "", || text::event(&event));
                self.told.push((self.now, from, event));
            }
            Output::Datagram { to, body } => {
                assert!(body.len() <= DATAGRAM_BYTES_MAX, "a datagram of {} bytes", body.len());
                self.bytes += body.len() as u64;
                self.datagrams += 1;
                let to = node_at(to);
                if self.keeps_seen {
                    self.seen.push((to, address(from), body.clone()));
                }
                let is_lost =
                    self.links.only_streams || !self.reaches(from, to) || self.chance(self.links.loss);
                let fate = if is_lost { " (lost)" } else { "" };
                self.write(from, &format!(" -> n{to}"), || text::datagram(&body) + fate);
                if is_lost {
                    return;
                }
                if self.chance(self.links.doubled) {
                    self.later(to, What::Datagram(address(from), body.clone()));
                }
                self.later(to, What::Datagram(address(from), body));
            }
            Output::Request { request, to, body } => {
                self.bytes += body.len() as u64;
                let to = node_at(to);
                self.write(from, &format!(" => n{to}"), || text::exchange(&body));
                let is_open = to < self.nodes.len() && self.reaches(from, to) && self.reaches(to, from);
                let opens = Duration::from_secs(1);
                if self.walls.contains(&(from, to)) {
                    self.later(from, What::NoAnswer(request, true));
                } else if let Some(wait) = self.sent_again(opens).filter(|_| is_open) {
                    self.after(wait, to, What::Request(from, request, body));
                } else {
                    self.push(self.now + STREAM_TIME, from, What::NoAnswer(request, false));
                }
            }
            Output::Answer { stream, body } => {
                self.bytes += body.len() as u64;
                let (asker, request) = self.streams.remove(&stream).expect("it was asked");
                self.write(from, &format!(" => n{asker}"), || text::exchange(&body));
                let sends = Duration::from_millis(200);
                match self.sent_again(sends) {
                    Some(wait) => self.after(wait, asker, What::Answer(request, body)),
                    None => self.push(self.now + STREAM_TIME, asker, What::NoAnswer(request, false)),
                }
            }
        }
    }

    fn write(&mut self, node: usize, to: &str, what: impl FnOnce() -> String) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push_str(&text::line(self.now, &format!("n{node}{to}"), &what()));
        }
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        let pair = (from, to);
        self.nodes[from].side == self.nodes[to].side
            && !self.cut.contains(&pair)
            && !self.walls.contains(&pair)
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && (self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64 <= share
    }

    /// How long a stream takes longer because of what is lost there: a part that is lost, or whose receipt is, is sent
    /// again after `first`, then after twice that, and so on. Nothing if that goes on for too long.
    fn sent_again(&mut self, first: Duration) -> Option<Duration> {
        let arrives = 1.0 - self.links.loss;
        let (mut wait, mut pause) = (Duration::ZERO, first);
        while wait < STREAM_TIME && self.chance(1.0 - arrives * arrives) {
            wait += pause;
            pause *= 2;
        }
        (wait < STREAM_TIME).then_some(wait)
    }

    fn later(&mut self, to: usize, what: What) {
        self.after(Duration::ZERO, to, what);
    }

    fn after(&mut self, wait: Duration, to: usize, what: What) {
        let (least, most) = self.links.delay;
        let spread = self.rng.below((most - least).as_nanos() as u64 + 1);
        let due = self.now + wait + least + Duration::from_nanos(spread) + self.nodes[to].lag;
        self.push(due, to, what);
    }

    fn push(&mut self, due: Duration, node: usize, what: What) {
        self.counter += 1;
        self.whats.insert(self.counter, what);
        self.queue.push(Reverse((due, self.counter, node)));
    }

    fn schedule(&mut self, node: usize) {
        let due = self.nodes[node].swim.deadline().max(self.now) + self.nodes[node].lag;
        if due < self.nodes[node].wake {
            self.nodes[node].wake = due;
            self.push(due, node, What::Wake);
        }
    }

    // What can be seen.

    /// The state of a node in the eyes of another one.
    pub fn sees(&self, node: usize, other: usize) -> Option<State> {
        self.nodes[node].swim.state_of(&id(other))
    }

    /// Whether every node that is up sees exactly the nodes that are up as alive.
    pub fn agrees(&self) -> bool {
        let up: Vec<usize> = (0..self.nodes.len()).filter(|node| self.nodes[*node].is_up).collect();
        up.iter().all(|node| {
            (0..self.nodes.len())
                .filter(|other| other != node)
                .all(|other| (self.sees(*node, other) == Some(State::Alive)) == self.nodes[other].is_up)
        })
    }

    /// Lets time pass until all is as it should be, and tells how long that took; nothing if it takes longer than `most`.
    pub fn within(&mut self, most: Duration, is_so: impl Fn(&Self) -> bool) -> Option<Duration> {
        let begin = self.now;
        while !is_so(self) {
            if self.now - begin >= most {
                return None;
            }
            self.run(Duration::from_millis(50));
        }
        Some(self.now - begin)
    }

    /// When each node told that another one had died, for those who told it.
    pub fn deaths(&self, of: usize) -> Vec<(Duration, usize)> {
        let died = |(at, node, event): &(Duration, usize, Event)| match event {
            Event::Died(member) if index(&member.id) == of => Some((*at, *node)),
            _ => None,
        };
        self.told.iter().filter_map(died).collect()
    }

    /// How often a node that was up was called dead.
    pub fn false_deaths(&self) -> usize {
        let is_false = |(_, _, event): &&(Duration, usize, Event)| match event {
            Event::Died(member) => self.nodes[index(&member.id)].is_up,
            _ => false,
        };
        self.told.iter().filter(is_false).count()
    }
}
