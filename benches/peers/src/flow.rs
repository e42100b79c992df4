//! A flow of events: who publishes how many to whom.

use std::fmt;

/// As many events as fit through a ring.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    pub shape: Shape,
    pub producers: u64,
    /// Whether the ring is of the kind that takes any number of producers.
    pub is_shared: bool,
    /// The events of one publication.
    pub batch: u64,
    /// Whether handlers take slices, where a peer has them.
    pub is_sliced: bool,
    /// The events of one lap, from all producers together.
    pub events: u64,
    /// The slots of the ring, and the capacity of every channel.
    pub capacity: usize,
    /// The 8-byte words of an event: 1, 8, 32 or 128.
    pub words: usize,
}

/// The consumers, each of which sees every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Unicast,
    /// So many side by side.
    Multicast(usize),
    /// So many one behind the other.
    Pipeline(usize),
    /// Two side by side, and one behind both.
    Diamond,
}

impl Shape {
    pub fn consumers(self) -> usize {
        match self {
            Self::Unicast => 1,
            Self::Multicast(consumers) | Self::Pipeline(consumers) => consumers,
            Self::Diamond => 3,
        }
    }

    /// By consumer, those that it follows; the others follow the producers.
    pub fn follows(self) -> Vec<Vec<usize>> {
        match self {
            Self::Unicast => vec![vec![]],
            Self::Multicast(consumers) => vec![vec![]; consumers],
            Self::Pipeline(stages) => {
                (0..stages).map(|stage| (stage.saturating_sub(1)..stage).collect()).collect()
            }
            Self::Diamond => vec![vec![], vec![], vec![0, 1]],
        }
    }
}

impl Flow {
    /// What each producer has to publish.
    pub fn share(&self) -> Share {
        Share { values: self.events / self.producers, batch: self.batch }
    }

    /// The sum of all words. Since no value is 0, the last event is the one that reaches it.
    pub fn sum(&self) -> u64 {
        let Share { values, .. } = self.share();
        self.producers * (values * (values + 1) / 2) * self.words as u64
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_shared { "multi-producer" } else { "single-producer" };
        let Self { producers, batch, events, capacity, .. } = self;
        let shape = match self.shape {
            Shape::Unicast => "one consumer".to_owned(),
            Shape::Multicast(consumers) => format!("{consumers} consumers side by side"),
            Shape::Pipeline(stages) => format!("{stages} consumers in a row"),
            Shape::Diamond => "two consumers side by side and one behind both".to_owned(),
        };
        let slices = if self.is_sliced { " in slices" } else { "" };
        write!(
            f,
            "{events} events of {} bytes, {kind} ring of {capacity}, {producers} publishing {batch} at a time to \
             {shape}{slices}",
            8 * self.words
        )
    }
}

/// What one producer publishes: the values 1, 2, 3 and so on, in batches of one size.
#[derive(Clone, Copy)]
pub struct Share {
    pub values: u64,
    pub batch: u64,
}

impl Share {
    /// Half open, since the closed form would cost each event a few instructions more.
    pub fn singles(self) -> impl Iterator<Item = u64> {
        1..self.values + 1
    }

    /// The first value of each batch.
    pub fn batches(self) -> impl Iterator<Item = u64> {
        (0..self.values / self.batch).map(move |number| number * self.batch + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn every_shape_says_whom_its_consumers_follow() {
        let check = |shape: Shape, follows: &[&[usize]]| {
            assert_eq!(shape.follows(), follows);
            assert_eq!(shape.consumers(), follows.len());
        };
        check(Shape::Unicast, &[&[]]);
        check(Shape::Multicast(2), &[&[], &[]]);
        check(Shape::Pipeline(3), &[&[], &[0], &[1]]);
        check(Shape::Diamond, &[&[], &[], &[0, 1]]);
    }
}
