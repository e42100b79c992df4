//! What has become of members, services and notes of late, with numbers by which readers go on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::bell::Bell;
use super::process::StartError;
use crate::base::clock::Clock;
use crate::cluster::Watch;
use crate::cluster::swim::Event;

/// An event of the cluster.
#[derive(Clone, Debug)]
pub struct ClusterEvent {
    /// Its number, from 0.
    pub sequence: u64,
    /// When this node heard of it, in microseconds since 1970.
    pub unix_micros: u64,
    /// What happened.
    pub event: Event,
}

/// The last 1024 events of a cluster since the node started.
#[derive(Debug, Default)]
pub struct ClusterLog {
    entries: Mutex<Entries>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Entries {
    kept: VecDeque<ClusterEvent>,
    next: u64,
    /// Whether nobody is to wait any more.
    is_over: bool,
}

const KEPT_MAX: usize = 1024;
/// How soon the thread sees that it is to end.
const TICK: Duration = Duration::from_millis(250);

impl ClusterLog {
    /// Up to `limit` events from a number on; waits for up to `wait` until there is one. Those that are no longer kept
    /// are left out.
    pub fn from(&self, sequence: u64, limit: usize, wait: Duration) -> Vec<ClusterEvent> {
        let mut entries = self.entries.lock();
        let is_early = |entries: &mut Entries| entries.next <= sequence && !entries.is_over;
        self.changed.wait_while_for(&mut entries, is_early, wait);
        let skipped = sequence.saturating_sub(entries.first()) as usize;
        entries.kept.iter().skip(skipped).take(limit).cloned().collect()
    }

    /// The number of the oldest event that is kept, and of the next one that will come.
    pub fn bounds(&self) -> (u64, u64) {
        let entries = self.entries.lock();
        (entries.first(), entries.next)
    }

    /// Ends all waiting, now and from now on.
    pub(super) fn stop_waiting(&self) {
        self.entries.lock().is_over = true;
        self.changed.notify_all();
    }

    fn push(&self, event: Event, unix_micros: u64) {
        let mut entries = self.entries.lock();
        if entries.kept.len() == KEPT_MAX {
            entries.kept.pop_front();
        }
        let sequence = entries.next;
        entries.kept.push_back(ClusterEvent { sequence, unix_micros, event });
        entries.next += 1;
        drop(entries);
        self.changed.notify_all();
    }

    /// Writes down what a watch sees, until the bell rings.
    pub(super) fn start(
        self: &Arc<Self>,
        watch: Watch,
        clock: Clock,
    ) -> Result<(Arc<Bell>, JoinHandle<()>), StartError> {
        let bell = Arc::new(Bell::default());
        let (log, own) = (Arc::clone(self), Arc::clone(&bell));
        let write = move || {
            while !own.is_rung_within(Duration::ZERO) && !watch.is_over() {
                watch.next(TICK).into_iter().for_each(|event| log.push(event, clock.unix_micros()));
            }
        };
        let thread = Builder::new().name("cluster-events".to_owned()).spawn(write);
        let thread =
            thread.map_err(|error| StartError::System { what: "thread", reason: error.to_string() })?;
        Ok((bell, thread))
    }
}

impl Entries {
    fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::{ClusterLog, KEPT_MAX};
    use crate::cluster::swim::{Event, NodeId};
    use std::time::Duration;

    #[test]
    fn readers_go_on_where_they_were_and_old_events_are_forgotten() {
        let log = ClusterLog::default();
        let event = Event::Forgotten(NodeId::new("a").expect("a name"));
        assert!(log.from(0, 10, Duration::ZERO).is_empty());
        (0..=KEPT_MAX as u64).for_each(|at| log.push(event.clone(), at));
        assert_eq!(log.bounds(), (1, KEPT_MAX as u64 + 1));
        let numbers = |from, limit| {
            let events = log.from(from, limit, Duration::from_secs(60));
            events.iter().map(|event| (event.sequence, event.unix_micros)).collect::<Vec<_>>()
        };
        assert_eq!(numbers(0, 2), [(1, 1), (2, 2)]);
        assert_eq!(numbers(KEPT_MAX as u64, 9), [(KEPT_MAX as u64, KEPT_MAX as u64)]);
        assert!(log.from(u64::MAX, 9, Duration::ZERO).is_empty());
        log.stop_waiting();
        assert!(log.from(u64::MAX, 9, Duration::MAX).is_empty());
    }
}
