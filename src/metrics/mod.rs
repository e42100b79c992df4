//! Layer 1: numbers about a running program, and their text form for Prometheus.
//!
//! Atomics only: recording takes no lock, makes no system call and allocates nothing. There is no global registry;
//! who has the numbers writes them down when somebody asks, so a page never tells of what is gone. Start with
//! [`Histogram`].

mod counter;
mod exposition;
mod histogram;

pub use counter::{Counter, Gauge};
pub use exposition::{Exposition, Kind};
pub use histogram::{Histogram, Snapshot};
