//! A node of a cluster, running: the machine with sockets, threads and time.
//!
//! Datagrams go over UDP; full states, and probes where datagrams are lost, over TCP at the same port. A stream carries
//! one request and its answer, each as four bytes of length and an envelope.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use thiserror::Error;

use super::config::{ClusterConfig, ClusterError, check, check_metadata};
use super::conversation::{Conversation, Conversations, Hello};
use super::frame;
use super::health::Checks;
use super::services::Picks;
use super::swim::{
    Event, Exchange, Input, Member, Metadata, NodeId, NoteError, Output, Settings, State, Swim,
    decode_exchange, encode,
};
use super::watch::{Watch, Watchers};
use super::wire::{ENVELOPE_BYTES, Envelope, KeyError, Keyring, WireError};

/// A full state of several ten thousand members.
const STREAM_BYTES_MAX: usize = 16 << 20;
/// For a connection, for a request, and for its answer.
const STREAM_TIME: Duration = Duration::from_secs(5);
/// Requests that wait for a thread; more have no answer.
const REQUESTS_MAX: usize = 64;
/// Requests at the same time: nodes that stand still keep each for its time, and a probe each second brings another one.
const REQUESTERS: usize = 8;
/// Streams of others at the same time. Before there are more, that which has been there for longest ends, so that
/// those who open many and say nothing keep nobody out.
const STREAMS_MAX: usize = 64;
/// After the system has had no room for another stream.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks for what is to be logged besides events.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// Between two requests to seeds that have not answered.
const SEED_INTERVAL: Duration = Duration::from_secs(1);

/// A node of a cluster. It ends when it is dropped, without a word; [`leave`](Self::leave) says goodbye.
#[derive(Debug)]
pub struct Cluster {
    pub(super) shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Why a node has not joined another one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Nobody listens there, or it cannot be reached.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// What listens there does not talk to this node.
    #[error(
        "{0} does not talk to this node; it may have another key or another cluster's name, which its log tells"
    )]
    Silent(SocketAddr),
    /// What it says is not for this node.
    #[error("the answer of {address} is refused: {source}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: WireError,
    },
    /// This node has too much to ask for, or ends.
    #[error("this node is busy, or about to end")]
    Busy,
}

#[derive(Debug)]
pub(super) struct Shared {
    id: NodeId,
    envelope: Arc<RwLock<Envelope>>,
    conversations: Arc<Conversations>,
    packet_bytes_max: usize,
    members_max: usize,
    advertised: SocketAddr,
    address: SocketAddr,
    seeds: Vec<SocketAddr>,
    started: Instant,
    socket: UdpSocket,
    listener: TcpListener,
    /// Locked after the book of checks, where both are.
    pub(super) node: Mutex<Node>,
    /// Rung when the machine's deadline may be earlier than it was, and at the end.
    changed: Condvar,
    requests: SyncSender<Request>,
    pub(super) checks: Checks,
    pub(super) picks: Mutex<Picks>,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) swim: Swim,
    is_over: bool,
    seeded: Duration,
    /// Seeds whose answers are still to come.
    seeking: BTreeSet<SocketAddr>,
    /// Until when the thread that keeps the time sleeps.
    due: Duration,
    /// Answers by their streams, on their way from the machine to the thread that has the stream.
    answers: BTreeMap<u64, Vec<u8>>,
    streams: u64,
    watchers: Watchers,
    refusals: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Request {
    request: u64,
    to: SocketAddr,
    body: Vec<u8>,
    /// Who waits for what comes of it.
    told: Option<Told>,
}

type Told = SyncSender<Result<(), JoinError>>;

impl Cluster {
    /// Starts a node, which joins by itself.
    ///
    /// Shape: thirteen threads, which sleep while nothing comes, and one for each stream that others open, up to 64; two
    /// sockets at one port.
    ///
    /// Errors: [`ClusterError`].
    pub fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        check(&config)?;
        let listen = |source| ClusterError::Listen { address: config.bind, source };
        let (listener, socket) = bind(config.bind).map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;
        let mut address = config.advertise.unwrap_or(local);
        if address.port() == 0 {
            address.set_port(local.port());
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)
            .map_err(|error| ClusterError::Config(format!("no randomness: {error}")))?;
        let settings = Settings {
            address,
            seed: u64::from_le_bytes(seed),
            body_bytes_max: config.packet_bytes_max - ENVELOPE_BYTES,
            ..config.swim
        };
        let picks = Mutex::new(Picks::new(settings.seed));
        let (id, members_max) = (settings.id.clone(), settings.members_max);
        let (requests, wanted) = sync_channel(REQUESTS_MAX);
        let node = Node {
            swim: Swim::new(settings, Duration::ZERO),
            is_over: false,
            seeded: Duration::ZERO,
            seeking: BTreeSet::new(),
            due: Duration::ZERO,
            answers: BTreeMap::new(),
            streams: 0,
            watchers: Watchers::default(),
            refusals: BTreeMap::new(),
        };
        let envelope = Envelope::new(&config.name, config.keyring, config.compresses);
        let envelope = Arc::new(RwLock::new(envelope));
        let shared = Arc::new(Shared {
            conversations: Conversations::new(id.clone(), Arc::clone(&envelope)),
            id,
            envelope,
            packet_bytes_max: config.packet_bytes_max,
            members_max,
            advertised: address,
            address: local,
            seeds: config.seeds.into_iter().filter(|seed| *seed != address).collect(),
            started: Instant::now(),
            socket,
            listener,
            node: Mutex::new(node),
            changed: Condvar::new(),
            requests,
            checks: Checks::default(),
            picks,
        });
        let mut cluster = Self { shared, threads: Vec::new() };
        let watch = cluster.watch();
        // A log that nobody reads holds up nothing else.
        cluster.spawn("swim-log", move |shared| shared.write_log(&watch))?;
        let wanted = Arc::new(Mutex::new(wanted));
        cluster.spawn("swim-time", Shared::keep_time)?;
        cluster.spawn("swim-datagrams", Shared::hear)?;
        cluster.spawn("swim-streams", Shared::accept)?;
        cluster.spawn("swim-checks", |shared| {
            shared.checks.run(|id, status, note| shared.found(id, status, note));
        })?;
        for _ in 0..REQUESTERS {
            let wanted = Arc::clone(&wanted);
            cluster.spawn("swim-requests", move |shared| shared.ask(&wanted))?;
        }
        cluster.shared.seek();
        Ok(cluster)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce(&Shared) + Send + 'static) -> Result<(), ClusterError> {
        let shared = Arc::clone(&self.shared);
        let thread = Builder::new().name(name.to_owned()).spawn(move || work(&shared));
        self.threads.push(thread.map_err(ClusterError::Thread)?);
        Ok(())
    }

    /// Whether all threads run.
    pub(super) fn runs(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }

    /// Something that the machine knows.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Swim) -> T) -> T {
        look(&self.shared.node.lock().swim)
    }

    /// This node's name.
    pub fn id(&self) -> &NodeId {
        &self.shared.id
    }

    /// Where others reach this node.
    pub fn advertised(&self) -> SocketAddr {
        self.shared.advertised
    }

    /// Where this node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Every other node that is known, also those that are dead or have left.
    pub fn members(&self) -> Vec<Member> {
        self.shared.node.lock().swim.members().cloned().collect()
    }

    /// What is known of another node.
    pub fn member(&self, id: &NodeId) -> Option<Member> {
        self.shared.node.lock().swim.member(id.as_str()).cloned()
    }

    /// How often this node has spoken for itself.
    pub fn incarnation(&self) -> u64 {
        self.shared.node.lock().swim.incarnation()
    }

    /// The time on the clock of [`Member::since`], from the start.
    pub fn now(&self) -> Duration {
        self.shared.now()
    }

    /// This node's own health, 0 for well, up to 8.
    pub fn awareness(&self) -> u32 {
        self.shared.node.lock().swim.awareness()
    }

    /// Messages that were not taken, and members and services that messages told of when there were
    /// [`members_max`](Settings::members_max) of them, by why.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        let node = self.shared.node.lock();
        let mut refusals = node.refusals.clone();
        refusals.extend(too_many(&node.swim).into_iter().filter(|(_, count)| *count > 0));
        refusals
    }

    /// Events that watches had no room for, all together.
    pub fn lost_events(&self) -> u64 {
        self.shared.node.lock().watchers.lost()
    }

    /// Watches what becomes of nodes, from now on.
    pub fn watch(&self) -> Watch {
        self.shared.node.lock().watchers.add()
    }

    /// Exchanges states with another node, by which this one joins, and waits until that is done.
    ///
    /// Errors: [`JoinError`].
    pub fn join(&self, address: SocketAddr) -> Result<(), JoinError> {
        let (told, comes) = sync_channel(1);
        {
            let mut node = self.shared.node.lock();
            let outputs = node.swim.handle(self.shared.now(), Input::Join(address));
            self.shared.carry_out(&mut node, outputs, Some((address, told)));
        }
        comes.recv().unwrap_or(Err(JoinError::Busy))
    }

    /// Asks another node over TCP whether it is there, and tells how long the answer took, without the connection.
    ///
    /// Errors: it is not known (`NotFound`), cannot be reached, or does not answer.
    pub fn ping(&self, id: &NodeId, timeout: Duration) -> io::Result<Duration> {
        let stream = self.connect(id, timeout)?;
        let ping = encode(&Exchange::Ping { number: 0, to: id.clone() });
        let asked = Instant::now();
        self.shared.send(&stream, &ping)?;
        let answer = self.shared.receive(&stream, timeout)?.map_err(io::Error::other)?;
        match decode_exchange(&answer).map_err(io::Error::other)? {
            Exchange::Ack { .. } => Ok(asked.elapsed()),
            other => Err(io::Error::other(format!("another answer came: {other:?}"))),
        }
    }

    /// Begins a conversation about a topic.
    ///
    /// Errors: the node is not known (`NotFound`), cannot be reached, or refuses (`ConnectionRefused`).
    pub fn converse(&self, with: &NodeId, topic: &str) -> io::Result<Conversation> {
        let stream = self.connect(with, STREAM_TIME)?;
        self.shared.conversations.begin(stream, with, topic)
    }

    /// Has conversations about a topic that others begin handled from now on, each in a thread of its own.
    ///
    /// The handler must return soon after its conversation has ended, as all do when the node goes.
    pub fn on_conversation(&self, topic: &str, handler: impl Fn(Conversation) + Send + Sync + 'static) {
        self.shared.conversations.handle(topic, Arc::new(handler));
    }

    fn connect(&self, id: &NodeId, timeout: Duration) -> io::Result<TcpStream> {
        let member = self.member(id);
        let member = member.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no node `{id}` in this cluster"))
        })?;
        TcpStream::connect_timeout(&member.address, timeout)
    }

    /// The keys that open, that which closes first.
    pub fn keyring(&self) -> Keyring {
        self.shared.envelope.read().keyring.clone()
    }

    /// Changes the keys while the node runs: first a new one is added on every node, then used on every node, then the
    /// old one removed from every node.
    ///
    /// Errors: as the change itself; nothing has changed then.
    pub fn change_keys<T>(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<T, KeyError>,
    ) -> Result<T, KeyError> {
        change(&mut self.shared.envelope.write().keyring)
    }

    /// Says something else of this node.
    ///
    /// Errors: [`ClusterError::Config`]: more than 512 bytes.
    pub fn change_metadata(&self, metadata: &Metadata) -> Result<(), ClusterError> {
        check_metadata(metadata)?;
        self.shared.handle(Input::Metadata(metadata));
        Ok(())
    }

    /// Says something to all other nodes: small, best effort, in no order, at most once at each, as an
    /// [`Event::Note`].
    ///
    /// Errors: [`NoteError`]: it is too long, or too many are on their way. It is not sent then.
    pub fn send_note(&self, body: &[u8]) -> Result<(), NoteError> {
        let mut node = self.shared.node.lock();
        node.swim.check_note(body)?;
        self.shared.handle_in(&mut node, Input::Note(body));
        Ok(())
    }

    /// Says of a dead node that it has left, so that nobody expects it back; false if it is not dead. If it lives after
    /// all, it says so as soon as it is reached.
    pub fn force_leave(&self, id: &NodeId) -> bool {
        let mut node = self.shared.node.lock();
        let is_dead = node.swim.member(id.as_str()).is_some_and(|member| member.state == State::Dead);
        self.shared.handle_in(&mut node, Input::ForceLeave(id));
        is_dead
    }

    /// Says goodbye. Waits for up to `timeout` until as many as can be have been told; true if they have.
    pub fn leave(&self, timeout: Duration) -> bool {
        self.shared.handle(Input::Leave);
        let until = Instant::now() + timeout;
        let mut node = self.shared.node.lock();
        while !node.swim.has_left() {
            if self.shared.changed.wait_until(&mut node, until).timed_out() {
                return node.swim.has_left();
            }
        }
        true
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        {
            let mut node = self.shared.node.lock();
            node.is_over = true;
            node.watchers.end();
        }
        self.shared.changed.notify_all();
        self.shared.checks.end();
        self.shared.conversations.end();
        let reached = match self.shared.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, self.shared.address.port()).into(),
            _ => self.shared.address,
        };
        // Those who wait for the network look up when something comes.
        let _woken = self.shared.socket.send_to(&[], reached);
        let _woken = TcpStream::connect_timeout(&reached, Duration::from_secs(1));
        for _ in 0..REQUESTERS {
            let nothing = Request { request: 0, to: reached, body: Vec::new(), told: None };
            let _woken = self.shared.requests.send(nothing);
        }
        for thread in self.threads.drain(..) {
            // A panic has been printed.
            let _ended = thread.join();
        }
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn is_over(&self) -> bool {
        self.node.lock().is_over
    }

    /// Has the machine do something, and carries out what follows.
    fn handle(&self, input: Input<'_>) {
        self.handle_in(&mut self.node.lock(), input);
    }

    pub(super) fn handle_in(&self, node: &mut Node, input: Input<'_>) {
        let outputs = node.swim.handle(self.now(), input);
        self.carry_out(node, outputs, None);
    }

    /// `told` hears what comes of the request to its address.
    fn carry_out(&self, node: &mut Node, outputs: Vec<Output>, mut told: Option<(SocketAddr, Told)>) {
        let mut refused = Vec::new();
        for output in outputs {
            match output {
                Output::Datagram { to, body } => {
                    // What the system does not send counts as lost on its way.
                    let closed = self.envelope.read().close(&body);
                    let _sent = self.socket.send_to(&closed, to);
                }
                Output::Request { request, to, body } => {
                    let told = told.take_if(|(address, _)| *address == to).map(|(_, told)| told);
                    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                        self.requests.try_send(Request { request, to, body, told })
                    {
                        node.seeking.remove(&to);
                        refused.push(request);
                    }
                }
                Output::Answer { stream, body } => drop(node.answers.insert(stream, body)),
                Output::Event(event) => node.watchers.tell(&event),
            }
        }
        for request in refused {
            self.handle_in(node, Input::NoAnswer { request, is_refused: false });
        }
        if node.swim.deadline() < node.due || node.swim.has_left() {
            self.changed.notify_all();
        }
    }

    /// Asks the seeds, as long as nobody is known.
    fn seek(&self) {
        let mut node = self.node.lock();
        let is_alone = node.swim.members().all(|member| !member.state.is_present());
        if is_alone {
            for seed in &self.seeds {
                // One that does not even refuse takes longer than the interval.
                if node.seeking.insert(*seed) {
                    self.handle_in(&mut node, Input::Join(*seed));
                }
            }
        }
        node.seeded = self.now();
    }

    fn keep_time(&self) {
        loop {
            let mut node = self.node.lock();
            if node.is_over {
                return;
            }
            let seek_at = if self.seeds.is_empty() { Duration::MAX } else { node.seeded + SEED_INTERVAL };
            node.due = node.swim.deadline().min(seek_at);
            if node.due > self.now() {
                let until =
                    self.started.checked_add(node.due).unwrap_or(self.started + Duration::from_secs(1 << 32));
                self.changed.wait_until(&mut node, until);
                continue;
            }
            self.handle_in(&mut node, Input::Time);
            drop(node);
            if self.now() >= seek_at {
                self.seek();
            }
        }
    }

    fn hear(&self) {
        let mut bytes = vec![0; self.packet_bytes_max + 1];
        loop {
            let heard = self.socket.recv_from(&mut bytes);
            if self.is_over() {
                return;
            }
            // An error tells of something that was sent before, as that nobody is there.
            let Ok((length, from)) = heard else { continue };
            let opened = self.envelope.read().open(&bytes[..length], self.packet_bytes_max);
            match opened {
                Ok(body) => self.handle(Input::Datagram { from, body: &body }),
                Err(error) => self.refuse(error, from),
            }
        }
    }

    /// Writes down what a watch sees, and the first time and at each doubling that there is no room for more.
    fn write_log(&self, watch: &Watch) {
        let mut written = too_many(&self.node.lock().swim);
        loop {
            match watch.next(LOG_INTERVAL) {
                None if watch.is_over() => return,
                // Notes are between those who send and those who watch.
                None | Some(Event::Note { .. }) => {}
                Some(event) => log::info!(target: "cluster", "{event}"),
            }
            let counted = too_many(&self.node.lock().swim);
            for ((why, count), (_, before)) in counted.into_iter().zip(&mut written) {
                if count.checked_ilog2() > before.checked_ilog2() {
                    *before = count;
                    let most = self.members_max;
                    log::warn!(
                        target: "cluster", count = count;
                        "{why}: this node takes up no more than {most}, and does not know the others; raise members_max"
                    );
                }
            }
        }
    }

    /// Counts what is not for this node, and says so the first time, and at each doubling.
    fn refuse(&self, error: WireError, from: SocketAddr) {
        let why = match error {
            WireError::Foreign => "foreign",
            WireError::Version(_) => "version",
            WireError::OtherCluster => "other_cluster",
            WireError::Damaged => "damaged",
            WireError::Clear => "clear",
            WireError::NoKey => "no_key",
            WireError::WrongKey => "wrong_key",
            WireError::TooLong(_) => "too_long",
        };
        let count = {
            let mut node = self.node.lock();
            let count = node.refusals.entry(why).or_default();
            *count += 1;
            *count
        };
        if count.is_power_of_two() {
            log::warn!(target: "cluster", count = count; "a message from {from} is refused: {error}");
        }
    }

    /// Answers streams, each in a thread of its own.
    fn accept(&self) {
        let (open, closed) = (&Mutex::new(BTreeMap::<u64, TcpStream>::new()), &Condvar::new());
        thread::scope(|scope| {
            for number in 0.. {
                let accepted = self.listener.accept();
                if self.is_over() {
                    break;
                }
                let mut held = open.lock();
                while let Some((_, oldest)) = held.first_key_value().filter(|_| held.len() >= STREAMS_MAX) {
                    // It may have ended by itself.
                    let _ended = oldest.shutdown(Shutdown::Both);
                    closed.wait(&mut held);
                }
                let begun = accepted.and_then(|(stream, from)| {
                    held.insert(number, stream.try_clone()?);
                    let answer = move || {
                        self.answer(stream, from);
                        open.lock().remove(&number);
                        closed.notify_one();
                    };
                    Builder::new().name("swim-stream".to_owned()).spawn_scoped(scope, answer)
                });
                if begun.is_err() {
                    held.remove(&number);
                    drop(held);
                    self.pause();
                }
            }
            open.lock().values().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
        });
    }

    /// Waits for a moment, or for the end.
    fn pause(&self) {
        let mut node = self.node.lock();
        if !node.is_over {
            self.changed.wait_for(&mut node, PAUSE);
        }
    }

    fn answer(&self, stream: TcpStream, from: SocketAddr) {
        match self.receive(&stream, STREAM_TIME) {
            Ok(Ok(body)) => {
                if let Some(hello) = Hello::decode(&body) {
                    if let Err(error) = self.conversations.welcome(stream, hello) {
                        log::debug!(target: "cluster", "a conversation with {from} has not begun: {error}");
                    }
                    return;
                }
                let answer = {
                    let mut node = self.node.lock();
                    node.streams += 1;
                    let number = node.streams;
                    self.handle_in(&mut node, Input::Request { stream: number, body: &body });
                    node.answers.remove(&number)
                };
                // Who has gone does not want it.
                let _sent = answer.map(|answer| self.send(&stream, &answer));
            }
            Ok(Err(error)) => self.refuse(error, from),
            // It was not finished in time, or somebody only looked whether there is a port.
            Err(_) => {}
        }
    }

    /// Asks others, one after the other.
    fn ask(&self, wanted: &Mutex<Receiver<Request>>) {
        loop {
            let next = wanted.lock().recv();
            let Ok(Request { request, to, body, told }) = next else { return };
            if self.is_over() {
                return;
            }
            let mut is_reached = false;
            let answer = TcpStream::connect_timeout(&to, STREAM_TIME).and_then(|stream| {
                is_reached = true;
                self.send(&stream, &body)?;
                self.receive(&stream, STREAM_TIME)
            });
            self.node.lock().seeking.remove(&to);
            let outcome = match answer {
                Ok(Ok(body)) => {
                    self.handle(Input::Answer { request, body: &body });
                    Ok(())
                }
                Ok(Err(source)) => {
                    self.refuse(source, to);
                    self.handle(Input::NoAnswer { request, is_refused: false });
                    Err(JoinError::Refused { address: to, source })
                }
                Err(source) => {
                    let is_refused = source.kind() == io::ErrorKind::ConnectionRefused;
                    self.handle(Input::NoAnswer { request, is_refused });
                    Err(match is_reached {
                        true => JoinError::Silent(to),
                        false => JoinError::Unreachable { address: to, source },
                    })
                }
            };
            // Who asked may have gone.
            let _told = told.map(|told| told.try_send(outcome));
        }
    }

    fn send(&self, stream: &TcpStream, body: &[u8]) -> io::Result<()> {
        // The keys can change while the other side takes its time.
        let closed = self.envelope.read().close(body);
        frame::write(stream, &closed, STREAM_TIME)
    }

    /// A body, or why it is none for this node.
    fn receive(&self, stream: &TcpStream, time: Duration) -> io::Result<Result<Vec<u8>, WireError>> {
        Ok(match frame::read(stream, STREAM_BYTES_MAX, time)? {
            Some(bytes) => self.envelope.read().open(&bytes, STREAM_BYTES_MAX),
            None => Err(WireError::TooLong(STREAM_BYTES_MAX)),
        })
    }
}

/// How often there was no room, by for what.
fn too_many(swim: &Swim) -> [(&'static str, u64); 2] {
    [("too_many_members", swim.refused_members()), ("too_many_services", swim.refused_services())]
}

/// Both sockets at one port, also where the port is to be any.
fn bind(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    const TRIES: u32 = 16;
    let mut tries = 0;
    loop {
        let listener = TcpListener::bind(address)?;
        match UdpSocket::bind(listener.local_addr()?) {
            Ok(socket) => return Ok((listener, socket)),
            // Another program has that one of the two.
            Err(_) if address.port() == 0 && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}
