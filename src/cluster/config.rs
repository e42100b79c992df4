//! What a node is told at its start, and what is wrong with it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use thiserror::Error;

use super::swim::{METADATA_BYTES_MAX, Metadata, NodeId, Settings, metadata_bytes};
use super::wire::Keyring;

/// What a node is told.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The cluster's name. Nodes of another one are not heard.
    pub name: String,
    /// Where it listens; port 0 for any.
    pub bind: SocketAddr,
    /// Where others reach it, if that is elsewhere; port 0 for the one that it listens at.
    pub advertise: Option<SocketAddr>,
    /// Nodes by which it joins. They are asked until one has answered.
    pub seeds: Vec<SocketAddr>,
    /// The keys, if nothing is to go in clear.
    pub keyring: Keyring,
    /// Whether bodies are compressed that shrink.
    pub compresses: bool,
    /// The longest datagram, at least 512 bytes.
    pub packet_bytes_max: usize,
    /// The node's name, what it says of itself in at most 512 bytes, and the times and counts of the protocol. Address,
    /// seed and length of datagrams are set at the start.
    pub swim: Settings,
}

impl ClusterConfig {
    /// A node of this name on loopback, in a cluster called `badbatch`, with the defaults.
    pub fn new(id: NodeId) -> Self {
        let bind = (Ipv4Addr::LOCALHOST, 0).into();
        Self {
            name: "badbatch".to_owned(),
            bind,
            advertise: None,
            seeds: Vec::new(),
            keyring: Keyring::none(),
            compresses: true,
            packet_bytes_max: 1400,
            swim: Settings::new(id, bind, 0),
        }
    }
}

/// Why a node cannot start. Nothing runs then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A value that cannot be, and what would.
    #[error("{0}")]
    Config(String),
    /// The operating system's refusal.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The operating system's refusal.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

const PACKET_BYTES_MIN: usize = 512;

/// Whether a node can be started so.
///
/// Errors: what is wrong, and what would be right.
pub fn check(config: &ClusterConfig) -> Result<(), ClusterError> {
    if config.packet_bytes_max < PACKET_BYTES_MIN {
        let given = config.packet_bytes_max;
        let message =
            format!("a datagram of {given} bytes holds too little; take {PACKET_BYTES_MIN} or more");
        return Err(ClusterError::Config(message));
    }
    if config.bind.ip().is_unspecified() && config.advertise.is_none() {
        let message =
            format!("{} is no address that others can reach; say which one is: advertise", config.bind);
        return Err(ClusterError::Config(message));
    }
    let swim = &config.swim;
    if swim.probe_timeout >= swim.probe_interval {
        let message = format!(
            "a probe has {:?} for its answer, and {:?} later comes the next one; give it less",
            swim.probe_timeout, swim.probe_interval
        );
        return Err(ClusterError::Config(message));
    }
    check_metadata(&swim.metadata)
}

/// Whether it fits.
///
/// Errors: the limit.
pub fn check_metadata(metadata: &Metadata) -> Result<(), ClusterError> {
    let bytes = metadata_bytes(metadata);
    match bytes <= METADATA_BYTES_MAX {
        true => Ok(()),
        false => Err(ClusterError::Config(format!(
            "metadata of {bytes} bytes; at most {METADATA_BYTES_MAX} go with each node"
        ))),
    }
}
