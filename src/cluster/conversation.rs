//! Conversations: messages in order between two nodes, over a TCP connection of their own.
//!
//! Who begins says hello, and the other one welcomes it or tells why not, each with a salt. Every further message is
//! closed in the context of both salts, its direction and its number: one that is played again, left out, or put into
//! another conversation does not open. The first one is empty: before it has come, a hello may be one that is played
//! again, and nobody is troubled with it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use super::swim::{NodeId, decode_whole, encode};
use super::wire::{ENVELOPE_BYTES, Envelope};

/// The longest message of a conversation.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Conversations that others have begun with a node; more are refused.
const CONVERSATIONS_MAX: usize = 1024;
/// For the beginning, and for a message until the other node has taken it.
const PATIENCE: Duration = Duration::from_secs(5);
const PIECE_BYTES: usize = 64 << 10;

type Salt = [u8; 16];
type Handler = Arc<dyn Fn(Conversation) + Send + Sync>;

/// The first message. It is an array, and so nothing that the machine takes for its own.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    from: NodeId,
    to: NodeId,
    topic: String,
    salt: Salt,
}

impl Hello {
    /// What is in a body, if it is one.
    pub fn decode(body: &[u8]) -> Option<Self> {
        decode_whole(body).ok()
    }
}

#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Welcome(Salt),
    /// Another node lives here now.
    OtherNode,
    UnknownTopic,
    TooMany,
}

/// Messages between this node and another one, in order, each once.
///
/// It ends when either side drops it, or its [`Cluster`](super::Cluster).
pub struct Conversation {
    conversations: Arc<Conversations>,
    number: u64,
    stream: TcpStream,
    peer: NodeId,
    /// Both salts, that of who began first.
    salts: [Salt; 2],
    has_begun_it: bool,
    sent: u64,
    heard: u64,
    /// What has come of messages that are not complete.
    came: Vec<u8>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation").field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Conversation {
    /// The other node.
    pub fn peer(&self) -> &NodeId {
        &self.peer
    }

    /// Sends a message of at most [`MESSAGE_BYTES_MAX`] bytes.
    ///
    /// Errors: the other node has gone, or has not taken it within five seconds. The conversation is over then.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if message.len() > MESSAGE_BYTES_MAX {
            let text = format!("a message of {} bytes; at most {MESSAGE_BYTES_MAX} go", message.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let context = self.context(self.has_begun_it, self.sent);
        let closed = self.conversations.envelope.read().close_in(&context, message);
        self.sent += 1;
        write_frame(&mut self.stream, &closed).inspect_err(|_| self.end())
    }

    /// Waits for the next message; `None` if none has come in time.
    ///
    /// Errors: the other node has gone (`UnexpectedEof`), or what came is no message. The conversation is over then.
    pub fn receive(&mut self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let until = Instant::now().checked_add(timeout);
        loop {
            if let Some(message) = self.message().inspect_err(|_| self.end())? {
                return Ok(Some(message));
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.stream.set_read_timeout(left)?;
            let held = self.came.len();
            self.came.resize(held + PIECE_BYTES, 0);
            let read = self.stream.read(&mut self.came[held..]);
            self.came.truncate(held + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The first message that is complete.
    fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some((length, rest)) = self.came.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if length > MESSAGE_BYTES_MAX + ENVELOPE_BYTES {
            return Err(invalid(format!("{length} bytes are announced, which is more than a message has")));
        }
        let Some(closed) = rest.get(..length) else { return Ok(None) };
        let context = self.context(!self.has_begun_it, self.heard);
        let opened = self.conversations.envelope.read().open_in(&context, closed, MESSAGE_BYTES_MAX);
        let message = opened.map_err(|error| invalid(error.to_string()))?;
        self.came.drain(..4 + length);
        self.heard += 1;
        Ok(Some(message))
    }

    fn context(&self, is_of_beginner: bool, number: u64) -> Vec<u8> {
        let [first, second] = &self.salts;
        [&first[..], &second[..], &[u8::from(is_of_beginner)], &number.to_be_bytes()].concat()
    }

    fn end(&self) {
        // Who has gone need not be told.
        let _ended = self.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.end();
        self.conversations.open.lock().streams.remove(&self.number);
    }
}

/// The conversations of a node.
pub struct Conversations {
    id: NodeId,
    envelope: Arc<RwLock<Envelope>>,
    handlers: RwLock<BTreeMap<String, Handler>>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    is_over: bool,
    count: u64,
    /// By their numbers, so that they can be ended.
    streams: BTreeMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for Conversations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversations").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Conversations {
    /// None yet.
    pub fn new(id: NodeId, envelope: Arc<RwLock<Envelope>>) -> Arc<Self> {
        Arc::new(Self { id, envelope, handlers: RwLock::default(), open: Mutex::default() })
    }

    /// Has conversations about a topic handled from now on.
    pub fn handle(&self, topic: &str, handler: Handler) {
        self.handlers.write().insert(topic.to_owned(), handler);
    }

    /// Begins a conversation, on a new connection.
    pub fn begin(
        self: &Arc<Self>,
        mut stream: TcpStream,
        with: &NodeId,
        topic: &str,
    ) -> io::Result<Conversation> {
        let own = salt()?;
        let hello = Hello { from: self.id.clone(), to: with.clone(), topic: topic.to_owned(), salt: own };
        let closed = self.envelope.read().close(&encode(&hello));
        write_frame(&mut stream, &closed)?;
        let mut conversation = self.open(stream, with.clone(), [own, [0; 16]], true)?;
        let reply = conversation.receive(PATIENCE)?.ok_or(io::ErrorKind::TimedOut)?;
        let refused = |why: &str| Err(io::Error::new(io::ErrorKind::ConnectionRefused, why));
        match decode_whole(&reply).map_err(|error| invalid(error.to_string()))? {
            Reply::Welcome(other) => {
                conversation.salts[1] = other;
                conversation.send(&[])?;
                Ok(conversation)
            }
            Reply::OtherNode => refused("another node answers at this address"),
            Reply::UnknownTopic => refused("the other node does not know this topic"),
            Reply::TooMany => refused("the other node has too many conversations"),
        }
    }

    /// Answers a hello, and has the conversation handled in a thread of its own.
    ///
    /// Errors: the other node has gone, or the operating system has refused something.
    pub fn welcome(self: &Arc<Self>, stream: TcpStream, hello: Hello) -> io::Result<()> {
        let handler = self.handlers.read().get(&hello.topic).cloned();
        let is_full = {
            let mut open = self.open.lock();
            open.threads.retain(|thread| !thread.is_finished());
            open.threads.len() >= CONVERSATIONS_MAX
        };
        let own = salt()?;
        let reply = match &handler {
            _ if hello.to != self.id => Reply::OtherNode,
            None => Reply::UnknownTopic,
            Some(_) if is_full => Reply::TooMany,
            Some(_) => Reply::Welcome(own),
        };
        let mut conversation = self.open(stream, hello.from, [hello.salt, [0; 16]], false)?;
        conversation.send(&encode(&reply))?;
        let (Reply::Welcome(_), Some(handler)) = (reply, handler) else { return Ok(()) };
        conversation.salts[1] = own;
        conversation.receive(PATIENCE)?.ok_or(io::ErrorKind::TimedOut)?;
        let handled = Builder::new().name("conversation".to_owned()).spawn(move || handler(conversation))?;
        self.open.lock().threads.push(handled);
        Ok(())
    }

    fn open(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: NodeId,
        salts: [Salt; 2],
        has_begun_it: bool,
    ) -> io::Result<Conversation> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut open = self.open.lock();
        if open.is_over {
            return Err(io::ErrorKind::NotConnected.into());
        }
        open.count += 1;
        let number = open.count;
        open.streams.insert(number, stream.try_clone()?);
        let conversations = Arc::clone(self);
        let (sent, heard, came) = (0, 0, Vec::new());
        Ok(Conversation { conversations, number, stream, peer, salts, has_begun_it, sent, heard, came })
    }

    /// Ends every conversation, and waits for those who handle them.
    pub fn end(&self) {
        let threads = {
            let mut open = self.open.lock();
            open.is_over = true;
            for stream in open.streams.values() {
                // Its other end may have gone.
                let _ended = stream.shutdown(Shutdown::Both);
            }
            std::mem::take(&mut open.threads)
        };
        // Handlers are let go with what they hold.
        self.handlers.write().clear();
        for thread in threads.into_iter().filter(|handle| handle.thread().id() != thread::current().id()) {
            // A panic has been printed.
            let _ended = thread.join();
        }
    }
}

fn salt() -> io::Result<Salt> {
    let mut salt = Salt::default();
    getrandom::fill(&mut salt).map_err(|error| io::Error::other(format!("no randomness: {error}")))?;
    Ok(salt)
}

fn write_frame(stream: &mut TcpStream, closed: &[u8]) -> io::Result<()> {
    stream.write_all(&[&(closed.len() as u32).to_be_bytes()[..], closed].concat())
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}
