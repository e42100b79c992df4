//! `kanal`: `bounded`, without its async half; one kind of channel for any number of producers, without
//! batches into the channel.

use kanal::{Receiver, Sender, bounded};

use super::channels::Channel;

pub struct Kanal;

impl Channel for Kanal {
    const NAME: &'static str = "kanal";
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
        let mut unsent = Some(event);
        sender.try_send_option(&mut unsent).expect("the receiver lives as long as its senders");
        unsent.map_or(Ok(()), Err)
    }

    #[inline]
    fn try_receive<E: Send + 'static>(receiver: &mut Receiver<E>) -> Option<E> {
        receiver.try_recv().ok()?
    }

    #[inline]
    fn send<E: Send + 'static>(sender: &mut Sender<E>, event: E) -> Result<(), E> {
        sender.send(event).expect("the receiver lives as long as its senders");
        Ok(())
    }

    #[inline]
    fn receive<E: Send + 'static>(receiver: &mut Receiver<E>) -> Option<E> {
        receiver.recv().ok()
    }
}
