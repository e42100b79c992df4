//! How large the batches are that our consumers get, counted in a lap of its own, without a clock.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use badbatch::disruptor::Observer;

/// By power of two, the batches of at least so many events and fewer than twice as many.
pub type Counts = [u64; 32];

/// Counts one consumer's batches, and adds them to those of the others at the end.
#[derive(Clone)]
pub struct BatchSizes {
    counts: Counts,
    total: Arc<Mutex<Counts>>,
}

impl BatchSizes {
    pub fn new(total: &Arc<Mutex<Counts>>) -> Self {
        Self { counts: Counts::default(), total: Arc::clone(total) }
    }
}

impl Observer for BatchSizes {
    fn batch_ends(&mut self, sequences: &Range<u64>) {
        let size = sequences.end - sequences.start;
        self.counts[size.max(1).ilog2() as usize % self.counts.len()] += 1;
    }
}

impl Drop for BatchSizes {
    fn drop(&mut self) {
        let mut total = self.total.lock().expect("nobody panics");
        total.iter_mut().zip(self.counts).for_each(|(total, count)| *total += count);
    }
}

/// `1: 25 %, 2 to 3: 75 %`, without the sizes that are rarer than one in a hundred.
pub fn shares(counts: &Counts) -> String {
    let total: u64 = counts.iter().sum();
    let share = |(power, &count): (usize, &u64)| {
        let percent = 100.0 * count as f64 / total.max(1) as f64;
        let (least, most) = (1_u64 << power, (2_u64 << power) - 1);
        let sizes = if power == 0 { "1".to_owned() } else { format!("{least} to {most}") };
        (percent >= 1.0).then(|| format!("{sizes}: {percent:.0} %"))
    };
    counts.iter().enumerate().filter_map(share).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{Counts, shares};

    #[test]
    fn shares_name_the_sizes_and_leave_out_the_rare_ones() {
        let mut counts = Counts::default();
        (counts[0], counts[1], counts[10], counts[11]) = (250, 500, 250, 1);
        assert_eq!(shares(&counts), "1: 25 %, 2 to 3: 50 %, 1024 to 2047: 25 %");
        assert_eq!(shares(&Counts::default()), "");
    }
}
