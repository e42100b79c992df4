//! The last events of a disruptor, readable by anybody at any time.
//!
//! Readers never hold up a producer for longer than it takes to clone a pointer. A place is overwritten by the event
//! that is one ring further on; a reader sees by the sequence in it whether it came too late or too early.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::event::Event;

/// What is at a sequence.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The event.
    Kept(Event),
    /// Another event has taken its place.
    Overwritten,
    /// Nothing has been published there.
    NotYet,
}

/// A place for an event, with the sequence that it has or had there.
type Place = Mutex<Option<(u64, Event)>>;

#[derive(Debug)]
pub struct Window {
    /// By sequence modulo the ring's size: the last event there.
    places: Box<[Place]>,
    /// One after the highest sequence that was put in.
    end: AtomicU64,
    /// What is below was forgotten.
    floor: AtomicU64,
    waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Window {
    pub fn new(capacity: usize) -> Self {
        Self {
            places: (0..capacity).map(|_| Mutex::new(None)).collect(),
            end: AtomicU64::new(0),
            floor: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Keeps an event, in any order with others; [`ring`](Self::ring) tells those who wait.
    pub fn put(&self, sequence: u64, event: Event) {
        *self.place(sequence).lock() = Some((sequence, event));
        // Release, for `end`'s acquire: who sees the end sees what was put before it.
        self.end.fetch_max(sequence + 1, Ordering::Release);
    }

    /// Wakes readers that wait for something new.
    pub fn ring(&self) {
        // Between the new event and the look for readers; pairs with the fence in `wait_past`, so that either
        // this sees the reader or the reader sees the event.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) > 0 {
            drop(self.lock.lock());
            self.changed.notify_all();
        }
    }

    /// Sleeps until there is something at `sequence`, somebody calls [`ring`](Self::ring), or the time is over.
    pub fn wait_past(&self, sequence: u64, timeout: Duration) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut guard = self.lock.lock();
        if matches!(self.look(sequence), Lookup::NotYet) {
            self.changed.wait_for(&mut guard, timeout);
        }
        drop(guard);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    pub fn look(&self, sequence: u64) -> Lookup {
        match &*self.place(sequence).lock() {
            Some((kept, event)) if *kept == sequence => Lookup::Kept(event.clone()),
            Some((kept, _)) if *kept > sequence => Lookup::Overwritten,
            // Relaxed: who finds the place empty has its lock after `forget` had it.
            _ if sequence < self.floor.load(Ordering::Relaxed) => Lookup::Overwritten,
            _ => Lookup::NotYet,
        }
    }

    /// One after the highest sequence that was put in.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// The oldest sequence that may still be there, as far as can be told while events come in.
    pub fn start(&self) -> u64 {
        self.end().saturating_sub(self.places.len() as u64).max(self.floor.load(Ordering::Relaxed))
    }

    /// What is before was forgotten.
    pub fn floor(&self) -> u64 {
        self.floor.load(Ordering::Relaxed)
    }

    /// Forgets every event. Nobody may put one in meanwhile.
    pub fn forget(&self) {
        self.skip_to(self.end());
    }

    /// Forgets every event; the next one has this sequence. Nobody may put one in meanwhile.
    pub fn skip_to(&self, sequence: u64) {
        self.floor.store(sequence, Ordering::Relaxed);
        self.places.iter().for_each(|place| *place.lock() = None);
        self.end.store(sequence, Ordering::Release);
    }

    /// Forgets the events from a sequence on, which is then the next one. Nobody may put one in meanwhile.
    pub fn truncate_to(&self, sequence: u64) {
        let (start, end) = (self.start(), self.end());
        if sequence <= start {
            return self.skip_to(sequence);
        }
        // What they have overwritten does not come back.
        self.floor.store(start, Ordering::Relaxed);
        (sequence..end).for_each(|taken| *self.place(taken).lock() = None);
        self.end.store(end.min(sequence), Ordering::Release);
    }

    /// The events from a sequence on that lie side by side: at least one, if there is one, and no more than fit into
    /// so many bytes.
    pub fn run(&self, from: u64, bytes_max: usize) -> Vec<Event> {
        let mut bytes = 0;
        let kept = (from..self.end()).map_while(|sequence| match self.look(sequence) {
            Lookup::Kept(event) => Some(event),
            Lookup::Overwritten | Lookup::NotYet => None,
        });
        let fits = |event: &Event| {
            let is_first = bytes == 0;
            bytes += event.block().len();
            is_first || bytes <= bytes_max
        };
        kept.take_while(fits).collect()
    }

    fn place(&self, sequence: u64) -> &Place {
        &self.places[sequence as usize & (self.places.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::{Lookup, Window};
    use crate::base::ulid::Ulid;
    use crate::engine::{ContentType, Draft, Event};
    use std::thread;
    use std::time::Duration;

    fn event(number: u64) -> Event {
        Event::new(&Draft::bare(ContentType::Bytes, &number.to_le_bytes()), Ulid(0), 0)
    }

    #[test]
    fn a_place_tells_what_was_and_what_will_be_there() {
        let window = Window::new(2);
        assert!(matches!(window.look(0), Lookup::NotYet));
        (0..3).for_each(|number| window.put(number, event(number)));
        assert!(matches!(window.look(0), Lookup::Overwritten));
        assert!(matches!(window.look(2), Lookup::Kept(kept) if kept.payload() == 2_u64.to_le_bytes()));
        assert!(matches!(window.look(3), Lookup::NotYet));
        assert_eq!((window.start(), window.end()), (1, 3));
        window.forget();
        assert!((0..3).all(|number| matches!(window.look(number), Lookup::Overwritten)));
        assert!(matches!(window.look(3), Lookup::NotYet));
        assert_eq!((window.start(), window.end()), (3, 3));
        window.put(3, event(3));
        assert!(matches!(window.look(3), Lookup::Kept(_)) && matches!(window.look(1), Lookup::Overwritten));
    }

    #[test]
    fn what_is_taken_back_is_not_there_and_what_it_overwrote_stays_overwritten() {
        let window = Window::new(4);
        (0..6).for_each(|number| window.put(number, event(number)));
        window.truncate_to(5);
        assert_eq!((window.start(), window.end()), (2, 5));
        assert!(matches!(window.look(5), Lookup::NotYet) && matches!(window.look(1), Lookup::Overwritten));
        assert!(matches!(window.look(4), Lookup::Kept(_)));
        window.put(5, event(50));
        let run = window.run(4, usize::MAX);
        assert_eq!(
            run.iter().map(Event::payload).collect::<Vec<_>>(),
            [4_u64.to_le_bytes(), 50_u64.to_le_bytes()]
        );
        assert_eq!((window.run(4, 1).len(), window.run(1, 1).len(), window.run(6, 1).len()), (1, 0, 0));
        window.truncate_to(1);
        assert_eq!((window.start(), window.end()), (1, 1));
        window.skip_to(9);
        assert!(matches!(window.look(8), Lookup::Overwritten) && matches!(window.look(9), Lookup::NotYet));
        assert_eq!((window.start(), window.end()), (9, 9));
    }

    #[test]
    fn a_reader_sees_each_event_in_order_or_knows_that_it_came_too_late() {
        let window = Window::new(64);
        const EVENTS: u64 = 20_000;
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..EVENTS {
                    window.put(number, event(number));
                    window.ring();
                }
            });
            let mut next = 0;
            while next < EVENTS {
                match window.look(next) {
                    Lookup::Kept(kept) => {
                        assert_eq!(kept.payload(), next.to_le_bytes());
                        next += 1;
                    }
                    Lookup::Overwritten => next = window.start().max(next + 1),
                    // For ever, if the bell were not rung.
                    Lookup::NotYet => window.wait_past(next, Duration::MAX / 4),
                }
            }
        });
    }
}
