//! A ring: slots, the counters over them, and what producers and consumers share.

use std::sync::Arc;

use super::control::Control;
use super::gate::Gate;
use super::sequencer::{ProducerKind, Sequencer};
use super::slots::Slots;
use super::wait::{WaitStrategy, Watch};

pub(crate) struct Ring<E, P: ProducerKind, W> {
    pub(crate) slots: Slots<E>,
    pub(crate) sequencer: P::Sequencer,
    pub(crate) wait: W,
    pub(crate) control: Arc<Control>,
}

impl<E, P: ProducerKind, W: WaitStrategy> Ring<E, P, W> {
    /// Where a consumer that follows `upstream` finds its next event.
    ///
    /// One that follows nobody, or whom all it followed have left, follows the producers.
    pub(crate) fn watch<'a>(&'a self, upstream: &'a [Arc<Gate>], sequence: u64) -> Watch<'a> {
        if upstream.iter().all(|gate| gate.has_left()) {
            self.sequencer.watch(sequence)
        } else {
            Watch::Gates(upstream)
        }
    }

    /// The end of what a consumer that follows `upstream` may read from `from` on, as far as `to`
    /// at least, if there is so much.
    #[inline]
    pub(crate) fn available(&self, upstream: &[Arc<Gate>], from: u64, to: u64) -> u64 {
        match upstream.iter().map(|gate| gate.sequence()).min() {
            None | Some(Gate::LEFT) => self.sequencer.available(from, to),
            Some(slowest) => slowest,
        }
    }

    /// Where the accepted events end, or the claimed ones while that is open.
    pub(crate) fn cursor(&self) -> u64 {
        self.sequencer.claimed().min(self.control.end())
    }
}
