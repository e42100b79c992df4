//! The visible order book as shares per price.
//!
//! A replay that starts in the middle of a day does not know the orders that rest already, only
//! the levels they add up to. So the book keeps no order ids: every message names its price, and
//! that is enough.

use std::collections::BTreeMap;

use super::lobster::{Kind, Level, Message, Price, Side, Top};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    bids: BTreeMap<Price, u64>,
    asks: BTreeMap<Price, u64>,
}

impl Book {
    /// The book that a row of an order-book file describes, as far down as the row reaches.
    pub fn from_row(row: &[Top]) -> Self {
        let mut book = Self::default();
        for top in row {
            book.add(Side::Buy, top.bid.price, top.bid.size);
            book.add(Side::Sell, top.ask.price, top.ask.size);
        }
        book
    }

    pub fn apply(&mut self, message: &Message) {
        let (side, price, size) = (message.side, message.price, message.size);
        match message.kind {
            Kind::Add => self.add(side, price, size),
            Kind::Cancel | Kind::Delete | Kind::Execution => self.reduce(side, price, size),
            Kind::HiddenExecution => {}
        }
    }

    pub fn top(&self) -> Top {
        let level = |(&price, &size)| Level { price, size };
        Top {
            bid: self.bids.last_key_value().map(level).unwrap_or_default(),
            ask: self.asks.first_key_value().map(level).unwrap_or_default(),
        }
    }

    fn add(&mut self, side: Side, price: Price, size: u64) {
        if size > 0 {
            let level = self.side(side).entry(price).or_default();
            // A file can hold any number; one that overflows must not stop the program.
            *level = level.saturating_add(size);
        }
    }

    /// A level that is not there lies deeper than the seed reached: nothing is known about it, so
    /// nothing is taken from it.
    fn reduce(&mut self, side: Side, price: Price, size: u64) {
        let levels = self.side(side);
        if let Some(level) = levels.get_mut(&price) {
            *level = level.saturating_sub(size);
            if *level == 0 {
                levels.remove(&price);
            }
        }
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<Price, u64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
