//! A number that grows, and one that goes up and down.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// How often something has happened.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// `count` more.
    pub fn add(&self, count: u64) {
        // Relaxed, here and below: a metric publishes nothing but itself.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How often so far.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins again at 0.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// How many there are at the moment.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// `change` more, or fewer.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// How many now.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
