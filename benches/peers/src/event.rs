//! What goes through the rings.

/// So many words, all of which hold one value: it is written and read in full.
#[derive(Clone, Copy)]
pub struct Event<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Event<WORDS> {
    #[inline]
    pub fn new(value: u64) -> Self {
        Self([value; WORDS])
    }

    #[inline]
    pub fn write(&mut self, value: u64) {
        self.0 = [value; WORDS];
    }

    #[inline]
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}
