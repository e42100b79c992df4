//! Watching a cluster: what becomes of nodes, in order, for any number of readers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{IntoIter, Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::swim::Event;

/// Events that wait for somebody who reads; more are lost, and counted.
const EVENTS_MAX: usize = 1024;

/// A reader of events, from its beginning on. As an iterator it ends with its [`Cluster`](super::Cluster).
///
/// Shape: 1024 events are kept; [`lost`](Self::lost) counts what came when they were full.
#[derive(Debug)]
pub struct Watch {
    events: Receiver<Event>,
    feed: Arc<Feed>,
}

#[derive(Debug, Default)]
struct Feed {
    lost: AtomicU64,
    is_over: AtomicBool,
}

impl Watch {
    /// Waits for the next event; `None` if none has come in time, and at once when all is over.
    pub fn next(&self, timeout: Duration) -> Option<Event> {
        self.events.recv_timeout(timeout).ok()
    }

    /// Whether the node is gone, and nothing more will come but what is kept.
    pub fn is_over(&self) -> bool {
        // Relaxed: the events themselves come through the channel.
        self.feed.is_over.load(Ordering::Relaxed)
    }

    /// Events for which there was no room.
    pub fn lost(&self) -> u64 {
        // Relaxed: a number, on which nothing depends.
        self.feed.lost.load(Ordering::Relaxed)
    }
}

impl IntoIterator for Watch {
    type Item = Event;
    type IntoIter = IntoIter<Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.events.into_iter()
    }
}

/// Those who watch a node.
#[derive(Debug, Default)]
pub struct Watchers {
    feeds: Vec<(SyncSender<Event>, Arc<Feed>)>,
    lost: u64,
}

impl Watchers {
    /// One more.
    pub fn add(&mut self) -> Watch {
        let (sender, events) = sync_channel(EVENTS_MAX);
        let feed = Arc::new(Feed::default());
        self.feeds.push((sender, Arc::clone(&feed)));
        Watch { events, feed }
    }

    /// Tells all of them, and forgets those that are gone.
    pub fn tell(&mut self, event: &Event) {
        let lost = &mut self.lost;
        self.feeds.retain(|(sender, feed)| match sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                feed.lost.fetch_add(1, Ordering::Relaxed);
                *lost += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        });
    }

    /// Events for which one of them had no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// There will be no more events.
    pub fn end(&mut self) {
        self.feeds.drain(..).for_each(|(_, feed)| feed.is_over.store(true, Ordering::Relaxed));
    }
}
