//! Layer 0: what has no domain noun.
//!
//! Nothing here knows of rings, sockets or files. Start with [`deadline`], which is how every
//! bounded wait of the crate carries its bound.

pub mod clock;
pub mod cpu;
pub mod cpu_set;
pub mod deadline;
#[cfg(any(feature = "cli", feature = "http"))]
pub mod nearest;
pub mod rng;
pub mod ulid;
