//! How durations are distributed, at a fixed cost in memory and a fixed relative error.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets per power of two. A value is told wrong by at most 1/16 of itself.
const STEPS: u64 = 16;
/// Powers of two above the first 16 nanoseconds: up to 2^40 ns, 18 minutes, which also holds what is longer.
const OCTAVES: u64 = 36;
const BUCKETS: usize = (STEPS * (OCTAVES + 1)) as usize;

/// A log-linear histogram of durations in nanoseconds.
///
/// Shape: 16 buckets per power of two, from 1 ns to 18 minutes, in 4.7 KiB; longer durations count as that long.
/// Any thread records, with two relaxed additions. Source: the layout of HdrHistogram (Tene), with 4 bits.
#[derive(Debug)]
pub struct Histogram {
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed, here and below: the numbers stand for themselves, and a snapshot may be amid a record.
        self.counts[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Forgets what has been counted.
    pub fn reset(&self) {
        self.counts.iter().chain([&self.sum]).for_each(|number| number.store(0, Ordering::Relaxed));
    }

    /// What has been counted so far.
    pub fn snapshot(&self) -> Snapshot {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Snapshot {
            count: counts.iter().sum(),
            counts,
            sum: Duration::from_nanos(self.sum.load(Ordering::Relaxed)),
        }
    }
}

/// What a [`Histogram`] held at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    counts: Vec<u64>,
    count: u64,
    sum: Duration,
}

impl Snapshot {
    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All durations together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The mean; zero if nothing was counted.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.sum.as_nanos() as u64).checked_div(self.count).unwrap_or(0))
    }

    /// The duration below which this share of all lies, `0.99` for instance; zero if nothing was counted.
    pub fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.count as f64).ceil().max(1.0) as u64;
        let mut passed = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return Duration::from_nanos(upper_bound(bucket));
            }
        }
        Duration::ZERO
    }

    /// How many were at most this long, to within a bucket.
    pub fn count_up_to(&self, bound: Duration) -> u64 {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        let within = self.counts.iter().enumerate().take_while(|(bucket, _)| upper_bound(*bucket) <= bound);
        within.map(|(_, count)| count).sum()
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    // The highest four bits after the leading one tell the step, the others the octave.
    let octave = u64::from(nanos.ilog2() - STEPS.ilog2());
    let step = (nanos >> octave) - STEPS;
    ((STEPS * (octave + 1) + step) as usize).min(BUCKETS - 1)
}

/// The largest number of nanoseconds in a bucket.
fn upper_bound(bucket: usize) -> u64 {
    let (row, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    match row.checked_sub(1) {
        None => step,
        Some(octave) => ((STEPS + step + 1) << octave) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, bucket, upper_bound};
    use std::time::Duration;

    #[test]
    fn every_duration_falls_into_the_bucket_that_ends_above_it() {
        for nanos in (0..70).flat_map(|shift| [0, 1, 3].map(|add| (1_u64 << (shift % 40)) + add)) {
            let place = bucket(nanos);
            assert!(upper_bound(place) >= nanos && (place == 0 || upper_bound(place - 1) < nanos), "{nanos}");
            assert!(upper_bound(place) - nanos <= nanos / 16, "{nanos}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_and_bounds_agree_with_what_was_recorded() {
        let histogram = Histogram::default();
        (1..=1000).for_each(|micros| histogram.record(Duration::from_micros(micros)));
        let seen = histogram.snapshot();
        assert_eq!((seen.count(), seen.sum()), (1000, Duration::from_micros(500_500)));
        for share in [0.5, 0.99, 1.0] {
            let (exact, told) = (share * 1e6, seen.quantile(share).as_nanos() as f64);
            assert!((exact..=exact * 1.0625).contains(&told), "{share}: {told}");
        }
        assert!((470..=500).contains(&seen.count_up_to(Duration::from_micros(500))));
        assert_eq!(Histogram::default().snapshot().quantile(0.5), Duration::ZERO);
    }
}
