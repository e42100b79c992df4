//! `Debug` for the types that hold a ring: where they stand, not what the events are.

use std::fmt;

use super::claim::{Claim, ClaimBatch, SlotsMut};
use super::consumer::Consumer;
use super::disruptor::Disruptor;
use super::group::Group;
use super::poller::{Batch, EventPoller};
use super::ring_buffer::RingBuffer;
use super::sequencer::ProducerKind;
use super::stats::Monitor;
use super::stepper::Stepper;
use super::wait::{WaitStrategy, Waiter};
use super::watchdog::Watchdog;

/// `impl_debug!(generics, type, name: field = value, ...)`
macro_rules! impl_debug {
    ([$($generics:tt)*] $type:ty, $name:literal, |$this:ident| $($field:ident = $value:expr),*) => {
        impl<$($generics)*> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $this = self;
                f.debug_struct($name)$(.field(stringify!($field), &$value))*.finish_non_exhaustive()
            }
        }
    };
}

impl_debug!([E: Send + 'static, P: ProducerKind, W: WaitStrategy] Disruptor<E, P, W>, "Disruptor", |this| stats = this.stats());
impl_debug!([E: Send + 'static, P: ProducerKind, W: WaitStrategy] Stepper<E, P, W>, "Stepper", |this| stats = this.stats());
impl_debug!([E: Send + 'static, P: ProducerKind, W: WaitStrategy] Group<'_, E, P, W>, "Group", |this| ids = this.ids());
impl_debug!([E, P: ProducerKind, W: WaitStrategy] RingBuffer<E, P, W>, "RingBuffer", |this| capacity = this.capacity(), cursor = this.cursor());
impl_debug!([E, P: ProducerKind, W: WaitStrategy] Claim<'_, E, P, W>, "Claim", |this| sequence = this.sequence());
impl_debug!([E, P: ProducerKind, W: WaitStrategy] ClaimBatch<'_, E, P, W>, "ClaimBatch", |this| sequences = this.sequences());
impl_debug!([E] SlotsMut<'_, E>, "SlotsMut", |this| len = this.len());
impl_debug!([E: Sync, P: ProducerKind, W: WaitStrategy] EventPoller<E, P, W>, "EventPoller", |this| sequence = this.sequence());
impl_debug!([E: Sync, P: ProducerKind, W: WaitStrategy] Batch<'_, E, P, W>, "Batch", |this| sequences = this.sequences());
impl_debug!([E, S] Consumer<E, S>, "Consumer", |this| name = this.options.name, threads = this.stages.len());
impl_debug!([] Monitor, "Monitor", |this| stats = this.stats());
impl_debug!([] Watchdog, "Watchdog", |_this|);
impl_debug!([] Waiter<'_>, "Waiter", |this| sequence = this.sequence());
