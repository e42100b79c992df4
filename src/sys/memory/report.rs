//! Where memory really lies.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::cpu::NumaNodeId;
use crate::sys::topology::Bytes;

/// Where the memory of a ring lies, as the system says when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryReport {
    /// The slots.
    pub slots: Extent,
    /// The sequences of producers and consumers.
    pub sequences: Extent,
    /// What was preferred and could not be had, with the reasons.
    pub compromises: Vec<String>,
}

/// Some memory. What else lies in the same pages is counted with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extent {
    /// Its size.
    pub bytes: u64,
    /// The size of its pages in bytes; of transparent huge pages, the size of the parts they consist of.
    pub page_size: u64,
    /// The number of pages on each node.
    pub pages: BTreeMap<NumaNodeId, u64>,
    /// The number of pages without memory, which they get when they are first written, and of those whose
    /// place the system does not tell.
    pub pages_absent: u64,
    /// The bytes in transparent huge pages.
    pub transparent: u64,
    /// The bytes that are never swapped out.
    pub locked: u64,
}

impl fmt::Display for MemoryReport {
    /// A line for the slots, one for the sequences, and one for each compromise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "slots: {}", self.slots)?;
        writeln!(f, "sequences: {}", self.sequences)?;
        self.compromises.iter().try_for_each(|compromise| writeln!(f, "compromise: {compromise}"))
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, page_size, pages, pages_absent, transparent, locked } = self;
        write!(f, "{} in pages of {}", Bytes(*bytes), Bytes(*page_size))?;
        pages.iter().try_for_each(|(node, count)| write!(f, ", {count} on {node}"))?;
        if *pages_absent > 0 {
            write!(f, ", {pages_absent} absent")?;
        }
        if *transparent > 0 {
            write!(f, ", {} in transparent huge pages", Bytes(*transparent))?;
        }
        if *locked > 0 {
            write!(f, ", {} locked", Bytes(*locked))?;
        }
        Ok(())
    }
}
