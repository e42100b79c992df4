//! Layer 3: who else is there.
//!
//! [`swim`] is the protocol as a pure machine, `wire.rs` what goes over the network, `driver.rs` sockets, threads and
//! time. Nothing here knows disruptors, HTTP or configuration files. Start with [`Cluster`].

mod driver;
pub mod swim;
mod wire;

pub use driver::{Cluster, ClusterConfig, ClusterError};
pub use wire::{ENVELOPE_BYTES, Envelope, Keyring, WireError};
