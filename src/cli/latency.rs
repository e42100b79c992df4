//! How latencies are distributed, to three significant digits.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Latencies in nanoseconds.
///
/// Shape: 270 KiB; what is longer than an hour counts as an hour, save in the maximum, which is exact.
pub struct Latency {
    histogram: Histogram<u64>,
    max: u64,
}

const NANOS_MAX: u64 = 3_600_000_000_000;
const DIGITS: u8 = 3;

impl Default for Latency {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, NANOS_MAX, DIGITS);
        Self { histogram: histogram.expect("the bounds are in order and few digits are asked for"), max: 0 }
    }
}

impl Latency {
    pub fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
        self.max = self.max.max(nanos);
    }

    /// Counts what another one has counted, too.
    pub fn add(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all have the same bounds");
        self.max = self.max.max(other.max);
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency below which this share of all lies; 0 if there is none.
    pub fn quantile(&self, share: f64) -> u64 {
        self.histogram.value_at_quantile(share).min(self.max)
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// What is told of a run.
    pub fn to_json(&self) -> Value {
        json!({
            "count": self.count(),
            "p50_nanos": self.quantile(0.5),
            "p90_nanos": self.quantile(0.9),
            "p99_nanos": self.quantile(0.99),
            "p999_nanos": self.quantile(0.999),
            "max_nanos": self.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Latency;

    #[test]
    fn quantiles_have_three_digits_and_the_maximum_all() {
        let (mut latency, mut other) = (Latency::default(), Latency::default());
        (1..=900).for_each(|micros| latency.record(micros * 1000));
        (901..=1000).for_each(|micros| other.record(micros * 1000));
        other.record(7_654_321);
        latency.add(&other);
        assert_eq!((latency.count(), latency.max()), (1001, 7_654_321));
        for (share, exact) in [(0.5, 501_000.0), (0.9, 901_000.0), (0.99, 991_000.0)] {
            let told = latency.quantile(share) as f64;
            assert!((exact..=exact * 1.001).contains(&told), "{share}: {told}");
        }
        assert_eq!(latency.quantile(1.0), 7_654_321);
        assert_eq!(Latency::default().quantile(0.5), 0);
        latency.record(u64::MAX);
        assert_eq!(latency.max(), u64::MAX);
    }
}
