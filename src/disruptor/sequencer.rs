//! What a kind of producer must know: how to claim slots, and how to tell consumers of them.

use std::ops::Range;

use super::error::ClaimError;
use super::multi::MultiSequencer;
use super::room::Room;
use super::single::SingleSequencer;
use super::wait::Watch;

/// Whether a ring has one producer or several: [`SingleProducer`] or [`MultiProducer`].
pub trait ProducerKind: sealed::Sealed + Send + Sync + 'static {
    #[doc(hidden)]
    #[allow(private_bounds, reason = "the trait is sealed; how a ring counts is nobody else's business")]
    type Sequencer: Sequencer;
}

/// One producer, which cannot be cloned: a claim touches nothing that is shared.
#[derive(Clone, Copy, Debug)]
pub enum SingleProducer {}

/// Any number of producers, cloned from each other: a claim is one compare-and-swap.
#[derive(Clone, Copy, Debug)]
pub enum MultiProducer {}

impl ProducerKind for SingleProducer {
    type Sequencer = SingleSequencer;
}

impl ProducerKind for MultiProducer {
    type Sequencer = MultiSequencer;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::SingleProducer {}
    impl Sealed for super::MultiProducer {}
}

/// How many slots a claim wants: at least `least`, and up to `most` if they are free at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClaimSize {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

/// The counters of a ring. One file per kind of producer.
///
/// Sequences are exclusive counters: "published up to 5" means that 0 to 4 can be read.
pub(crate) trait Sequencer: Send + Sync + 'static {
    /// What a producer keeps to itself.
    type Local: Send + 'static;

    /// Whether there is only one producer, which may be in the user's hands.
    const SINGLE: bool;

    fn new(capacity: u64, first: u64) -> Self;

    /// The private half of a new producer.
    fn local(&self) -> Self::Local;

    /// Takes `size.most` slots if they are known to be free, and looks at no consumer.
    fn claim_at_once(&self, local: &mut Self::Local, size: ClaimSize) -> Option<Range<u64>>;

    /// Takes slots, and waits for them if it must. They are the caller's until it hands them to `publish` or `skip`.
    fn claim(
        &self,
        local: &mut Self::Local,
        size: ClaimSize,
        room: Room<'_>,
    ) -> Result<Range<u64>, ClaimError>;

    /// Keeps `claim_at_once` from taking anything until `resume`. Needed of a single producer only,
    /// whose fast path has no other way to learn of a claim that is not published yet.
    fn suspend(&self, _local: &mut Self::Local) {}
    fn resume(&self, _local: &mut Self::Local) {}

    /// The addresses of what lies apart from the sequencer.
    fn stamps(&self) -> Range<usize> {
        0..0
    }

    /// Asks for what publishing `sequence`, some time soon, will write; says whether its slot is free
    /// and worth asking for too.
    fn prefetch(&self, local: &Self::Local, sequence: u64) -> bool;

    /// Lets consumers read `claimed`, which the caller has written.
    fn publish(&self, local: &mut Self::Local, claimed: Range<u64>);

    /// Gives `claimed` up: no consumer gets to see it.
    fn skip(&self, local: &mut Self::Local, claimed: Range<u64>);

    /// The end of what can be read from `from` on, as far as `to` at least, if there is so much.
    /// The writes below it have happened before.
    fn available(&self, from: u64, to: u64) -> u64;

    /// How far, up to `to`, no claim is in flight: all is published or skipped. Consumers hold
    /// producers back only from where they joined, so a claim before that is protected by this.
    fn settled(&self, to: u64) -> u64;

    /// What changes when `sequence` is published.
    fn watch(&self, sequence: u64) -> Watch<'_>;

    /// The end of what has been claimed, where a consumer that joins now starts.
    fn claimed(&self) -> u64;

    /// Refuses all later claims; the result is where the accepted events end.
    fn close(&self) -> u64;

    /// Marks `sequence` as skipped, on behalf of a consumer that has not released it yet.
    fn discard(&self, sequence: u64);

    /// Whether some sequence at or above `from` is marked as skipped. May say yes in vain.
    fn has_skips(&self, from: u64) -> bool;

    /// Whether `sequence`, which is published and unreleased, is marked as skipped.
    fn is_skipped(&self, sequence: u64) -> bool;
}
