//! `crossbeam-channel`: `bounded`, one kind of channel for any number of producers, without batches.

use crossbeam_channel::{Receiver, Sender, bounded};

use super::channels::Channel;

pub struct Crossbeam;

impl Channel for Crossbeam {
    const NAME: &'static str = "crossbeam-channel";
    type Sender<E: Send + 'static> = Sender<E>;
    type Receiver<E: Send + 'static> = Receiver<E>;

    fn open<E: Send + 'static>(capacity: usize) -> (Sender<E>, Receiver<E>) {
        bounded(capacity)
    }

    fn share<E: Send + 'static>(sender: &Sender<E>) -> Option<Sender<E>> {
        Some(sender.clone())
    }

    #[inline]
    fn try_send<E: Send + 'static>(sender: &mut Sender<E>, event: E) -> Result<(), E> {
        sender.try_send(event).map_err(|error| error.into_inner())
    }

    #[inline]
    fn try_receive<E: Send + 'static>(receiver: &mut Receiver<E>) -> Option<E> {
        receiver.try_recv().ok()
    }

    #[inline]
    fn send<E: Send + 'static>(sender: &mut Sender<E>, event: E) -> Result<(), E> {
        sender.send(event).map_err(|error| error.into_inner())
    }

    #[inline]
    fn receive<E: Send + 'static>(receiver: &mut Receiver<E>) -> Option<E> {
        receiver.recv().ok()
    }
}
