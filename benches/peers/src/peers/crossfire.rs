//! `crossfire`: its blocking API without an async runtime; `spsc` where there is one producer, `mpsc`
//! where the scenario asks for a ring that several share. It has no batches.

use crossfire::{MTx, Rx, TrySendError, Tx, mpsc, spsc};

use super::channels::{self, Channel};
use crate::lap::Lap;
use crate::latency::{Paced, PingPong};
use crate::peer::Library;

pub struct Crossfire;

const NAME: &str = "crossfire";

impl Library for Crossfire {
    fn name(&self) -> &'static str {
        NAME
    }

    fn flow(&self, lap: &Lap) -> bool {
        if lap.flow.is_shared { channels::flow::<Mpsc>(lap) } else { channels::flow::<Spsc>(lap) }
    }

    fn ping_pong(&self, lap: &PingPong) -> bool {
        channels::ping_pong::<Spsc>(lap)
    }

    fn paced(&self, lap: &Paced) -> bool {
        channels::paced::<Spsc>(lap)
    }
}

struct Spsc;
struct Mpsc;

/// Both kinds have the same methods.
macro_rules! channel {
    ($kind:ty, $module:ident, $sender:ident, $share:expr) => {
        impl Channel for $kind {
            const NAME: &'static str = NAME;
            type Sender<E: Send + 'static> = $sender<$module::Array<E>>;
            type Receiver<E: Send + 'static> = Rx<$module::Array<E>>;

            fn open<E: Send + 'static>(capacity: usize) -> (Self::Sender<E>, Self::Receiver<E>) {
                $module::bounded_blocking(capacity)
            }

            fn share<E: Send + 'static>(sender: &Self::Sender<E>) -> Option<Self::Sender<E>> {
                let share: fn(&Self::Sender<E>) -> Option<Self::Sender<E>> = $share;
                share(sender)
            }

            #[inline]
            fn try_send<E: Send + 'static>(sender: &mut Self::Sender<E>, event: E) -> Result<(), E> {
                let back = |(TrySendError::Full(event) | TrySendError::Disconnected(event))| event;
                sender.try_send(event).map_err(back)
            }

            #[inline]
            fn try_receive<E: Send + 'static>(receiver: &mut Self::Receiver<E>) -> Option<E> {
                receiver.try_recv().ok()
            }

            #[inline]
            fn send<E: Send + 'static>(sender: &mut Self::Sender<E>, event: E) -> Result<(), E> {
                sender.send(event).map_err(|error| error.0)
            }

            #[inline]
            fn receive<E: Send + 'static>(receiver: &mut Self::Receiver<E>) -> Option<E> {
                receiver.recv().ok()
            }
        }
    };
}

channel!(Spsc, spsc, Tx, |_| None);
channel!(Mpsc, mpsc, MTx, |sender| Some(sender.clone()));
