//! The standard library's `sync_channel`, for any number of producers, without batches.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::channels::Channel;

pub struct StdMpsc;

impl Channel for StdMpsc {
    const NAME: &'static str = "std-mpsc";
    type Sender<E: Send + 'static> = SyncSender<E>;
    type Receiver<E: Send + 'static> = Receiver<E>;

    fn open<E: Send + 'static>(capacity: usize) -> (SyncSender<E>, Receiver<E>) {
        sync_channel(capacity)
    }

    fn share<E: Send + 'static>(sender: &SyncSender<E>) -> Option<SyncSender<E>> {
        Some(sender.clone())
    }

    #[inline]
    fn try_send<E: Send + 'static>(sender: &mut SyncSender<E>, event: E) -> Result<(), E> {
        let back = |(TrySendError::Full(event) | TrySendError::Disconnected(event))| event;
        sender.try_send(event).map_err(back)
    }

    #[inline]
    fn try_receive<E: Send + 'static>(receiver: &mut Receiver<E>) -> Option<E> {
        receiver.try_recv().ok()
    }

    #[inline]
    fn send<E: Send + 'static>(sender: &mut SyncSender<E>, event: E) -> Result<(), E> {
        sender.send(event).map_err(|error| error.0)
    }

    #[inline]
    fn receive<E: Send + 'static>(receiver: &mut Receiver<E>) -> Option<E> {
        receiver.recv().ok()
    }
}
