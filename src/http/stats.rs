//! What requests there were, by route.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::routes::ROUTES;
use crate::metrics::Histogram;

/// Counts of requests.
#[derive(Debug)]
pub struct RequestStats {
    /// By route and status; the last place is for what has no route.
    counts: Mutex<BTreeMap<(usize, u16), u64>>,
    durations: Vec<Histogram>,
}

impl RequestStats {
    pub fn new() -> Self {
        Self { counts: Mutex::default(), durations: ROUTES.iter().map(|_| Histogram::default()).collect() }
    }

    /// Counts a request; `route` is its place in the table.
    pub fn record(&self, route: Option<usize>, status: u16, took: Duration) {
        *self.counts.lock().entry((route.unwrap_or(ROUTES.len()), status)).or_default() += 1;
        if let Some(route) = route {
            self.durations[route].record(took);
        }
    }

    /// Each method, path and status, and how often it was.
    pub fn counts(&self) -> Vec<(&'static str, &'static str, u16, u64)> {
        let named = |(&(route, status), &count): (&(usize, u16), &u64)| match ROUTES.get(route) {
            Some(route) => (route.method, route.path, status, count),
            None => ("other", "none", status, count),
        };
        self.counts.lock().iter().map(named).collect()
    }

    /// How long requests took, by method and path; only of those that there were.
    pub fn durations(&self) -> Vec<(&'static str, &'static str, crate::metrics::Snapshot)> {
        let seen = ROUTES.iter().zip(&self.durations);
        let seen = seen.map(|(route, durations)| (route.method, route.path, durations.snapshot()));
        seen.filter(|(.., durations)| durations.count() > 0).collect()
    }
}
