//! What a stage measures about itself, and the table made of it.

use std::fmt::Write;
use std::time::Duration;

/// Durations in buckets that are at most 1/32 of their value wide: 15 KiB for every `u64` of
/// nanoseconds, and no allocation after the start.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

const STEP_BITS: u32 = 5;
const STEPS: u64 = 1 << STEP_BITS;
/// One run of steps for the values below `STEPS`, and one for each higher power of two.
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) << STEP_BITS;

impl Histogram {
    pub fn record(&mut self, value: Duration) {
        let ns = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        let shift = (ns | STEPS).ilog2() - STEP_BITS;
        self.buckets[((u64::from(shift) << STEP_BITS) + (ns >> shift)) as usize] += 1;
        self.count += 1;
    }

    /// What `permille` of 1000 values do not exceed, and at most a bucket more; 0 without values.
    pub fn percentile(&self, permille: u64) -> Duration {
        let rank = (self.count * permille).div_ceil(1000);
        let mut seen = 0;
        let index = self.buckets.iter().position(|&count| {
            seen += count;
            count > 0 && seen >= rank
        });
        let Some(index) = index else {
            return Duration::ZERO;
        };
        let shift = (index >> STEP_BITS).saturating_sub(1);
        let next_step = (index - (shift << STEP_BITS)) as u64 + 1;
        Duration::from_nanos((next_step << shift).wrapping_sub(1))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

/// Batches as they reached a stage, and how long after its publication each event left it.
#[derive(Clone, Debug, Default)]
pub struct StageStats {
    batches: u64,
    batch_max: u64,
    latency: Histogram,
}

impl StageStats {
    pub fn batch(&mut self, size: u64) {
        self.batches += 1;
        self.batch_max = self.batch_max.max(size);
    }

    pub fn event(&mut self, latency: Duration) {
        self.latency.record(latency);
    }

    pub fn events(&self) -> u64 {
        self.latency.count
    }
}

/// One line per stage.
pub fn table(stages: &[(&str, &StageStats)]) -> String {
    let mut text =
        String::from("stage     batches  mean batch  max batch      p50 us      p99 us    p99.9 us\n");
    for (name, stats) in stages {
        let (batches, max) = (stats.batches, stats.batch_max);
        let mean = stats.events() as f64 / batches.max(1) as f64;
        let [p50, p99, p999] =
            [500, 990, 999].map(|permille| stats.latency.percentile(permille).as_nanos() as f64 / 1000.0);
        writeln!(text, "{name:<8}{batches:>9}{mean:>12.1}{max:>11}{p50:>12.1}{p99:>12.1}{p999:>12.1}")
            .expect("a String takes every write");
    }
    text
}
