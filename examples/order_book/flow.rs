//! A made-up but valid order flow, so that the example runs without a data set.
//!
//! The flow knows every live order, and finds the best prices by looking at all of them. That is
//! plain, and nothing like the levels of [`super::book`], so it can serve as their reference.

use badbatch::base::rng::Rng;

use super::book::Book;
use super::input::{InputError, Step};
use super::lobster::{Kind, Level, Message, Price, Side, Top};

/// Live orders: enough that levels hold several, few enough to search at every message.
const ORDERS_MIN: usize = 16;
const ORDERS_MAX: usize = 96;
const SIZES: [u64; 5] = [18, 100, 100, 200, 320];
/// One cent, the smallest step between two prices.
const TICK: u64 = 100;
/// A new order lies at most this many ticks from the middle.
const DEPTH_TICKS: u64 = 20;
/// The middle of the first prices, which wander off, but not as far as `WANDER`.
const MIDDLE: u64 = 5_850_000;
const WANDER: u64 = 1_000_000;
/// 09:30 in New York.
const OPENING_NS: u64 = 34_200_000_000_000;
/// In the mean, half of this spreads five million messages over the 6.5 hours of a trading day.
const PAUSE_NS_MAX: u64 = 9_000_000;

pub struct Flow {
    rng: Rng,
    remaining: u64,
    time_ns: u64,
    middle: u64,
    last_id: u64,
    /// The additions, with what is left of their sizes.
    orders: Vec<Message>,
    top: Top,
}

impl Flow {
    pub fn new(seed: u64, messages: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            remaining: messages,
            time_ns: OPENING_NS,
            middle: MIDDLE,
            last_id: 0,
            orders: Vec::with_capacity(ORDERS_MAX),
            top: Top::default(),
        }
    }

    /// The book as it must be after the messages so far.
    pub fn book(&self) -> Book {
        let mut book = Book::default();
        self.orders.iter().for_each(|order| book.apply(order));
        book
    }

    /// Decides what happens next, each kind about as often as on a real morning.
    fn step(&mut self) -> Message {
        self.time_ns += self.rng.below(PAUSE_NS_MAX);
        match self.rng.below(32) {
            0 if self.middle < MIDDLE + WANDER => self.middle += TICK,
            1 if self.middle > MIDDLE - WANDER => self.middle -= TICK,
            _ => {}
        }
        let any = self.rng.below(self.orders.len() as u64) as usize;
        let message = match self.rng.below(100) {
            _ if self.orders.len() < ORDERS_MIN => self.add(),
            0..46 if self.orders.len() < ORDERS_MAX => self.add(),
            46..50 => self.cancel(any),
            86..95 => self.execute(self.orders[any].side),
            95.. => self.message(Kind::HiddenExecution, 0, self.middle, self.orders[any].side),
            _ => self.take(Kind::Delete, any, u64::MAX),
        };
        match message.side {
            Side::Buy => self.top.bid = self.best(Side::Buy),
            Side::Sell => self.top.ask = self.best(Side::Sell),
        }
        message
    }

    /// Adds an order that cannot trade at once: LOBSTER shows such an order as executions instead.
    fn add(&mut self) -> Message {
        // The smaller of two draws puts more orders near the middle than far from it.
        let ticks = self.rng.below(DEPTH_TICKS).min(self.rng.below(DEPTH_TICKS)) + 1;
        let (side, price) = match (self.rng.below(2), self.top.ask.price.0) {
            (0, 0) => (Side::Buy, self.middle - ticks * TICK),
            (0, ask) => (Side::Buy, (self.middle - ticks * TICK).min(ask - TICK)),
            _ => (Side::Sell, (self.middle + ticks * TICK).max(self.top.bid.price.0 + TICK)),
        };
        self.last_id += 1;
        let order = self.message(Kind::Add, self.last_id, price, side);
        self.orders.push(order);
        order
    }

    fn cancel(&mut self, index: usize) -> Message {
        let size = self.orders[index].size;
        let part = 1 + self.rng.below(size);
        let kind = if part < size { Kind::Cancel } else { Kind::Delete };
        self.take(kind, index, part)
    }

    /// Trades against the oldest order at the best price, about every other time all of it.
    fn execute(&mut self, side: Side) -> Message {
        let rank = |&index: &usize| {
            let order = &self.orders[index];
            (order.side != side, distance(side, order.price), order.order_id)
        };
        let index = (0..self.orders.len()).min_by_key(rank).expect("there are ORDERS_MIN");
        let part = 1 + self.rng.below(2 * self.orders[index].size);
        self.take(Kind::Execution, index, part)
    }

    fn take(&mut self, kind: Kind, index: usize, part: u64) -> Message {
        let order = &mut self.orders[index];
        let size = part.min(order.size);
        let taken = Message { time_ns: self.time_ns, kind, size, ..*order };
        order.size -= size;
        if order.size == 0 {
            self.orders.swap_remove(index);
        }
        taken
    }

    fn message(&mut self, kind: Kind, order_id: u64, price: u64, side: Side) -> Message {
        let size = SIZES[self.rng.below(SIZES.len() as u64) as usize];
        Message { time_ns: self.time_ns, kind, order_id, size, price: Price(price), side }
    }

    fn best(&self, side: Side) -> Level {
        let on_side = || self.orders.iter().filter(|order| order.side == side);
        let prices = on_side().map(|order| order.price);
        let price = prices.min_by_key(|&price| distance(side, price)).unwrap_or_default();
        let size = on_side().filter(|order| order.price == price).map(|order| order.size).sum();
        Level { price, size }
    }
}

impl Iterator for Flow {
    type Item = Result<Step, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let line = format!("{}\n", self.step()).into_bytes();
        Some(Ok(Step { line, reference: Some(self.top) }))
    }
}

/// Smaller for a better price: a buyer's is better when higher, a seller's when lower.
const fn distance(side: Side, price: Price) -> u64 {
    match side {
        Side::Buy => u64::MAX - price.0,
        Side::Sell => price.0,
    }
}
