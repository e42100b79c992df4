//! The event and the four stages that it passes through.
//!
//! Parsing fills the event, so it takes `&mut Event` and everything else waits for it. The journal
//! and the book only read the event, so they run at the same time, each with a state of its own.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use badbatch::disruptor::{EventContext, HandlerError};
use badbatch::{EventHandler, EventHandlerMut, TryEventHandler};

use super::book::Book;
use super::input::{InputError, Step};
use super::lobster::{Level, Message, Price, Top, parse_message};
use super::report::StageStats;

/// Valid messages have at most 85 bytes: 15 of time, 20 for each of three 64-bit numbers, and the
/// rest. So the vectors of the events never grow, but for a line that stops the run anyway.
const LINE_BYTES: usize = 96;

/// One message on its way. All events are made before the start and used again and again.
pub struct Event {
    line: Vec<u8>,
    reference: Option<Top>,
    published: Instant,
    message: Result<Message, String>,
    top: TopCell,
}

impl Event {
    pub fn new() -> Self {
        Self {
            line: Vec::with_capacity(LINE_BYTES),
            reference: None,
            published: Instant::now(),
            message: Err(String::new()),
            top: TopCell::default(),
        }
    }

    /// What the publisher does to an event; the stages overwrite the rest.
    pub fn fill(&mut self, step: &Step) {
        self.line.clear();
        self.line.extend_from_slice(&step.line);
        self.reference = step.reference;
        self.published = Instant::now();
    }
}

/// A top of book which the book stage writes through the `&Event` that it shares with the journal.
///
/// Relaxed suffices: the journal does not look at these fields, and before the last stage reads
/// them it has acquired the sequence that the book stage released after writing them.
#[derive(Default)]
struct TopCell([AtomicU64; 4]);

impl TopCell {
    fn store(&self, Top { bid, ask }: Top) {
        let numbers = [bid.price.0, bid.size, ask.price.0, ask.size];
        for (cell, number) in self.0.iter().zip(numbers) {
            cell.store(number, Ordering::Relaxed);
        }
    }

    fn load(&self) -> Top {
        let level = |price: &AtomicU64, size: &AtomicU64| Level {
            price: Price(price.load(Ordering::Relaxed)),
            size: size.load(Ordering::Relaxed),
        };
        let [bid_price, bid_size, ask_price, ask_size] = &self.0;
        Top { bid: level(bid_price, bid_size), ask: level(ask_price, ask_size) }
    }
}

/// What the stages leave behind. A handler belongs to its thread and ends with it, so each puts its
/// results here in `on_shutdown`, where the main thread finds them after `Disruptor::shutdown`.
#[derive(Default)]
pub struct Results {
    pub parse: OnceLock<StageStats>,
    pub journal: OnceLock<StageStats>,
    pub book: OnceLock<(StageStats, Book)>,
    pub publish: OnceLock<(StageStats, Quotes)>,
}

/// Turns the line into a message, or into the reason why it is none.
pub struct Parse {
    pub stats: StageStats,
    pub results: Arc<Results>,
}

impl EventHandlerMut<Event> for Parse {
    fn on_event(&mut self, event: &mut Event, _sequence: u64, _end_of_batch: bool) {
        event.message = parse_message(&event.line);
        self.stats.event(event.published.elapsed());
    }

    fn on_batch_start(&mut self, size: u64, _depth: u64) {
        self.stats.batch(size);
    }

    fn on_shutdown(&mut self) {
        let _ = self.results.parse.set(self.stats.clone());
    }
}

/// Writes the lines to a file as they came. This is the stage that may fail, and its error stops
/// all stages: a line that is no message, like a full disk, ends the run and not only the journal.
pub struct Journal {
    pub file: BufWriter<File>,
    /// Where the lines come from, for the error.
    pub source: PathBuf,
    pub stats: StageStats,
    pub results: Arc<Results>,
}

impl TryEventHandler<Event> for Journal {
    fn on_event(&mut self, event: &Event, context: &mut EventContext) -> Result<(), HandlerError> {
        if let Err(fault) = &event.message {
            let (path, line) = (self.source.clone(), context.sequence() + 1);
            return Err(InputError { path, line, fault: fault.clone() }.into());
        }
        self.file.write_all(&event.line)?;
        // At most one write to the system per batch: the busier the ring, the fewer per event.
        if context.is_end_of_batch() {
            self.file.flush()?;
        }
        self.stats.event(event.published.elapsed());
        Ok(())
    }

    fn on_batch_start(&mut self, size: u64, _depth: u64) {
        self.stats.batch(size);
    }

    fn on_shutdown(&mut self) -> Result<(), HandlerError> {
        let _ = self.results.journal.set(self.stats.clone());
        Ok(())
    }
}

/// Rebuilds the order book.
pub struct Rebuild {
    pub book: Book,
    /// Whether the book is already as it was after the first message.
    pub seeded: bool,
    pub stats: StageStats,
    pub results: Arc<Results>,
}

impl EventHandler<Event> for Rebuild {
    fn on_event(&mut self, event: &Event, sequence: u64, _end_of_batch: bool) {
        match &event.message {
            Ok(message) if sequence > 0 || !self.seeded => self.book.apply(message),
            // The journal stops the run at a line that is no message.
            _ => {}
        }
        event.top.store(self.book.top());
        self.stats.event(event.published.elapsed());
    }

    fn on_batch_start(&mut self, size: u64, _depth: u64) {
        self.stats.batch(size);
    }

    fn on_shutdown(&mut self) {
        let _ = self.results.book.set((self.stats.clone(), self.book.clone()));
    }
}

/// What a subscriber would have seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quotes {
    last: Top,
    /// How often the top of the book changed.
    pub changes: u64,
    /// Messages whose top of book is known from elsewhere, and those where it is the same.
    pub compared: u64,
    pub matching: u64,
}

/// Publishes the top of the book, once both the journal and the book are done with the message.
pub struct Publish {
    pub quotes: Quotes,
    pub stats: StageStats,
    pub results: Arc<Results>,
}

impl EventHandler<Event> for Publish {
    fn on_event(&mut self, event: &Event, _sequence: u64, _end_of_batch: bool) {
        let top = event.top.load();
        self.quotes.changes += u64::from(top != self.quotes.last);
        self.quotes.last = top;
        self.quotes.compared += u64::from(event.reference.is_some());
        self.quotes.matching += u64::from(event.reference == Some(top));
        self.stats.event(event.published.elapsed());
    }

    fn on_batch_start(&mut self, size: u64, _depth: u64) {
        self.stats.batch(size);
    }

    fn on_shutdown(&mut self) {
        let _ = self.results.publish.set((self.stats.clone(), self.quotes));
    }
}
