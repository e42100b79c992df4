//! `rtrb`: `push` and `pop` for single events, chunks for batches, which its consumer reads as slices.
//! It has one producer and one consumer per ring, and no way to sleep.

use rtrb::{Consumer, Producer, PushError, RingBuffer};

use super::channels::Channel;

pub struct Rtrb;

impl Channel for Rtrb {
    const NAME: &'static str = "rtrb";
    const BLOCKS: bool = false;
    const SHARES: bool = false;
    const BATCHES: bool = true;
    type Sender<E: Send + 'static> = Producer<E>;
    type Receiver<E: Send + 'static> = Consumer<E>;

    fn open<E: Send + 'static>(capacity: usize) -> (Producer<E>, Consumer<E>) {
        RingBuffer::new(capacity)
    }

    fn share<E: Send + 'static>(_sender: &Producer<E>) -> Option<Producer<E>> {
        None
    }

    #[inline]
    fn try_send<E: Send + 'static>(sender: &mut Producer<E>, event: E) -> Result<(), E> {
        sender.push(event).map_err(|PushError::Full(event)| event)
    }

    #[inline]
    fn try_receive<E: Send + 'static>(receiver: &mut Consumer<E>) -> Option<E> {
        receiver.pop().ok()
    }

    #[inline]
    fn try_send_batch<E: Send + 'static>(
        sender: &mut Producer<E>,
        size: usize,
        events: impl Iterator<Item = E>,
    ) -> Option<()> {
        sender.write_chunk_uninit(size).ok()?.fill_from_iter(events);
        Some(())
    }

    #[inline]
    fn try_receive_batch<E: Send + 'static>(
        receiver: &mut Consumer<E>,
        mut take: impl FnMut(&[E]),
    ) -> Option<u64> {
        let count = receiver.slots();
        let chunk = receiver.read_chunk(count).ok().filter(|_| count > 0)?;
        let (front, back) = chunk.as_slices();
        take(front);
        take(back);
        chunk.commit_all();
        Some(count as u64)
    }
}
