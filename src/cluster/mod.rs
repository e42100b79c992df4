//! Layer 3: who else is there.
//!
//! [`swim`] is the protocol as a pure machine, `wire.rs` what goes over the network, `driver.rs` sockets, threads and
//! time, `conversation.rs` what two nodes have to say to each other besides, `services.rs` and `health.rs` what nodes
//! offer and how well that is. Nothing here knows disruptors, HTTP or configuration files. Start with [`Cluster`].

mod config;
mod conversation;
mod driver;
mod frame;
mod health;
mod http_check;
mod services;
pub mod swim;
mod watch;
mod wire;

pub use config::{ClusterConfig, ClusterError};
pub use conversation::{Conversation, MESSAGE_BYTES_MAX};
pub use driver::{Cluster, JoinError};
pub use health::{Check, Health};
pub use services::Choice;
pub use watch::Watch;
pub use wire::{ENVELOPE_BYTES, Envelope, KeyError, Keyring, WireError};
