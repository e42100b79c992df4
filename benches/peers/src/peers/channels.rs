//! What all channels have in common: one per edge of the graph, and loops around `send` and `recv`.
//!
//! A busy or yielding thread calls the `try_` forms; a blocking one leaves the wait to the channel.

use std::thread::{self, JoinHandle};

use crate::event::Event;
use crate::flow::{Flow, Share};
use crate::lap::{Lap, Sink};
use crate::latency::{Paced, PingPong};
use crate::machine::pin;
use crate::pause::Pause;
use crate::peer::Library;
use crate::scenario::Wait;

/// A library with bounded channels.
pub trait Channel {
    const NAME: &'static str;
    /// Whether a thread can sleep until there is something, or room.
    const BLOCKS: bool = true;
    /// Whether senders can be cloned.
    const SHARES: bool = true;
    /// Whether several events can go in or out at once.
    const BATCHES: bool = false;
    type Sender<E: Send + 'static>: Send + 'static;
    type Receiver<E: Send + 'static>: Send + 'static;

    fn open<E: Send + 'static>(capacity: usize) -> (Self::Sender<E>, Self::Receiver<E>);

    /// Another sender, if [`SHARES`](Self::SHARES).
    fn share<E: Send + 'static>(sender: &Self::Sender<E>) -> Option<Self::Sender<E>>;

    /// Gives the event back if there is no room.
    fn try_send<E: Send + 'static>(sender: &mut Self::Sender<E>, event: E) -> Result<(), E>;

    fn try_receive<E: Send + 'static>(receiver: &mut Self::Receiver<E>) -> Option<E>;

    /// As `try_send`, but sleeps until there is room, if [`BLOCKS`](Self::BLOCKS).
    fn send<E: Send + 'static>(sender: &mut Self::Sender<E>, event: E) -> Result<(), E> {
        Self::try_send(sender, event)
    }

    /// As `try_receive`, but sleeps until there is an event, if [`BLOCKS`](Self::BLOCKS).
    fn receive<E: Send + 'static>(receiver: &mut Self::Receiver<E>) -> Option<E> {
        Self::try_receive(receiver)
    }

    /// Sends so many events at once if there is room, and if it [`BATCHES`](Self::BATCHES).
    fn try_send_batch<E: Send + 'static>(
        _sender: &mut Self::Sender<E>,
        _size: usize,
        _events: impl Iterator<Item = E>,
    ) -> Option<()> {
        None
    }

    /// Has `take` called with all events there are, in slices, if it [`BATCHES`](Self::BATCHES);
    /// returns how many.
    fn try_receive_batch<E: Send + 'static>(
        _receiver: &mut Self::Receiver<E>,
        _take: impl FnMut(&[E]),
    ) -> Option<u64> {
        None
    }
}

impl<C: Channel> Library for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn flow(&self, lap: &Lap) -> bool {
        flow::<C>(lap)
    }

    fn ping_pong(&self, lap: &PingPong) -> bool {
        ping_pong::<C>(lap)
    }

    fn paced(&self, lap: &Paced) -> bool {
        paced::<C>(lap)
    }
}

pub fn flow<C: Channel>(lap: &Lap) -> bool {
    let &Flow { is_shared, batch, .. } = lap.flow;
    if (is_shared && !C::SHARES) || (batch > 1 && !C::BATCHES) || !has::<C>(lap.wait) {
        return false;
    }
    match lap.flow.words {
        1 => graph::<C, 1>(lap),
        8 => graph::<C, 8>(lap),
        32 => graph::<C, 32>(lap),
        128 => graph::<C, 128>(lap),
        _ => return false,
    }
    true
}

pub fn ping_pong<C: Channel>(lap: &PingPong) -> bool {
    if !has::<C>(lap.wait) {
        return false;
    }
    let (mut pings, mut there) = C::open::<u64>(lap.capacity);
    let (mut pongs, mut back) = C::open::<u64>(lap.capacity);
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(lap.cpus.map(|cpus| cpus.consumer));
            for _ in 0..lap.rounds() {
                let ping = receive::<C, _>(&mut there, lap.wait);
                send::<C, _>(&mut pongs, ping, lap.wait);
            }
        });
        scope.spawn(move || {
            pin(lap.cpus.map(|cpus| cpus.producer));
            lap.drive(|ping| {
                send::<C, _>(&mut pings, ping, lap.wait);
                receive::<C, _>(&mut back, lap.wait)
            });
        });
    });
    true
}

pub fn paced<C: Channel>(lap: &Paced) -> bool {
    if !has::<C>(lap.wait) {
        return false;
    }
    let (mut sender, mut receiver) = C::open::<u64>(lap.capacity);
    thread::scope(|scope| {
        scope.spawn(move || {
            pin(lap.cpus.map(|cpus| cpus.consumer));
            let mut sink = lap.sink();
            (0..lap.events).for_each(|_| sink.take(receive::<C, _>(&mut receiver, lap.wait)));
        });
        lap.drive(move |due| send::<C, _>(&mut sender, due, lap.wait));
    });
    true
}

fn has<C: Channel>(wait: Wait) -> bool {
    C::BLOCKS || wait != Wait::Blocking
}

/// In line: a call per event would be part of what is measured.
#[inline(always)]
fn send<C: Channel, E: Send + 'static>(sender: &mut C::Sender<E>, event: E, wait: Wait) {
    let (mut unsent, mut pause) = (event, Pause::new(wait));
    loop {
        let sent = if wait == Wait::Blocking { C::send(sender, unsent) } else { C::try_send(sender, unsent) };
        match sent {
            Ok(()) => return,
            Err(back) => unsent = back,
        }
        pause.pass();
    }
}

/// In line, as `send`.
#[inline(always)]
fn receive<C: Channel, E: Send + 'static>(receiver: &mut C::Receiver<E>, wait: Wait) -> E {
    wait.until(|| if wait == Wait::Blocking { C::receive(receiver) } else { C::try_receive(receiver) })
}

/// The sending ends of one thread, each of which gets every event.
type Outputs<C, const WORDS: usize> = Vec<Apart<<C as Channel>::Sender<Event<WORDS>>>>;
type Inputs<C, const WORDS: usize> = Vec<Apart<<C as Channel>::Receiver<Event<WORDS>>>>;

/// Keeps the two ends of a channel, which may be written for each event, out of each other's cache lines.
#[repr(align(128))]
struct Apart<T>(T);

/// A channel for each edge, a thread for each node.
fn graph<C: Channel, const WORDS: usize>(lap: &Lap) {
    let follows = lap.flow.shape.follows();
    let mut sources: Outputs<C, WORDS> = Vec::new();
    let mut outputs: Vec<Outputs<C, WORDS>> = follows.iter().map(|_| Vec::new()).collect();
    let mut inputs: Vec<Inputs<C, WORDS>> = Vec::new();
    for upstream in &follows {
        let open = || {
            let (sender, receiver) = C::open(lap.flow.capacity);
            (Apart(sender), Apart(receiver))
        };
        if upstream.is_empty() {
            let (sender, receiver) = open();
            sources.push(sender);
            inputs.push(vec![receiver]);
        } else {
            let (senders, receivers): (Vec<_>, Vec<_>) = upstream.iter().map(|_| open()).unzip();
            upstream.iter().zip(senders).for_each(|(&from, sender)| outputs[from].push(sender));
            inputs.push(receivers);
        }
    }
    let consumers: Vec<_> = inputs
        .into_iter()
        .zip(outputs)
        .map(|(inputs, outputs)| spawn_consumer::<C, WORDS>(lap, inputs, outputs))
        .collect();
    let share = |sources: &Outputs<C, WORDS>| {
        sources.iter().filter_map(|Apart(sender)| C::share(sender)).map(Apart).collect::<Vec<_>>()
    };
    let clones: Vec<_> = (1..lap.flow.producers).map(|_| share(&sources)).collect();
    let producers = clones.into_iter().chain([sources]).collect();
    lap.drive(producers, |outputs, share| publish::<C, WORDS>(outputs, share, lap.wait));
    for consumer in consumers {
        consumer.join().expect("no consumer panics");
    }
}

fn publish<C: Channel, const WORDS: usize>(mut outputs: Outputs<C, WORDS>, share: Share, wait: Wait) {
    let size = share.batch as usize;
    if size > 1 {
        for first in share.batches() {
            for Apart(output) in &mut outputs {
                let events = || (first..first + share.batch).map(Event::new);
                wait.until(|| C::try_send_batch(output, size, events()));
            }
        }
        return;
    }
    match <[_; 1]>::try_from(outputs) {
        // A local variable, so that its fields can be in registers.
        Ok([Apart(mut output)]) => {
            share.singles().for_each(|value| send::<C, _>(&mut output, Event::new(value), wait));
        }
        Err(mut outputs) => {
            for value in share.singles() {
                for Apart(output) in &mut outputs {
                    send::<C, _>(output, Event::new(value), wait);
                }
            }
        }
    }
}

/// Starts a thread that takes every event from all inputs and passes it on to all outputs.
fn spawn_consumer<C: Channel, const WORDS: usize>(
    lap: &Lap,
    mut inputs: Inputs<C, WORDS>,
    mut outputs: Outputs<C, WORDS>,
) -> JoinHandle<()> {
    let (wait, cpu, flow) = (lap.wait, lap.cpus.map(|cpus| cpus.consumer), lap.flow.clone());
    let mut sinks: Vec<Sink> = inputs.iter().map(|_| lap.sink()).collect();
    thread::spawn(move || {
        pin(cpu);
        if outputs.is_empty() && inputs.len() == 1 {
            for (Apart(mut input), mut sink) in inputs.into_iter().zip(sinks) {
                // Local variables, so that their fields can be in registers.
                if flow.batch > 1 {
                    drain_batches::<C, WORDS>(&mut input, &mut sink, &flow, wait);
                } else {
                    (0..flow.events).for_each(|_| sink.take(&receive::<C, _>(&mut input, wait)));
                }
            }
            return;
        }
        for _ in 0..flow.events {
            let mut last = None;
            for (Apart(input), sink) in inputs.iter_mut().zip(&mut sinks) {
                let event = receive::<C, _>(input, wait);
                sink.take(&event);
                last = Some(event);
            }
            for (Apart(output), event) in outputs.iter_mut().zip(last.iter().cycle()) {
                send::<C, _>(output, *event, wait);
            }
        }
    })
}

fn drain_batches<C: Channel, const WORDS: usize>(
    input: &mut C::Receiver<Event<WORDS>>,
    sink: &mut Sink,
    flow: &Flow,
    wait: Wait,
) {
    let mut left = flow.events;
    while left > 0 {
        left -= wait.until(|| {
            if flow.is_sliced {
                C::try_receive_batch(input, |events| sink.take_slice(events))
            } else {
                C::try_receive_batch(input, |events| events.iter().for_each(|event| sink.take(event)))
            }
        });
    }
}
