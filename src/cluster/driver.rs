//! A node of a cluster, running: the machine with sockets, threads and time.
//!
//! Datagrams go over UDP; full states, and probes where datagrams are lost, over TCP at the same port. A stream carries
//! one request and its answer, each as four bytes of length and an envelope.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use thiserror::Error;

use super::swim::{Event, Input, Member, Metadata, NodeId, Output, Settings, Swim};
use super::wire::{ENVELOPE_BYTES, Envelope, Keyring, WireError};

/// What a node is told.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The cluster's name. Nodes of another one are not heard.
    pub name: String,
    /// The node's name, unique in the cluster.
    pub id: NodeId,
    /// Where it listens; port 0 for any.
    pub bind: SocketAddr,
    /// Where others reach it, if that is elsewhere.
    pub advertise: Option<SocketAddr>,
    /// Nodes by which it joins. They are asked until one has answered.
    pub seeds: Vec<SocketAddr>,
    /// What it says of itself; at most 512 bytes.
    pub metadata: Metadata,
    /// The keys, if nothing is to go in clear.
    pub keyring: Keyring,
    /// Whether bodies are compressed that shrink.
    pub compresses: bool,
    /// The longest datagram, at least 512 bytes.
    pub packet_bytes_max: usize,
    /// Times and counts of the protocol. Name, address, metadata, seed and length are those from here.
    pub swim: fn(&mut Settings),
}

impl ClusterConfig {
    /// A node of this name on loopback, in a cluster called `badbatch`, with the defaults.
    pub fn new(id: NodeId) -> Self {
        Self {
            name: "badbatch".to_owned(),
            id,
            bind: (Ipv4Addr::LOCALHOST, 0).into(),
            advertise: None,
            seeds: Vec::new(),
            metadata: Metadata::default(),
            keyring: Keyring::none(),
            compresses: true,
            packet_bytes_max: 1400,
            swim: |_| {},
        }
    }
}

/// Why a node cannot start. Nothing runs then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A value that cannot be, and what would.
    #[error("{0}")]
    Config(String),
    /// The operating system's refusal.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The operating system's refusal.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

const PACKET_BYTES_MIN: usize = 512;
const METADATA_BYTES_MAX: usize = 512;
/// A full state of several ten thousand members.
const STREAM_BYTES_MAX: usize = 16 << 20;
/// For a stream, from the connection to the answer.
const STREAM_TIME: Duration = Duration::from_secs(5);
/// Requests that wait for a thread; more have no answer.
const REQUESTS_MAX: usize = 64;
const REQUESTERS: usize = 2;
/// Streams that are answered at the same time; more wait in the kernel's queue.
const ANSWERERS: usize = 2;
/// Events that wait for somebody who reads; more are lost, and counted.
const EVENTS_MAX: usize = 1024;
/// Between two requests to seeds that have not answered.
const SEED_INTERVAL: Duration = Duration::from_secs(1);

/// A node of a cluster. It ends when it is dropped, without a word; [`leave`](Self::leave) says goodbye.
#[derive(Debug)]
pub struct Cluster {
    shared: Arc<Shared>,
    events: Mutex<Receiver<Event>>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    envelope: Envelope,
    packet_bytes_max: usize,
    address: SocketAddr,
    seeds: Vec<SocketAddr>,
    started: Instant,
    socket: UdpSocket,
    listener: TcpListener,
    node: Mutex<Node>,
    /// Rung when the machine's deadline may be earlier than it was, and at the end.
    changed: Condvar,
    requests: SyncSender<Request>,
    events: SyncSender<Event>,
}

#[derive(Debug)]
struct Node {
    swim: Swim,
    is_over: bool,
    seeded: Duration,
    /// Answers by their streams, on their way from the machine to the thread that has the stream.
    answers: BTreeMap<u64, Vec<u8>>,
    streams: u64,
    lost_events: u64,
    refusals: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
struct Request {
    request: u64,
    to: SocketAddr,
    body: Vec<u8>,
}

impl Cluster {
    /// Starts a node, which joins by itself.
    ///
    /// Shape: six threads, which sleep while nothing comes; two sockets at one port.
    ///
    /// Errors: [`ClusterError`].
    pub fn start(config: ClusterConfig) -> Result<Self, ClusterError> {
        check(&config)?;
        let listen = |source| ClusterError::Listen { address: config.bind, source };
        let (listener, socket) = bind(config.bind).map_err(listen)?;
        let local = listener.local_addr().map_err(listen)?;
        let address = config.advertise.unwrap_or(local);
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)
            .map_err(|error| ClusterError::Config(format!("no randomness: {error}")))?;
        let mut settings = Settings::new(config.id, address, u64::from_le_bytes(seed));
        (config.swim)(&mut settings);
        settings.metadata = config.metadata;
        settings.body_bytes_max = config.packet_bytes_max - ENVELOPE_BYTES;
        let (requests, wanted) = sync_channel(REQUESTS_MAX);
        let (events, told) = sync_channel(EVENTS_MAX);
        let node = Node {
            swim: Swim::new(settings, Duration::ZERO),
            is_over: false,
            seeded: Duration::ZERO,
            answers: BTreeMap::new(),
            streams: 0,
            lost_events: 0,
            refusals: BTreeMap::new(),
        };
        let shared = Arc::new(Shared {
            envelope: Envelope::new(&config.name, config.keyring, config.compresses),
            packet_bytes_max: config.packet_bytes_max,
            address: local,
            seeds: config.seeds.into_iter().filter(|seed| *seed != address).collect(),
            started: Instant::now(),
            socket,
            listener,
            node: Mutex::new(node),
            changed: Condvar::new(),
            requests,
            events,
        });
        let mut cluster = Self { shared, events: Mutex::new(told), threads: Vec::new() };
        let wanted = Arc::new(Mutex::new(wanted));
        cluster.spawn("swim-time", Shared::keep_time)?;
        cluster.spawn("swim-datagrams", Shared::hear)?;
        for _ in 0..ANSWERERS {
            cluster.spawn("swim-answers", Shared::answer)?;
        }
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

    /// Where this node listens.
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Every other node that is known, also those that are dead or have left.
    pub fn members(&self) -> Vec<Member> {
        self.shared.node.lock().swim.members().cloned().collect()
    }

    /// This node's own health, 0 for well, up to 8.
    pub fn awareness(&self) -> u32 {
        self.shared.node.lock().swim.awareness()
    }

    /// Messages that were not taken, by why.
    pub fn refusals(&self) -> BTreeMap<&'static str, u64> {
        self.shared.node.lock().refusals.clone()
    }

    /// What has become of nodes, in order; waits for up to `timeout`.
    ///
    /// Shape: 1024 events are kept for somebody who reads; [`lost_events`](Self::lost_events) counts what came when
    /// they were full.
    pub fn event(&self, timeout: Duration) -> Option<Event> {
        self.events.lock().recv_timeout(timeout).ok()
    }

    /// Events for which there was no room.
    pub fn lost_events(&self) -> u64 {
        self.shared.node.lock().lost_events
    }

    /// Exchanges states with another node, by which this one joins.
    pub fn join(&self, address: SocketAddr) {
        self.shared.handle(Input::Join(address));
    }

    /// Says something else of this node.
    ///
    /// Errors: [`ClusterError::Config`]: more than 512 bytes.
    pub fn change_metadata(&self, metadata: &Metadata) -> Result<(), ClusterError> {
        check_metadata(metadata)?;
        self.shared.handle(Input::Metadata(metadata));
        Ok(())
    }

    /// Says goodbye, and ends. Waits for up to `timeout` until as many as can be have been told; true if they have.
    pub fn leave(self, timeout: Duration) -> bool {
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
        self.shared.node.lock().is_over = true;
        self.shared.changed.notify_all();
        let reached = match self.shared.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, self.shared.address.port()).into(),
            _ => self.shared.address,
        };
        // Those who wait for the network look up when something comes.
        let _woken = self.shared.socket.send_to(&[], reached);
        for _ in 0..ANSWERERS {
            let _woken = TcpStream::connect_timeout(&reached, Duration::from_secs(1));
        }
        for _ in 0..REQUESTERS {
            let _woken = self.shared.requests.send(Request { request: 0, to: reached, body: Vec::new() });
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

    fn handle_in(&self, node: &mut Node, input: Input<'_>) {
        let before = node.swim.deadline();
        let mut refused = Vec::new();
        for output in node.swim.handle(self.now(), input) {
            match output {
                Output::Datagram { to, body } => {
                    // What the system does not send counts as lost on its way.
                    let _sent = self.socket.send_to(&self.envelope.close(&body), to);
                }
                Output::Request { request, to, body } => {
                    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
                        self.requests.try_send(Request { request, to, body })
                    {
                        refused.push(request);
                    }
                }
                Output::Answer { stream, body } => drop(node.answers.insert(stream, body)),
                Output::Event(event) => {
                    log::info!(target: "cluster", "{event:?}");
                    if self.events.try_send(event).is_err() {
                        node.lost_events += 1;
                    }
                }
            }
        }
        for request in refused {
            self.handle_in(node, Input::NoAnswer { request, is_refused: false });
        }
        if node.swim.deadline() < before || node.swim.has_left() {
            self.changed.notify_all();
        }
    }

    /// Asks the seeds, as long as nobody is known.
    fn seek(&self) {
        let mut node = self.node.lock();
        let is_alone = node.swim.members().all(|member| !member.state.is_present());
        if is_alone {
            self.seeds.iter().for_each(|seed| self.handle_in(&mut node, Input::Join(*seed)));
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
            let due = node.swim.deadline().min(seek_at);
            if due > self.now() {
                let until =
                    self.started.checked_add(due).unwrap_or(self.started + Duration::from_secs(1 << 32));
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
            match self.envelope.open(&bytes[..length], self.packet_bytes_max) {
                Ok(body) => self.handle(Input::Datagram { from, body: &body }),
                Err(error) => self.refuse(error, from),
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

    /// Answers streams, one after the other.
    fn answer(&self) {
        loop {
            let accepted = self.listener.accept();
            if self.is_over() {
                return;
            }
            let Ok((mut stream, from)) = accepted else { continue };
            match self.receive(&mut stream) {
                Ok(Ok(body)) => {
                    let answer = {
                        let mut node = self.node.lock();
                        node.streams += 1;
                        let number = node.streams;
                        self.handle_in(&mut node, Input::Request { stream: number, body: &body });
                        node.answers.remove(&number)
                    };
                    // Who has gone does not want it.
                    let _sent = answer.map(|answer| send(&mut stream, &self.envelope.close(&answer)));
                }
                Ok(Err(error)) => self.refuse(error, from),
                // It was not finished in time, or somebody only looked whether there is a port.
                Err(_) => {}
            }
        }
    }

    /// Asks others, one after the other.
    fn ask(&self, wanted: &Mutex<Receiver<Request>>) {
        loop {
            let next = wanted.lock().recv();
            let Ok(Request { request, to, body }) = next else { return };
            if self.is_over() {
                return;
            }
            let answer = TcpStream::connect_timeout(&to, STREAM_TIME).and_then(|mut stream| {
                send(&mut stream, &self.envelope.close(&body))?;
                self.receive(&mut stream)
            });
            match answer {
                Ok(Ok(body)) => self.handle(Input::Answer { request, body: &body }),
                Ok(Err(error)) => {
                    self.refuse(error, to);
                    self.handle(Input::NoAnswer { request, is_refused: false });
                }
                Err(error) => {
                    let is_refused = error.kind() == io::ErrorKind::ConnectionRefused;
                    self.handle(Input::NoAnswer { request, is_refused });
                }
            }
        }
    }

    /// A body, or why it is none for this node.
    fn receive(&self, stream: &mut TcpStream) -> io::Result<Result<Vec<u8>, WireError>> {
        stream.set_read_timeout(Some(STREAM_TIME))?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > STREAM_BYTES_MAX {
            return Ok(Err(WireError::TooLong(STREAM_BYTES_MAX)));
        }
        let mut bytes = Vec::new();
        // Memory is taken for what has come, not for what is announced.
        let read = stream.take(length as u64).read_to_end(&mut bytes)?;
        if read < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.envelope.open(&bytes, STREAM_BYTES_MAX))
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.set_write_timeout(Some(STREAM_TIME))?;
    stream.write_all(&[&(bytes.len() as u32).to_be_bytes()[..], bytes].concat())
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

fn check(config: &ClusterConfig) -> Result<(), ClusterError> {
    if config.packet_bytes_max < PACKET_BYTES_MIN {
        let given = config.packet_bytes_max;
        let message =
            format!("a datagram of {given} bytes holds too little; take {PACKET_BYTES_MIN} or more");
        return Err(ClusterError::Config(message));
    }
    if config.bind.ip().is_unspecified() && config.advertise.is_none() {
        let message =
            format!("{} is no address that others can reach; say which one is: advertise", config.bind);
        return Err(ClusterError::Config(message));
    }
    check_metadata(&config.metadata)
}

fn check_metadata(metadata: &Metadata) -> Result<(), ClusterError> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    match bytes <= METADATA_BYTES_MAX {
        true => Ok(()),
        false => Err(ClusterError::Config(format!(
            "metadata of {bytes} bytes; at most {METADATA_BYTES_MAX} go with each node"
        ))),
    }
}
