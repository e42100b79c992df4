//! No library but a mark to measure all by: rings with nothing except what moves an event from one thread
//! to another.
//!
//! They have one consumer, events of one word, no errors, no end, and nobody can join, leave, sleep or fail.
//! Where a library's time is near theirs, the machine sets the limit.

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::event::Event;
use crate::flow::Shape;
use crate::lap::Lap;
use crate::latency::{Paced, PingPong};
use crate::machine::pin;
use crate::pause::Pause;
use crate::peer::Library;
use crate::scenario::Wait;

pub struct Bare;

pub const NAME: &str = "bare";

/// A consumer that finds fewer events pauses before it looks again, longer each time.
const ENOUGH: u64 = 1024;
const PAUSES_MAX: u32 = 127;

impl Library for Bare {
    fn name(&self) -> &'static str {
        NAME
    }

    fn flow(&self, lap: &Lap) -> bool {
        if lap.flow.shape != Shape::Unicast || lap.flow.words > 1 || lap.wait == Wait::Blocking {
            return false;
        }
        if lap.flow.is_shared {
            flow::<Many>(lap)
        } else {
            flow::<Single>(lap)
        }
        true
    }

    fn ping_pong(&self, lap: &PingPong) -> bool {
        if lap.wait == Wait::Blocking {
            return false;
        }
        let (there, back) = (Single::new(lap.capacity), Single::new(lap.capacity));
        thread::scope(|scope| {
            scope.spawn(|| {
                pin(lap.cpus.map(|cpus| cpus.consumer));
                let mut place = Place::default();
                receive(&there, lap.rounds(), lap.wait, |ping| {
                    back.publish(&mut place, ping..ping + 1, lap.wait);
                });
            });
            scope.spawn(|| {
                pin(lap.cpus.map(|cpus| cpus.producer));
                let (mut place, mut next) = (Place::default(), 0);
                lap.drive(|ping| {
                    there.publish(&mut place, ping..ping + 1, lap.wait);
                    let mut pong = 0;
                    lap.wait.until(|| (back.take(next, |value| pong = value) > 0).then_some(()));
                    next += 1;
                    pong
                });
            });
        });
        true
    }

    fn paced(&self, lap: &Paced) -> bool {
        if lap.wait == Wait::Blocking {
            return false;
        }
        let ring = Single::new(lap.capacity);
        thread::scope(|scope| {
            scope.spawn(|| {
                pin(lap.cpus.map(|cpus| cpus.consumer));
                let mut sink = lap.sink();
                receive(&ring, lap.events, lap.wait, |due| sink.take(due));
            });
            let mut place = Place::default();
            lap.drive(|due| ring.publish(&mut place, due..due + 1, lap.wait));
        });
        true
    }
}

fn flow<R: Ring>(lap: &Lap) {
    let ring = R::new(lap.flow.capacity);
    thread::scope(|scope| {
        scope.spawn(|| {
            pin(lap.cpus.map(|cpus| cpus.consumer));
            let mut sink = lap.sink();
            receive(&ring, lap.flow.events, lap.wait, |value| sink.take(&Event::<1>::new(value)));
        });
        let producers = (0..lap.flow.producers).map(|_| Place::default()).collect();
        lap.drive(producers, |mut place, share| {
            if share.batch == 1 {
                share.singles().for_each(|value| ring.publish(&mut place, value..value + 1, lap.wait));
            } else {
                let values = share.batches().map(|first| first..first + share.batch);
                values.for_each(|values| ring.publish(&mut place, values, lap.wait));
            }
        });
    });
}

/// Takes so many events, and lets them gather while they come fast.
#[inline(always)]
fn receive<R: Ring>(ring: &R, events: u64, wait: Wait, mut take: impl FnMut(u64)) {
    let (mut next, mut pauses, mut pause) = (0, 0, Pause::new(wait));
    while next < events {
        let count = ring.take(next, &mut take);
        if count == 0 {
            pauses = 0;
            pause.pass();
            continue;
        }
        next += count;
        pause = Pause::new(wait);
        if count < ENOUGH {
            (0..pauses).for_each(|_| spin_loop());
            pauses = (2 * pauses + 1).min(PAUSES_MAX);
        }
    }
}

trait Ring: Sync {
    fn new(capacity: usize) -> Self;
    fn publish(&self, place: &mut Place, values: Range<u64>, wait: Wait);
    /// Takes what there is from `next` on, a quarter of the ring at most; says how much.
    fn take(&self, next: u64, take: impl FnMut(u64)) -> u64;
}

/// A producer's: where it publishes next, if it is the only one, and the end of the slots known to be free.
#[derive(Default)]
struct Place {
    next: u64,
    limit: u64,
}

/// In cache lines of its own.
#[repr(align(128))]
struct Counter(AtomicU64);

impl Counter {
    fn new() -> Self {
        Self(AtomicU64::new(0))
    }
}

/// For one producer: it counts what is published.
struct Single {
    published: Counter,
    done: Counter,
    slots: Box<[AtomicU64]>,
}

impl Ring for Single {
    fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|_| AtomicU64::new(0)).collect();
        Self { published: Counter::new(), done: Counter::new(), slots }
    }

    #[inline(always)]
    fn publish(&self, place: &mut Place, values: Range<u64>, wait: Wait) {
        let (slots, end) = (&*self.slots, place.next + (values.end - values.start));
        if end > place.limit {
            // As much as is worth a look at the consumer's counter.
            let worth = end.max(place.next + slots.len() as u64 / 8);
            place.limit = wait.until(|| {
                let limit = self.done.0.load(Ordering::Acquire) + slots.len() as u64;
                (limit >= worth).then_some(limit)
            });
        }
        for (sequence, value) in (place.next..end).zip(values) {
            slots[sequence as usize & (slots.len() - 1)].store(value, Ordering::Relaxed);
        }
        place.next = end;
        self.published.0.store(end, Ordering::Release);
    }

    #[inline(always)]
    fn take(&self, next: u64, mut take: impl FnMut(u64)) -> u64 {
        let slots = &*self.slots;
        let end = self.published.0.load(Ordering::Acquire).min(next + slots.len() as u64 / 4);
        for sequence in next..end {
            take(slots[sequence as usize & (slots.len() - 1)].load(Ordering::Relaxed));
        }
        if end > next {
            self.done.0.store(end, Ordering::Release);
        }
        end - next
    }
}

/// For several producers: each slot says whose turn it holds. A claim is one addition, before there is room.
struct Many {
    claimed: Counter,
    done: Counter,
    slots: Box<[Stamped]>,
}

struct Stamped {
    /// The sequence that the slot holds, plus one.
    stamp: AtomicU64,
    value: AtomicU64,
}

impl Ring for Many {
    fn new(capacity: usize) -> Self {
        let slots = (0..capacity).map(|_| Stamped { stamp: AtomicU64::new(0), value: AtomicU64::new(0) });
        Self { claimed: Counter::new(), done: Counter::new(), slots: slots.collect() }
    }

    #[inline(always)]
    fn publish(&self, place: &mut Place, values: Range<u64>, wait: Wait) {
        let (slots, size) = (&*self.slots, values.end - values.start);
        let first = self.claimed.0.fetch_add(size, Ordering::Relaxed);
        if first + size > place.limit {
            place.limit = wait.until(|| {
                let limit = self.done.0.load(Ordering::Acquire) + slots.len() as u64;
                (limit >= first + size).then_some(limit)
            });
        }
        for (sequence, value) in (first..).zip(values) {
            let slot = &slots[sequence as usize & (slots.len() - 1)];
            slot.value.store(value, Ordering::Relaxed);
            slot.stamp.store(sequence + 1, Ordering::Release);
        }
    }

    #[inline(always)]
    fn take(&self, next: u64, mut take: impl FnMut(u64)) -> u64 {
        let slots = &*self.slots;
        let mut end = next;
        while end < next + slots.len() as u64 / 4 {
            let slot = &slots[end as usize & (slots.len() - 1)];
            if slot.stamp.load(Ordering::Acquire) != end + 1 {
                break;
            }
            take(slot.value.load(Ordering::Relaxed));
            end += 1;
        }
        if end > next {
            self.done.0.store(end, Ordering::Release);
        }
        end - next
    }
}
