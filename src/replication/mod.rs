//! Layer 4: copies of a disruptor's events on other nodes of its cluster.
//!
//! The node that takes a disruptor's events is its *home*; *followers* keep copies of them. Who is home for how long
//! is a *reign*, and the higher of two reigns holds, so that an old home that comes back learns that it is none any
//! more. The protocol is a machine without threads, sockets and clock: `replica.rs` is what a node has,
//! `home.rs` what a home says to its followers, `claim.rs` how a node becomes the home. `driver.rs` runs it over
//! [`Cluster`](crate::cluster::Cluster). docs/REPLICATION.md tells what can be lost, and when.

mod claim;
mod driver;
mod entry;
mod home;
mod link;
mod message;
#[cfg(test)]
mod model;
mod placement;
mod reign;
mod replica;
mod report;

pub use driver::{PromoteError, Replication};
pub use report::{FollowerReport, Report};
