//! Layer 1: the operating system, and the only home of `libc`.
//!
//! Linux is served by raw system calls; elsewhere the same functions fall back on `parking_lot`
//! or answer [`std::io::ErrorKind::Unsupported`]. Nothing here knows of rings. Start with
//! [`futex`], on which every sleeping thread of the crate sleeps.

pub mod affinity;
pub mod cgroup;
#[cfg(target_os = "linux")]
pub mod eventfd;
pub mod futex;
#[cfg(feature = "hwloc")]
pub mod hwloc;
pub mod membarrier;
pub mod memory;
pub mod placement;
pub mod prefetch;
#[cfg(unix)]
pub mod process;
#[cfg(unix)]
pub mod signals;
pub mod topology;
