//! The thread by which a home sends a disruptor's events to one follower.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::driver::TOPIC;
use super::entry::Entry;
use super::home::Heard;
use super::message::{Answer, Request, decode, encode};
use crate::cluster::swim::NodeId;
use crate::cluster::{Cluster, Conversation};
use crate::metrics::Counter;

/// What a home has done for a follower.
#[derive(Debug, Default)]
pub struct LinkFigures {
    /// Batches of events that were answered.
    pub batches: Counter,
    /// The bytes of their messages.
    pub bytes: Counter,
    /// Why nothing goes at the moment.
    pub trouble: Mutex<Option<String>>,
}

/// How long both are silent at most, and how long an answer is waited for.
const BEAT: Duration = Duration::from_millis(500);
pub const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Between two attempts to reach a follower.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A link's surroundings.
pub struct Link {
    pub cluster: Arc<Cluster>,
    pub entry: Arc<Entry>,
    pub follower: NodeId,
    pub figures: Arc<LinkFigures>,
    pub is_over: Arc<AtomicBool>,
}

impl Link {
    /// Sends until this node is the home no more, or the follower is none.
    pub fn run(&self) {
        let mut pause = FIRST_PAUSE;
        while self.is_wanted() {
            let is_present =
                self.cluster.member(&self.follower).is_some_and(|member| member.state.is_present());
            let ended = match is_present {
                true => self.cluster.converse(&self.follower, TOPIC).and_then(|mut conversation| {
                    self.entry.with(&self.cluster, |replica| replica.begin(&self.follower));
                    self.send(&mut conversation, &mut pause)
                }),
                false => Err(io::Error::other("it is not there")),
            };
            if let Err(error) = ended {
                *self.figures.trouble.lock() = Some(error.to_string());
            }
            self.entry.with(&self.cluster, |replica| replica.begin(&self.follower));
            self.rest(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    fn is_wanted(&self) -> bool {
        let has_link = |home: &mut super::home::Home| home.links().contains_key(&self.follower);
        // Relaxed: it is looked at again and again.
        !self.is_over.load(Ordering::Relaxed)
            && self.entry.look(|replica| replica.home().is_some_and(has_link))
    }

    /// Pauses, unless there is nothing to come back for.
    fn rest(&self, pause: Duration) {
        let until = crate::base::deadline::Deadline::after(pause);
        self.entry.wait_until(until, |replica| {
            self.is_over.load(Ordering::Relaxed)
                || !replica.home().is_some_and(|home| home.links().contains_key(&self.follower))
        });
    }

    fn send(&self, conversation: &mut Conversation, pause: &mut Duration) -> io::Result<()> {
        let mut beaten = Instant::now();
        while self.is_wanted() {
            let (next, has) = self.entry.look(|replica| {
                let next = replica.next_for(&self.follower, &self.entry.definition);
                let has = replica.home().and_then(|home| Some(home.links().get(&self.follower)?.has().end));
                (next, has.unwrap_or(0))
            });
            let request = match next {
                Some(request) => request,
                None if beaten.elapsed() < BEAT => {
                    self.entry.disruptor.wait_past(has, BEAT.saturating_sub(beaten.elapsed()));
                    continue;
                }
                None => self.entry.look(|replica| replica.beat()),
            };
            let told = match &request {
                Request::Hello(hello) => Some(hello.set.version),
                _ => None,
            };
            let message = encode(&request);
            conversation.send(&message)?;
            let answer = conversation.receive(ANSWER_TIME)?;
            let answer =
                answer.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))?;
            let answer: Answer = decode(&answer).map_err(io::Error::other)?;
            beaten = Instant::now();
            if let Request::Events(..) = request {
                self.figures.batches.increment();
                self.figures.bytes.add(message.len() as u64);
            }
            let (heard, refused) = self.entry.with(&self.cluster, |replica| {
                let heard = replica.answered(&self.follower, told, answer);
                let link = replica.home().and_then(|home| home.links().get(&self.follower));
                (heard, link.and_then(|link| link.refused().map(str::to_owned)))
            });
            match heard {
                Heard::Has(_) => {
                    *self.figures.trouble.lock() = None;
                    *pause = FIRST_PAUSE;
                }
                Heard::Deposed => return Ok(()),
                Heard::Refused => {
                    let why = refused.unwrap_or_else(|| "it listens to another conversation".to_owned());
                    return Err(io::Error::other(why));
                }
            }
        }
        Ok(())
    }
}

/// Asks another node one thing.
pub fn ask(cluster: &Cluster, node: &NodeId, request: &Request, patience: Duration) -> Option<Answer> {
    let mut conversation = cluster.converse(node, TOPIC).ok()?;
    conversation.send(&encode(request)).ok()?;
    decode(&conversation.receive(patience).ok()??).ok()
}
