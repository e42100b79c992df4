//! The front: sockets on one side, requests and responses on the other, and a limit on everything in between.
//!
//! One thread accepts, a few reactors read heads and short bodies and answer what can be answered at once, and
//! lanes, threads of their own that are few, take what needs time: long bodies, streams, waiting. A connection has one
//! request in flight. Where connections run out, the one that has waited longest without a request makes room.
//!
//! The only file that knows tiny_http, of which it takes the methods and the writer of responses; why not its
//! acceptor is told in docs/adr/0001-http-front.md.

mod acceptor;
mod body;
mod connection;
pub(super) mod head;
mod lane;
mod reactor;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::metrics::{Counter, Gauge};

pub(crate) use body::BodyError;
pub(crate) use head::{Fault, Head};
pub(crate) use lane::Exchange;
pub(crate) use tiny_http::Method;

use super::response::Response;

/// What is read and thrown away so that a client gets to read why it was refused.
const LINGERING_BYTES_MAX: usize = 16 << 20;

/// What the front allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections, all together.
    pub connections: usize,
    /// Connections from one address.
    pub connections_per_address: usize,
    /// From a request's first byte to the end of its head.
    pub head_time: Duration,
    /// Without a request.
    pub idle_time: Duration,
    /// For a body that is read as a whole, and between two pieces of one that is not.
    pub body_time: Duration,
    /// For a client to take what is written to it.
    pub write_time: Duration,
    /// Requests with a thread of their own.
    pub lanes: usize,
    /// The same from one address.
    pub lanes_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_per_address: 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            body_time: Duration::from_secs(30),
            write_time: Duration::from_secs(10),
            lanes: 64,
            lanes_per_address: 64,
        }
    }
}

/// What to do with a request, of which only the head is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Read a body of at most so many bytes, and answer at once.
    Answer {
        /// The bytes.
        body_max: usize,
    },
    /// The same, but the answer takes time.
    Wait {
        /// The bytes.
        body_max: usize,
    },
    /// Read and write piece by piece.
    Converse,
}

/// Why the front answers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is no HTTP.
    Malformed(Fault),
    /// The body is longer than this.
    BodyTooLarge(usize),
    /// The body did not come in time.
    BodyTooSlow,
    /// The body is not what its head says.
    BodyMalformed,
    /// All lanes are taken.
    NoLane,
    /// The service panicked.
    Panicked,
}

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// Decides by the head.
    fn plan(&self, head: &Head) -> Plan;
    /// Answers a request whose body is known. On a reactor this must not wait.
    fn answer(&self, head: &Head, body: Vec<u8>, peer: SocketAddr) -> Response;
    /// Answers a request piece by piece, on a lane.
    ///
    /// Errors: the client is gone.
    fn converse(&self, head: &Head, exchange: &mut Exchange<'_>) -> io::Result<()>;
    /// Says what the front refuses; the head is there if it could be read.
    fn refuse(&self, head: Option<&Head>, refusal: Refusal) -> Response;
}

/// A connection's two directions: a socket, or what encrypts above one.
pub trait Stream: Read + Write + Send {
    /// The socket below.
    fn socket(&self) -> &TcpStream;

    /// Says that nothing more will be written.
    ///
    /// Errors: the client is gone.
    fn end(&mut self) -> io::Result<()> {
        self.socket().shutdown(Shutdown::Write)
    }
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

/// Makes a stream of an accepted socket.
pub type Wrap = Arc<dyn Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync>;

/// What the front has done.
#[derive(Debug, Default)]
pub struct FrontStats {
    /// Connections at the moment.
    pub connections: Gauge,
    /// Lanes at the moment.
    pub lanes: Gauge,
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed to make room for others, or because there was none.
    pub evicted: Counter,
    /// Connections closed because they were too slow.
    pub timed_out: Counter,
}

/// What the front's threads share.
struct Shared {
    service: Arc<dyn Service>,
    limits: Limits,
    stats: Arc<FrontStats>,
    wrap: Wrap,
    lanes: lane::Lanes,
    is_stopping: AtomicBool,
}

impl Shared {
    fn is_stopping(&self) -> bool {
        // Relaxed: the threads are woken after it was set, through locks.
        self.is_stopping.load(Ordering::Relaxed)
    }
}

/// The front's threads.
pub struct Front {
    shared: Arc<Shared>,
    reactors: Arc<[reactor::Handle]>,
    acceptor: acceptor::Handle,
    threads: Vec<JoinHandle<()>>,
    address: SocketAddr,
}

impl Front {
    /// Starts to accept.
    ///
    /// Errors: the operating system's, for the listener, the reactors or the threads.
    pub fn start(
        listener: TcpListener,
        service: Arc<dyn Service>,
        limits: Limits,
        stats: Arc<FrontStats>,
        wrap: Wrap,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let count = thread::available_parallelism().map_or(1, |cpus| cpus.get().min(4));
        let lanes = lane::Lanes::new(limits.lanes, limits.lanes_per_address);
        let is_stopping = AtomicBool::new(false);
        let shared = Arc::new(Shared { service, limits, stats, wrap, lanes, is_stopping });
        let mut threads = Vec::new();
        let mut reactors = Vec::new();
        for number in 0..count {
            let (reactor, handle) = reactor::new(Arc::clone(&shared), count)?;
            reactors.push(handle);
            threads.push(named(format!("http-{number}"), move || reactor.run())?);
        }
        let reactors: Arc<[reactor::Handle]> = reactors.into();
        let (acceptor, handle) = acceptor::new(listener, Arc::clone(&shared), Arc::clone(&reactors))?;
        threads.push(named("http-accept".to_owned(), move || acceptor.run())?);
        Ok(Self { shared, reactors, acceptor: handle, threads, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, finishes the requests that are in flight, and ends.
    pub fn stop(mut self) {
        self.shared.is_stopping.store(true, Ordering::Relaxed);
        self.acceptor.wake();
        self.reactors.iter().for_each(reactor::Handle::wake);
        for thread in self.threads.drain(..) {
            // A reactor's panic is a bug that has been printed; the others end all the same.
            let _ended = thread.join();
        }
        self.shared.lanes.join();
    }
}

fn named(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name).spawn(run)
}

/// The method with this name.
fn method(name: &str) -> Option<Method> {
    name.parse().ok()
}

/// How a response is put on the wire.
#[derive(Clone, Copy)]
struct Printing {
    /// Whether the client speaks HTTP/1.0.
    is_old: bool,
    /// Whether the connection ends after it.
    closes: bool,
    /// Whether it answers HEAD.
    is_head: bool,
}

/// Appends a response to what goes to the client.
fn print(out: &mut Vec<u8>, response: Response, printing: Printing) {
    let header = |(name, value): (std::borrow::Cow<'static, str>, String)| {
        // What is no header cannot be sent; our own are, and what comes from a request was checked there.
        tiny_http::Header::from_bytes(name.as_bytes(), value.as_bytes()).ok()
    };
    let mut headers: Vec<_> = response.headers.into_iter().filter_map(header).collect();
    headers.push(server_header());
    let length = response.body.len();
    let status = tiny_http::StatusCode(response.status);
    let printed = tiny_http::Response::new(status, headers, response.body.as_slice(), Some(length), None)
        .with_chunked_threshold(usize::MAX);
    let start = out.len();
    printed
        .raw_print(&mut *out, tiny_http::HTTPVersion(1, 1), &[], printing.is_head, None)
        .expect("a vector takes every byte");
    // tiny_http keeps this header to itself, so it goes in behind the status line.
    let connection: &[u8] = match (printing.closes, printing.is_old) {
        (true, _) => b"Connection: close\r\n",
        (false, true) => b"Connection: keep-alive\r\n",
        (false, false) => return,
    };
    let line =
        out[start..].windows(2).position(|pair| pair == b"\r\n").expect("a response has a status line");
    let at = start + line + 2;
    out.splice(at..at, connection.iter().copied());
}

/// The head of a response whose body follows piece by piece.
fn print_head(out: &mut Vec<u8>, response: &Response, is_chunked: bool) {
    let reason = tiny_http::StatusCode(response.status).default_reason_phrase();
    write!(out, "HTTP/1.1 {} {reason}\r\n", response.status).expect("a vector takes every byte");
    for (name, value) in &response.headers {
        write!(out, "{name}: {value}\r\n").expect("a vector takes every byte");
    }
    let server = server_header();
    let framing = if is_chunked { "Transfer-Encoding: chunked" } else { "Connection: close" };
    write!(out, "{}: {}\r\n{framing}\r\n\r\n", server.field, server.value)
        .expect("a vector takes every byte");
}

fn server_header() -> tiny_http::Header {
    tiny_http::Header::from_bytes("Server", concat!("badbatch/", env!("CARGO_PKG_VERSION")))
        .expect("the name and the value are ASCII")
}
