//! One connection of a reactor: what has come, what is to go, and what it waits for.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

use super::head::{Framing, HEAD_BYTES_MAX, Head};
use super::{LINGERING_BYTES_MAX, Method, Plan, Printing, Refusal, Response, Shared, Stream, print};

/// The longest body that a reactor keeps; longer ones are for a lane.
const SHORT_BODY_BYTES_MAX: usize = 64 << 10;
/// What a connection keeps for its next request.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// A connection that is read and written without waiting.
pub struct Connection {
    pub stream: Box<dyn Stream>,
    pub peer: SocketAddr,
    /// Since when it waits for what it waits for.
    pub since: Instant,
    /// Bytes that no request has used yet.
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    phase: Phase,
    closes: bool,
}

enum Phase {
    /// A head comes, or the rest of one.
    Head,
    /// The head is there, a short body comes.
    Body(Box<Head>, usize),
    /// A response goes.
    Response,
    /// The last response has gone; what still comes is thrown away, so many bytes so far.
    Lingering(usize),
}

/// What becomes of a connection.
pub enum Next {
    /// It waits for the client.
    Wait,
    /// It is done.
    Close,
    /// A lane takes it, with this request.
    Lane(Box<Head>, Plan),
}

/// What a connection waits for, for the time limits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    Request,
    RestOfHead,
    Body,
    Client,
}

impl Connection {
    pub fn new(stream: Box<dyn Stream>, peer: SocketAddr) -> Self {
        Self::with_input(stream, peer, Vec::new())
    }

    /// A connection on which something has come already.
    pub fn with_input(stream: Box<dyn Stream>, peer: SocketAddr, input: Vec<u8>) -> Self {
        let since = Instant::now();
        Self { stream, peer, since, input, output: Vec::new(), written: 0, phase: Phase::Head, closes: false }
    }

    /// The stream, and what has come on it, for a lane.
    pub fn into_parts(self) -> (Box<dyn Stream>, SocketAddr, Vec<u8>) {
        (self.stream, self.peer, self.input)
    }

    pub fn waiting(&self) -> Waiting {
        match self.phase {
            Phase::Head if self.input.is_empty() => Waiting::Request,
            Phase::Head => Waiting::RestOfHead,
            Phase::Body(..) => Waiting::Body,
            Phase::Response | Phase::Lingering(_) => Waiting::Client,
        }
    }

    /// Goes as far as it can without waiting. `scratch` is where bytes are read to.
    pub fn advance(&mut self, shared: &Shared, scratch: &mut [u8]) -> Next {
        loop {
            let step = match &self.phase {
                Phase::Head => self.read_head(shared, scratch),
                Phase::Body(..) => self.read_body(shared, scratch),
                Phase::Response => self.write(),
                Phase::Lingering(_) => self.linger(scratch),
            };
            match step {
                Ok(None) => {}
                Ok(Some(next)) => return next,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Wait,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Next::Close,
            }
        }
    }

    /// Refuses what the client did, after which the connection ends.
    pub fn refuse(&mut self, shared: &Shared, head: Option<&Head>, refusal: Refusal) {
        let response = shared.service.refuse(head, refusal);
        self.closes = true;
        let is_head = head.is_some_and(|head| head.method == Method::Head);
        self.respond(response, Printing { is_old: false, closes: true, is_head });
    }

    /// The head of a request that no lane could take goes back to its client.
    pub fn has_no_lane(&mut self, shared: &Shared, head: &Head) {
        self.refuse(shared, Some(head), Refusal::NoLane);
    }

    fn read_head(&mut self, shared: &Shared, scratch: &mut [u8]) -> io::Result<Option<Next>> {
        if !self.input.is_empty() {
            match Head::parse(&self.input) {
                Ok(Some((head, length))) => {
                    self.input.drain(..length);
                    return Ok(self.begin(Box::new(head), shared));
                }
                Ok(None) => {}
                Err(fault) => {
                    self.refuse(shared, None, Refusal::Malformed(fault));
                    return Ok(None);
                }
            }
        } else if shared.is_stopping() {
            return Ok(Some(Next::Close));
        }
        let was_empty = self.input.is_empty();
        let room = scratch.len().min(HEAD_BYTES_MAX.saturating_sub(self.input.len()).max(1));
        match self.stream.read(&mut scratch[..room])? {
            0 => Ok(Some(Next::Close)),
            read => {
                if was_empty {
                    self.since = Instant::now();
                }
                self.input.extend_from_slice(&scratch[..read]);
                Ok(None)
            }
        }
    }

    /// A head has come: answers at once, waits for a short body, or goes to a lane.
    fn begin(&mut self, head: Box<Head>, shared: &Shared) -> Option<Next> {
        self.since = Instant::now();
        self.closes = !head.keeps_alive || shared.is_stopping();
        let plan = shared.service.plan(&head);
        let body_max = match plan {
            Plan::Answer { body_max } | Plan::Wait { body_max } => body_max,
            Plan::Converse => return Some(Next::Lane(head, plan)),
        };
        match head.framing {
            Framing::Length(length) if length > body_max as u64 => {
                self.refuse(shared, Some(&head), Refusal::BodyTooLarge(body_max));
                None
            }
            Framing::Length(length)
                if length <= SHORT_BODY_BYTES_MAX as u64 && matches!(plan, Plan::Answer { .. }) =>
            {
                if head.expects_continue && length > self.input.len() as u64 {
                    // So short that the socket takes it, unless the client has not read for long.
                    let _ignored = self.stream.write(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                self.phase = Phase::Body(head, length as usize);
                None
            }
            _ => Some(Next::Lane(head, plan)),
        }
    }

    fn read_body(&mut self, shared: &Shared, scratch: &mut [u8]) -> io::Result<Option<Next>> {
        let Phase::Body(_, length) = &self.phase else { unreachable!("only called in this phase") };
        let length = *length;
        if self.input.len() < length {
            let room = scratch.len().min(length - self.input.len());
            return match self.stream.read(&mut scratch[..room])? {
                0 => Ok(Some(Next::Close)),
                read => {
                    self.input.extend_from_slice(&scratch[..read]);
                    Ok(None)
                }
            };
        }
        let Phase::Body(head, _) = std::mem::replace(&mut self.phase, Phase::Head) else {
            unreachable!("only called in this phase")
        };
        let rest = self.input.split_off(length);
        let body = std::mem::replace(&mut self.input, rest);
        let printing =
            Printing { is_old: head.is_old, closes: self.closes, is_head: head.method == Method::Head };
        let response = answer(shared, &head, body, self.peer);
        self.respond(response, printing);
        Ok(None)
    }

    fn respond(&mut self, response: Response, printing: Printing) {
        self.output.clear();
        self.written = 0;
        print(&mut self.output, response, printing);
        self.phase = Phase::Response;
        self.since = Instant::now();
    }

    fn write(&mut self) -> io::Result<Option<Next>> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..])? {
                0 => return Ok(Some(Next::Close)),
                written => self.written += written,
            }
        }
        self.stream.flush()?;
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output = Vec::new();
        }
        self.input.shrink_to(KEPT_BYTES_MAX);
        self.since = Instant::now();
        if !self.closes {
            self.phase = Phase::Head;
            return Ok(None);
        }
        self.stream.end()?;
        self.phase = Phase::Lingering(0);
        Ok(None)
    }

    fn linger(&mut self, scratch: &mut [u8]) -> io::Result<Option<Next>> {
        let Phase::Lingering(passed) = &mut self.phase else { unreachable!("only called in this phase") };
        match self.stream.read(scratch)? {
            0 => Ok(Some(Next::Close)),
            _ if *passed > LINGERING_BYTES_MAX => Ok(Some(Next::Close)),
            read => {
                *passed += read;
                Ok(None)
            }
        }
    }
}

/// What the service says, or what is said for it if it panics.
pub fn answer(shared: &Shared, head: &Head, body: Vec<u8>, peer: SocketAddr) -> Response {
    panic::catch_unwind(AssertUnwindSafe(|| shared.service.answer(head, body, peer)))
        .unwrap_or_else(|_| shared.service.refuse(Some(head), Refusal::Panicked))
}
