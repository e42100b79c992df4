//! `crossbeam-channel`, bounded: `try_send` and `try_recv` in a spin, so that neither side sleeps.
//! It has no batches, and one kind of channel for any number of producers.

use std::hint::spin_loop;
use std::thread;

use crossbeam_channel::{Sender, TryRecvError, TrySendError, bounded};

use crate::machine::pin;
use crate::peer::{Lap, Peer};
use crate::scenario::{CAPACITY, Share};

pub struct Channel;

impl Peer for Channel {
    fn name(&self) -> &'static str {
        "crossbeam-channel"
    }

    fn run(&self, lap: &Lap) -> bool {
        if lap.scenario.batch > 1 {
            return false;
        }
        let (sender, receiver) = bounded::<u64>(CAPACITY);
        let clones = (1..lap.scenario.producers).map(|_| sender.clone()).collect::<Vec<_>>();
        let mut sink = lap.sink();
        let cpu = lap.cpus.map(|cpus| cpus.consumer);
        let consumer = thread::spawn(move || {
            pin(cpu);
            loop {
                match receiver.try_recv() {
                    Ok(value) => sink.take(value),
                    Err(TryRecvError::Empty) => spin_loop(),
                    Err(TryRecvError::Disconnected) => break,
                }
            }
        });
        lap.drive(clones.into_iter().chain([sender]).collect(), publish);
        consumer.join().expect("the consumer does not panic");
        true
    }
}

fn publish(sender: Sender<u64>, share: Share) {
    for value in share.singles() {
        while let Err(TrySendError::Full(_)) = sender.try_send(value) {
            spin_loop();
        }
    }
}
