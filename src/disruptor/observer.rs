//! A listener on a consumer's batches and waits.

use std::ops::Range;

/// Hears what a consumer does, on the consumer's thread. All hooks are empty by default.
///
/// Attached with [`Consumer::observed_by`](super::Consumer::observed_by); a consumer without one
/// is compiled without the calls. For figures without any code, see
/// [`Disruptor::stats`](super::Disruptor::stats).
pub trait Observer: Send + 'static {
    /// A batch begins: these events will be handled, and `depth` were seen waiting.
    fn batch_starts(&mut self, _sequences: &Range<u64>, _depth: u64) {}

    /// A batch has been handled, and its events are released. A batch that failed has no end.
    fn batch_ends(&mut self, _sequences: &Range<u64>) {}

    /// Nothing is there to do: the consumer waits for this sequence.
    fn waits(&mut self, _sequence: u64) {}
}
