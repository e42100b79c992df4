//! A thread that serves many connections, none of which it waits for.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;

use super::connection::{Connection, Next, Waiting};
use super::{Shared, Stream, lane};

const WAKE: Token = Token(usize::MAX);
const SCRATCH_BYTES: usize = 64 << 10;
/// How often the time limits are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// How long requests in flight have when the front stops.
const GRACE: Duration = Duration::from_secs(2);
/// Connections that a reactor has not got round to; what is beyond is closed.
const INBOX_CAPACITY: usize = 1024;

pub struct Reactor {
    poll: Poll,
    inbox: Arc<Inbox>,
    handle: Handle,
    shared: Arc<Shared>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    by_address: HashMap<IpAddr, usize>,
    connections_max: usize,
    per_address_max: usize,
}

#[derive(Default)]
struct Inbox(Mutex<Letters>);

#[derive(Default)]
struct Letters {
    connections: Vec<Connection>,
    /// How many connections are to make room.
    room: usize,
}

/// How other threads reach a reactor.
#[derive(Clone)]
pub struct Handle {
    inbox: Arc<Inbox>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Hands over a new connection.
    pub fn take(&self, stream: Box<dyn Stream>, peer: SocketAddr) {
        self.give_back(Connection::new(stream, peer));
    }

    /// Hands over a connection that is ready for its next request.
    pub fn give_back(&self, connection: Connection) {
        let mut letters = self.inbox.0.lock();
        if letters.connections.len() < INBOX_CAPACITY {
            letters.connections.push(connection);
        }
        drop(letters);
        self.wake();
    }

    /// Has the connection closed that has waited longest.
    pub fn make_room(&self) {
        self.inbox.0.lock().room += 1;
        self.wake();
    }

    pub fn wake(&self) {
        // It fails only where the reactor is gone.
        let _woken = self.waker.wake();
    }
}

/// One of `count` reactors.
pub fn new(shared: Arc<Shared>, count: usize) -> io::Result<(Reactor, Handle)> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
    let inbox = Arc::new(Inbox::default());
    let handle = Handle { inbox: Arc::clone(&inbox), waker };
    let reactor = Reactor {
        poll,
        inbox,
        handle: handle.clone(),
        connections_max: (shared.limits.connections / count).max(1),
        per_address_max: (shared.limits.connections_per_address / count).max(1),
        shared,
        connections: Vec::new(),
        free: Vec::new(),
        by_address: HashMap::new(),
    };
    Ok((reactor, handle))
}

impl Reactor {
    /// Serves until the front stops.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut scratch = vec![0; SCRATCH_BYTES];
        let mut swept = Instant::now();
        let mut stopping_since = None;
        loop {
            let is_idle = self.free.len() == self.connections.len() && stopping_since.is_none();
            match self.poll.poll(&mut events, (!is_idle).then_some(SWEEP / 4)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!(target: "http", "a reactor cannot wait: {error}");
                    return;
                }
            }
            for event in &events {
                match event.token() {
                    WAKE => self.read_inbox(&mut scratch),
                    Token(place) => self.advance(place, &mut scratch),
                }
            }
            if self.shared.is_stopping() {
                let since: Instant = *stopping_since.get_or_insert_with(Instant::now);
                self.close_where(|connection| {
                    matches!(connection.waiting(), Waiting::Request | Waiting::RestOfHead)
                        || since.elapsed() > GRACE
                });
                if self.free.len() == self.connections.len() {
                    return;
                }
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                self.sweep();
            }
        }
    }

    fn read_inbox(&mut self, scratch: &mut [u8]) {
        let letters = std::mem::take(&mut *self.inbox.0.lock());
        for _ in 0..letters.room {
            self.evict(None);
        }
        for connection in letters.connections {
            if let Some(place) = self.add(connection) {
                self.advance(place, scratch);
            }
        }
    }

    /// Finds a place for a connection, if need be that of one that has waited longest.
    fn add(&mut self, connection: Connection) -> Option<usize> {
        let address = connection.peer.ip();
        if self.by_address.get(&address).copied().unwrap_or(0) >= self.per_address_max
            && !self.evict(Some(address))
        {
            return None;
        }
        if self.connections.len() - self.free.len() >= self.connections_max && !self.evict(None) {
            return None;
        }
        let place = self.free.pop().unwrap_or(self.connections.len());
        let descriptor = connection.stream.socket().as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        if place == self.connections.len() {
            self.connections.push(None);
        }
        if self.poll.registry().register(&mut SourceFd(&descriptor), Token(place), interest).is_err() {
            self.free.push(place);
            return None;
        }
        self.connections[place] = Some(connection);
        *self.by_address.entry(address).or_default() += 1;
        self.shared.stats.connections.add(1);
        Some(place)
    }

    /// Takes a connection out of the reactor.
    fn remove(&mut self, place: usize) -> Option<Connection> {
        let connection = self.connections.get_mut(place)?.take()?;
        let descriptor = connection.stream.socket().as_raw_fd();
        // A socket that cannot be taken out is closed or handed on all the same.
        let _removed = self.poll.registry().deregister(&mut SourceFd(&descriptor));
        self.free.push(place);
        let address = connection.peer.ip();
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
        self.shared.stats.connections.add(-1);
        Some(connection)
    }

    fn advance(&mut self, place: usize, scratch: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(place).and_then(Option::as_mut) else { return };
        match connection.advance(&self.shared, scratch) {
            Next::Wait => {}
            Next::Close => drop(self.remove(place)),
            Next::Lane(head, plan) => {
                let Some(permit) = self.shared.lanes.permit(connection.peer.ip()) else {
                    connection.has_no_lane(&self.shared, &head);
                    return self.advance(place, scratch);
                };
                let connection = self.remove(place).expect("it was just there");
                lane::start(permit, &self.shared, self.handle.clone(), connection, head, plan);
            }
        }
    }

    /// Closes the connection that has waited longest, of an address if one is given: first one without a request,
    /// then one whose client is slow with it. False if there is none.
    fn evict(&mut self, of: Option<IpAddr>) -> bool {
        let candidates = self.connections.iter().enumerate().filter_map(|(place, connection)| {
            let connection = connection.as_ref()?;
            let has_request = matches!(connection.waiting(), Waiting::Body | Waiting::Client);
            let is_meant = of.is_none_or(|address| connection.peer.ip() == address);
            is_meant.then_some((has_request, connection.since, place))
        });
        let Some((_, _, place)) = candidates.min() else { return false };
        self.shared.stats.evicted.increment();
        self.remove(place).is_some()
    }

    fn sweep(&mut self) {
        let limits = self.shared.limits.clone();
        let closed = self.close_where(|connection| {
            let limit = match connection.waiting() {
                Waiting::Request => limits.idle_time,
                Waiting::RestOfHead => limits.head_time,
                Waiting::Body => limits.body_time,
                Waiting::Client => limits.write_time,
            };
            connection.since.elapsed() > limit
        });
        self.shared.stats.timed_out.add(closed);
    }

    fn close_where(&mut self, is_over: impl Fn(&Connection) -> bool) -> u64 {
        let over = self.connections.iter().enumerate();
        let over = over.filter(|(_, connection)| connection.as_ref().is_some_and(&is_over));
        let over: Vec<usize> = over.map(|(place, _)| place).collect();
        over.iter().filter(|place| self.remove(**place).is_some()).count() as u64
    }
}
