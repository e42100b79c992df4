//! How far everybody is, read from the counters that the ring keeps anyway.

use std::fmt;
use std::sync::Arc;

use super::control::Control;
use super::gate::Gate;

/// Where a consumer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum ConsumerState {
    /// It has been added, and its thread has not started; or it is a poller.
    Waiting,
    /// Its thread runs.
    Running,
    /// It has handled what there was, or was halted.
    Stopped,
    /// Its handler failed and poisoned the disruptor.
    Failed,
    /// It was removed, or its poller dropped.
    Left,
}

impl ConsumerState {
    pub(crate) fn from_u8(state: u8) -> Self {
        [Self::Waiting, Self::Running, Self::Stopped, Self::Failed, Self::Left][usize::from(state)]
    }
}

/// How far one consumer is. Each thread of a worker pool or a partition counts as one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerStats {
    /// The consumer's name.
    pub name: Arc<str>,
    /// It has let go of every event below.
    pub sequence: u64,
    /// Events between this consumer and the cursor.
    pub lag: u64,
    /// Where it is in its life.
    pub state: ConsumerState,
    /// Batches that it has handled.
    pub batches: u64,
}

/// How far everybody is, at about one moment: the counters are read one after the other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// The number of slots.
    pub capacity: usize,
    /// The end of what has been published, or claimed if there are several producers.
    pub cursor: u64,
    /// The consumers that take part, in the order in which they joined.
    pub consumers: Vec<ConsumerStats>,
}

impl Stats {
    pub(crate) fn read(control: &Control, cursor: u64) -> Self {
        let consumer = |gate: &Arc<Gate>| {
            let sequence = gate.peek().min(cursor);
            ConsumerStats {
                name: Arc::clone(&gate.name),
                sequence,
                lag: cursor - sequence,
                state: gate.state(),
                batches: gate.batches(),
            }
        };
        let consumers = control.gates.snapshot().iter().map(consumer).collect();
        Self { capacity: control.capacity as usize, cursor, consumers }
    }

    /// The consumer that is furthest behind, which is the one that producers wait for.
    pub fn slowest(&self) -> Option<&ConsumerStats> {
        self.consumers.iter().max_by_key(|consumer| consumer.lag)
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cursor {} of a ring of {}", self.cursor, self.capacity)?;
        for ConsumerStats { name, sequence, lag, state, batches } in &self.consumers {
            write!(f, "\n{name}: at {sequence}, {lag} behind, {state:?}, {batches} batches")?;
        }
        Ok(())
    }
}

/// Reads the [`Stats`] of a disruptor from any thread, for as long as it is kept.
#[derive(Clone)]
pub struct Monitor {
    pub(super) read: Arc<dyn Fn() -> Stats + Send + Sync>,
}

impl Monitor {
    /// How far everybody is now.
    pub fn stats(&self) -> Stats {
        (self.read)()
    }
}
