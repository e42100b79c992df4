//! Sets of CPUs, in the notation of Linux: "0-3,8,10-11".

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::cpu::CpuId;

/// A set of CPUs, in order.
///
/// Text: the list format of Linux, as in `cpuset(7)`: numbers and ranges with commas in between. The empty
/// text is the empty set.
///
/// ```
/// use badbatch::base::cpu::CpuId;
/// use badbatch::base::cpu_set::CpuSet;
///
/// let cpus: CpuSet = "0-3,8".parse()?;
/// assert_eq!(cpus.len(), 5);
/// assert!(cpus.contains(CpuId(8)));
/// assert_eq!(cpus.to_string(), "0-3,8");
/// # Ok::<(), badbatch::base::cpu_set::CpuListError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuSet {
    /// By CPU a bit, the lowest first. The last word is not 0, so that equal sets are equal.
    words: Vec<u64>,
}

/// Why a text is no list of CPUs.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CpuListError {
    /// A part between two commas is neither a number nor a range.
    #[error("`{part}` is neither a CPU nor a range of CPUs such as 0-3")]
    NotARange {
        /// The part.
        part: String,
    },
    /// A range ends before it starts.
    #[error("the range `{part}` ends before it starts")]
    Backwards {
        /// The range.
        part: String,
    },
    /// A number is larger than any system's.
    #[error("CPU {cpu} is beyond the largest number, {max}")]
    TooLarge {
        /// The number.
        cpu: u32,
        /// The largest number.
        max: u32,
    },
}

impl CpuSet {
    /// The largest number that a set takes: eight times the most that Linux can be built for.
    pub const CPU_MAX: CpuId = CpuId(65_535);

    /// The empty set.
    pub const fn new() -> Self {
        Self { words: Vec::new() }
    }

    /// Adds a CPU; false if its number is above [`CPU_MAX`](Self::CPU_MAX).
    pub fn insert(&mut self, cpu: CpuId) -> bool {
        if cpu > Self::CPU_MAX {
            return false;
        }
        let (word, bit) = Self::place(cpu);
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
        true
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, cpu: CpuId) -> bool {
        let (word, bit) = Self::place(cpu);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many CPUs are in the set.
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The CPUs, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        let bits = |word: u64| (0..64).filter(move |bit| word & (1 << bit) != 0);
        (0..)
            .zip(&self.words)
            .flat_map(move |(index, &word)| bits(word).map(move |bit| CpuId(64 * index + bit)))
    }

    /// The CPU with the lowest number.
    pub fn first(&self) -> Option<CpuId> {
        self.iter().next()
    }

    /// The CPUs that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let len = self.words.len().max(other.words.len());
        self.combine(other, len, |one, two| one | two)
    }

    /// The CPUs that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, self.words.len(), |one, two| one & two)
    }

    /// The CPUs that are in this set and not in the other.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, self.words.len(), |one, two| one & !two)
    }

    /// From words with a bit for each CPU, the lowest first. Leaves out what is beyond the largest number.
    pub(crate) fn from_words(words: Vec<u64>) -> Self {
        let mut set = Self { words };
        set.words.truncate(Self::CPU_MAX.0 as usize / 64 + 1);
        while set.words.last() == Some(&0) {
            set.words.pop();
        }
        set
    }

    fn combine(&self, other: &Self, len: usize, combine: impl Fn(u64, u64) -> u64) -> Self {
        let word = |set: &Self, index| set.words.get(index).copied().unwrap_or(0);
        Self::from_words((0..len).map(|index| combine(word(self, index), word(other, index))).collect())
    }

    /// The index of the CPU's word, and its bit there.
    fn place(CpuId(cpu): CpuId) -> (usize, u64) {
        (cpu as usize / 64, 1 << (cpu % 64))
    }
}

impl FromIterator<CpuId> for CpuSet {
    /// Leaves out numbers above [`CPU_MAX`](Self::CPU_MAX).
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        let mut set = Self::new();
        cpus.into_iter().for_each(|cpu| {
            set.insert(cpu);
        });
        set
    }
}

impl From<CpuId> for CpuSet {
    fn from(cpu: CpuId) -> Self {
        [cpu].into_iter().collect()
    }
}

impl FromStr for CpuSet {
    type Err = CpuListError;

    fn from_str(list: &str) -> Result<Self, CpuListError> {
        let mut set = Self::new();
        let list = list.trim();
        let parts = list.split(',').map(str::trim).filter(|_| !list.is_empty());
        for part in parts {
            let not_a_range = || CpuListError::NotARange { part: part.to_owned() };
            let number = |text: &str| {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<u32>().ok().filter(|_| digits).ok_or_else(not_a_range)
            };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(CpuListError::Backwards { part: part.to_owned() });
            }
            if CpuId(last) > Self::CPU_MAX {
                return Err(CpuListError::TooLarge { cpu: last, max: Self::CPU_MAX.0 });
            }
            (first..=last).for_each(|cpu| {
                set.insert(CpuId(cpu));
            });
        }
        Ok(set)
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().map(|cpu| cpu.0).peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|&next| next == last + 1) {
                last = next;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuId, CpuSet};

    fn set(list: &str) -> CpuSet {
        list.parse().expect("the list is well formed")
    }

    #[test]
    fn lists_are_printed_in_their_shortest_form() {
        let check = |list: &str, printed: &str| assert_eq!(set(list).to_string(), printed);
        check("", "");
        check("\n", "");
        check("0", "0");
        check("0-3,8,10-11\n", "0-3,8,10-11");
        check("3,2,1,0", "0-3");
        check("63-64, 1023", "63-64,1023");
        check("7-7", "7");
        check("65535", "65535");
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_part_that_is_wrong() {
        let check = |list: &str, message: &str| {
            assert_eq!(list.parse::<CpuSet>().expect_err(list).to_string(), message);
        };
        let range = |part: &str| format!("`{part}` is neither a CPU nor a range of CPUs such as 0-3");
        check("0,,1", &range(""));
        check("a", &range("a"));
        check("1,-3", &range("-3"));
        check("+1", &range("+1"));
        check("1-2-3", &range("1-2-3"));
        check("99999999999", &range("99999999999"));
        check("3-1", "the range `3-1` ends before it starts");
        check("0-4294967295", "CPU 4294967295 is beyond the largest number, 65535");
    }

    #[test]
    fn sets_are_combined_whatever_their_lengths() {
        let (low, high) = (set("0-3"), set("2-3,100"));
        assert_eq!(low.union(&high), set("0-3,100"));
        assert_eq!(low.intersection(&high), set("2-3"));
        assert_eq!(high.intersection(&low), set("2-3"));
        assert_eq!(high.difference(&low), set("100"));
        assert_eq!(low.difference(&low), CpuSet::new());
    }

    #[test]
    fn a_number_beyond_the_largest_is_not_taken() {
        let mut cpus = CpuSet::new();
        assert!(!cpus.insert(CpuId(65_536)) && cpus.is_empty());
        assert!(!cpus.contains(CpuId(u32::MAX)));
        assert!(cpus.insert(CpuSet::CPU_MAX) && cpus.len() == 1);
    }
}
