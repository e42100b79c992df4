//! Takes connections from the listener and deals them out to the reactors.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::{Shared, reactor};

const LISTENER: Token = Token(0);
const WAKE: Token = Token(1);
/// How long to wait for a file to become free where there is none for a connection.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Acceptor {
    poll: Poll,
    listener: TcpListener,
    shared: Arc<Shared>,
    reactors: Arc<[reactor::Handle]>,
    next: usize,
}

pub struct Handle {
    waker: Waker,
}

impl Handle {
    pub fn wake(&self) {
        // It fails only where the acceptor is gone.
        let _woken = self.waker.wake();
    }
}

pub fn new(
    listener: TcpListener,
    shared: Arc<Shared>,
    reactors: Arc<[reactor::Handle]>,
) -> io::Result<(Acceptor, Handle)> {
    let poll = Poll::new()?;
    listener.set_nonblocking(true)?;
    poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    Ok((Acceptor { poll, listener, shared, reactors, next: 0 }, Handle { waker }))
}

impl Acceptor {
    /// Accepts until the front stops. The listener closes when this returns.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(2);
        let mut pause = None;
        while !self.shared.is_stopping() {
            match self.poll.poll(&mut events, pause) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!(target: "http", "the acceptor cannot wait: {error}");
                    return;
                }
            }
            pause = self.accept_all();
        }
    }

    /// Accepts all that wait; if that fails for want of something, how long to pause.
    fn accept_all(&mut self) -> Option<Duration> {
        loop {
            match self.listener.accept() {
                Ok((socket, peer)) => self.deal(socket, peer),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return None,
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    // Of files or memory, mostly: an idle connection makes room for the next one.
                    _ => {
                        self.shared.stats.evicted.increment();
                        self.reactors[self.next].make_room();
                        self.next = (self.next + 1) % self.reactors.len();
                        return Some(PAUSE);
                    }
                },
            }
        }
    }

    fn deal(&mut self, socket: TcpStream, peer: SocketAddr) {
        self.shared.stats.accepted.increment();
        // Without it, an answer in two packets waits for the client's delayed acknowledgement.
        if socket.set_nodelay(true).is_err() || socket.set_nonblocking(true).is_err() {
            return;
        }
        if let Ok(stream) = (self.shared.wrap)(socket) {
            self.reactors[self.next].take(stream, peer);
            self.next = (self.next + 1) % self.reactors.len();
        }
    }
}
