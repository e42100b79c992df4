//! A service: what a node offers, how well it is, and what a description may be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::member::{NODE_ID_BYTES_MAX, NodeId};

/// What a node offers to others, as it describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name on its node, unique there: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub id: String,
    /// What it is, the same wherever it is offered: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// Where it is: an IP address or the name of a host.
    pub address: String,
    /// At which port, 1 to 65535.
    pub port: u16,
    /// By which lookups choose; texts without control characters.
    pub tags: Vec<String>,
    /// What else is to be known; texts without control characters.
    pub metadata: BTreeMap<String, String>,
}

/// How well a service is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    /// It works.
    #[serde(rename = "p")]
    Passing,
    /// It works, with difficulty.
    #[serde(rename = "w")]
    Warning,
    /// It does not work, or nobody has said so yet.
    #[serde(rename = "c")]
    Critical,
}

impl Status {
    /// The status's name, as users see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A service of a node, as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// Who offers it.
    pub node: NodeId,
    /// What it is.
    pub service: Service,
    /// How well it is.
    pub status: Status,
    /// How busy it is, in units of its own.
    pub load: u32,
    /// Why it has its status; at most 96 bytes.
    pub note: String,
}

/// Services of one node; with them count those that it has removed of late.
pub const SERVICES_MAX: usize = 256;
/// A service's record on the network, whatever the limit of a datagram is.
pub const SERVICE_BYTES_MAX: usize = 1024;
/// The note at a status.
pub const STATUS_NOTE_BYTES_MAX: usize = 96;
const ADDRESS_BYTES_MAX: usize = 255;

/// Why a service is not registered, or not reported on. Nothing has changed then.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceError {
    /// An id or a name that is none.
    #[error("{0:?} is no {1} of a service; take 1 to 64 of A-Z a-z 0-9 . _ -")]
    Name(String, &'static str),
    /// An address that is none.
    #[error("{0:?} is no address of a service; take an IP address or the name of a host")]
    Address(String),
    /// Port 0.
    #[error("port 0 is no port of a service; take 1 to 65535")]
    Port,
    /// Text that would spoil a line.
    #[error("{0:?} has control characters; take them out")]
    Control(String),
    /// A note that is too long.
    #[error("a note of {0} bytes; at most {STATUS_NOTE_BYTES_MAX} go with a status")]
    Note(usize),
    /// More than a datagram holds.
    #[error("a service of {bytes} bytes; at most {most} fit into a datagram: shorten its tags or metadata")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What it may have.
        most: usize,
    },
    /// No room for another one.
    #[error("{SERVICES_MAX} services are registered on this node; deregister one first")]
    TooMany,
    /// Nothing more is offered.
    #[error("this node has left its cluster, and offers nothing more")]
    Leaving,
    /// Not on this node.
    #[error("no service {0:?} is registered on this node")]
    Unknown(String),
    /// A check that cannot be.
    #[error("{0}")]
    Check(String),
    /// The status of this service is found by a check.
    #[error("the status of {0:?} is found by a check; report on services with a TTL check or none")]
    Checked(String),
}

impl Service {
    /// Whether it may be offered at all, so that nobody who prints it is harmed.
    pub fn check(&self) -> Result<(), ServiceError> {
        for (text, what) in [(&self.id, "id"), (&self.name, "name")] {
            if text.len() > NODE_ID_BYTES_MAX || NodeId::new(text).is_none() {
                return Err(ServiceError::Name(text.clone(), what));
            }
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
        let is_address = (1..=ADDRESS_BYTES_MAX).contains(&self.address.len());
        if !is_address || !self.address.bytes().all(is_allowed) {
            return Err(ServiceError::Address(self.address.clone()));
        }
        if self.port == 0 {
            return Err(ServiceError::Port);
        }
        let metadata = self.metadata.iter().flat_map(|(name, value)| [name, value]);
        match self.tags.iter().chain(metadata).find(|text| text.contains(char::is_control)) {
            None => Ok(()),
            Some(text) => Err(ServiceError::Control(text.clone())),
        }
    }
}

/// Whether a note may go with a status.
pub fn check_status_note(note: &str) -> Result<(), ServiceError> {
    if note.len() > STATUS_NOTE_BYTES_MAX {
        return Err(ServiceError::Note(note.len()));
    }
    if note.contains(char::is_control) {
        return Err(ServiceError::Control(note.to_owned()));
    }
    Ok(())
}
