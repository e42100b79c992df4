//! Threads for requests that take time, one each: long bodies, streams, waiting. There are few of them.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::body::{Body, BodyError};
use super::connection::{Connection, answer};
use super::head::Head;
use super::{
    LINGERING_BYTES_MAX, Method, Plan, Printing, Refusal, Response, Shared, Stream, print, print_head,
    reactor,
};

/// How many lanes are taken, and by whom.
pub struct Lanes {
    max: usize,
    per_address_max: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    count: usize,
    by_address: HashMap<IpAddr, usize>,
    threads: Vec<JoinHandle<()>>,
}

/// The right to a lane, until it is dropped.
pub struct Permit {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
}

impl Lanes {
    pub fn new(max: usize, per_address_max: usize) -> Self {
        Self { max, per_address_max, taken: Arc::default() }
    }

    pub fn permit(&self, address: IpAddr) -> Option<Permit> {
        let mut taken = self.taken.lock();
        let own = taken.by_address.get(&address).copied().unwrap_or(0);
        if taken.count >= self.max || own >= self.per_address_max {
            return None;
        }
        taken.count += 1;
        taken.by_address.insert(address, own + 1);
        Some(Permit { taken: Arc::clone(&self.taken), address })
    }

    /// Waits until every lane has ended. The front is stopping, so none begins.
    pub fn join(&self) {
        let threads = std::mem::take(&mut self.taken.lock().threads);
        // A panic on a lane is a bug that has been printed.
        threads.into_iter().for_each(|thread| drop(thread.join()));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.count -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// Starts a lane for a request. The connection comes back to the reactor when the request is answered.
pub fn start(
    permit: Permit,
    shared: &Arc<Shared>,
    reactor: reactor::Handle,
    connection: Connection,
    head: Box<Head>,
    plan: Plan,
) {
    let lanes = Arc::clone(&permit.taken);
    let shared = Arc::clone(shared);
    let run = move || {
        shared.stats.lanes.add(1);
        let connection = run(&shared, connection, &head, plan);
        shared.stats.lanes.add(-1);
        drop(permit);
        if let Some(connection) = connection.filter(|_| !shared.is_stopping()) {
            reactor.give_back(connection);
        }
    };
    // Without the lock: a thread that does not start gives its permit back.
    match thread::Builder::new().name("http-lane".to_owned()).spawn(run) {
        Ok(thread) => {
            let mut taken = lanes.lock();
            taken.threads.retain(|thread| !thread.is_finished());
            taken.threads.push(thread);
        }
        // The connection closes: without a thread there is nobody to say why.
        Err(error) => log::error!(target: "http", "no thread for a request: {error}"),
    }
}

fn run(shared: &Shared, connection: Connection, head: &Head, plan: Plan) -> Option<Connection> {
    let (mut stream, peer, input) = connection.into_parts();
    let limits = &shared.limits;
    let socket = stream.socket();
    let is_ready = socket.set_nonblocking(false).is_ok()
        && socket.set_read_timeout(Some(limits.body_time)).is_ok()
        && socket.set_write_timeout(Some(limits.write_time)).is_ok();
    if !is_ready {
        return None;
    }
    let mut exchange = Exchange {
        shared,
        head,
        peer,
        input: Input { stream: &mut *stream, buffer: input, used: 0 },
        body: Body::new(head.framing),
        awaits_continue: head.expects_continue,
        state: State::Fresh,
    };
    let done = match plan {
        Plan::Answer { body_max } | Plan::Wait { body_max } => exchange.answer_whole(body_max),
        Plan::Converse => {
            let talk = AssertUnwindSafe(|| shared.service.converse(head, &mut exchange));
            panic::catch_unwind(talk).unwrap_or_else(|_| exchange.refuse(Refusal::Panicked))
        }
    };
    let goes_on = done.is_ok() && exchange.goes_on();
    let Exchange { input: Input { buffer, used, .. }, state, .. } = exchange;
    if goes_on {
        stream.socket().set_nonblocking(true).ok()?;
        return Some(Connection::with_input(stream, peer, buffer[used..].to_vec()));
    }
    if done.is_ok() && state != State::Fresh {
        end(&mut *stream);
    }
    None
}

/// Closes so that the client gets to read the last of what was written.
fn end(stream: &mut dyn Stream) {
    const LINGERING: Duration = Duration::from_secs(1);
    let is_shut = stream.end().is_ok() && stream.socket().set_read_timeout(Some(LINGERING)).is_ok();
    let (mut scratch, mut passed) = ([0; 4096], 0);
    let until = Instant::now() + LINGERING;
    while is_shut && passed < LINGERING_BYTES_MAX && Instant::now() < until {
        match stream.read(&mut scratch) {
            Ok(0) | Err(_) => return,
            Ok(read) => passed += read,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has been answered.
    Fresh,
    /// A response goes piece by piece; true if in chunks.
    Sending(bool),
    /// The response has gone.
    Answered,
    /// The response has gone, and the connection ends with it.
    Last,
}

/// A request on its lane: its body, piece by piece, and its response.
pub struct Exchange<'c> {
    shared: &'c Shared,
    head: &'c Head,
    peer: SocketAddr,
    input: Input<'c>,
    body: Body,
    awaits_continue: bool,
    state: State,
}

impl Exchange<'_> {
    /// The client.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Reads some of the body; 0 at its end.
    ///
    /// Errors: why there is no more.
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize, BodyError> {
        if std::mem::take(&mut self.awaits_continue) && self.input.is_empty() {
            self.input.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(self.body.read(&mut self.input, into)?)
    }

    /// Answers as a whole.
    ///
    /// Errors: the client is gone, or takes nothing.
    pub fn respond(&mut self, response: Response) -> io::Result<()> {
        let closes = !self.head.keeps_alive || !self.body.is_done() || self.shared.is_stopping();
        let printing =
            Printing { is_old: self.head.is_old, closes, is_head: self.head.method == Method::Head };
        let mut out = Vec::new();
        print(&mut out, response, printing);
        self.state = if closes { State::Last } else { State::Answered };
        self.write(&out)
    }

    /// Begins an answer that goes piece by piece; the response's body is its first piece.
    ///
    /// Errors: the client is gone, or takes nothing.
    pub fn begin(&mut self, response: &Response) -> io::Result<()> {
        let is_chunked = !self.head.is_old;
        let mut out = Vec::new();
        print_head(&mut out, response, is_chunked);
        self.state = State::Sending(is_chunked);
        self.write(&out)?;
        if response.body.is_empty() { Ok(()) } else { self.send(&response.body) }
    }

    /// Sends a piece.
    ///
    /// Errors: the client is gone, or takes nothing.
    pub fn send(&mut self, piece: &[u8]) -> io::Result<()> {
        match self.state {
            State::Sending(true) if piece.is_empty() => Ok(()),
            State::Sending(true) => {
                let mut out = Vec::with_capacity(piece.len() + 16);
                write!(out, "{:x}\r\n", piece.len())?;
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
                self.write(&out)
            }
            State::Sending(false) => self.write(piece),
            _ => unreachable!("pieces are sent between begin and finish"),
        }
    }

    /// Ends an answer that went piece by piece.
    ///
    /// Errors: the client is gone, or takes nothing.
    pub fn finish(&mut self) -> io::Result<()> {
        let is_chunked = self.state == State::Sending(true);
        self.state = State::Last;
        if is_chunked { self.write(b"0\r\n\r\n") } else { Ok(()) }
    }

    /// Whether there is no point in going on: the front stops, or the client has gone.
    pub fn is_over(&mut self) -> bool {
        self.shared.is_stopping() || self.is_gone()
    }

    /// Whether the front stops.
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Whether the client has closed its side. One that has nothing more to say and reads on is taken for gone.
    fn is_gone(&mut self) -> bool {
        let socket = self.input.stream.socket();
        if socket.set_nonblocking(true).is_err() {
            return true;
        }
        let seen = socket.peek(&mut [0]);
        let is_restored = socket.set_nonblocking(false).is_ok();
        let is_open = match seen {
            Ok(seen) => seen > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        !is_open || !is_restored
    }

    fn answer_whole(&mut self, body_max: usize) -> io::Result<()> {
        let deadline = Instant::now() + self.shared.limits.body_time;
        let mut body = Vec::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            match self.read(&mut piece) {
                Ok(0) => break,
                Ok(read) if body.len() + read > body_max => {
                    return self.refuse(Refusal::BodyTooLarge(body_max));
                }
                Ok(_) if Instant::now() > deadline => return self.refuse(Refusal::BodyTooSlow),
                Ok(read) => body.extend_from_slice(&piece[..read]),
                Err(BodyError::TimedOut) => return self.refuse(Refusal::BodyTooSlow),
                Err(BodyError::Malformed) => return self.refuse(Refusal::BodyMalformed),
                Err(BodyError::Io(error)) => return Err(error),
            }
        }
        let response = answer(self.shared, self.head, body, self.peer);
        self.respond(response)
    }

    /// Says why not, if nothing has been said yet.
    fn refuse(&mut self, refusal: Refusal) -> io::Result<()> {
        match self.state {
            State::Fresh => self.respond(self.shared.service.refuse(Some(self.head), refusal)),
            _ => Err(io::ErrorKind::Other.into()),
        }
    }

    fn goes_on(&self) -> bool {
        self.state == State::Answered && self.body.is_done()
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.stream.write_all(bytes)?;
        self.input.stream.flush()
    }
}

/// What the reactor has read already, then the socket.
struct Input<'c> {
    stream: &'c mut dyn Stream,
    buffer: Vec<u8>,
    used: usize,
}

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.used == self.buffer.len()
    }
}

const BUFFER_BYTES: usize = 64 << 10;

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.is_empty() {
            self.buffer.resize(BUFFER_BYTES, 0);
            self.used = self.buffer.len();
            let read = self.stream.read(&mut self.buffer)?;
            self.buffer.truncate(read);
            self.used = 0;
        }
        Ok(&self.buffer[self.used..])
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}

impl Read for Input<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // A large piece goes past the buffer.
        if self.is_empty() && into.len() >= BUFFER_BYTES {
            return self.stream.read(into);
        }
        let ready = self.fill_buf()?;
        let read = ready.len().min(into.len());
        into[..read].copy_from_slice(&ready[..read]);
        self.consume(read);
        Ok(read)
    }
}
