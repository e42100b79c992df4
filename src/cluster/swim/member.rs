//! What is known of a node: its name, where it is, what it says of itself, and whether it lives.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::service::Offer;

/// A node's name, unique in its cluster: 1 to 64 of `A-Z a-z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Arc<str>);

/// The longest name, in bytes.
pub const NODE_ID_BYTES_MAX: usize = 64;

impl NodeId {
    /// A name, or nothing if the text is none.
    pub fn new(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_name = (1..=NODE_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_allowed);
        is_name.then(|| Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for NodeId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = NodeId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a node's name")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<NodeId, E> {
        NodeId::new(text).ok_or_else(|| E::custom("not a node's name"))
    }
}

/// What a node says of itself, in short texts by name.
pub type Metadata = Arc<BTreeMap<String, String>>;

/// The most that a node says of itself, by [`metadata_bytes`].
pub const METADATA_BYTES_MAX: usize = 512;

/// How much that is: names and values, and two bytes more for each pair.
pub fn metadata_bytes(metadata: &Metadata) -> usize {
    metadata.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
}

/// Whether a node lives, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It answers, or somebody says so.
    #[serde(rename = "a")]
    Alive,
    /// It did not answer, and has time to say that it lives.
    #[serde(rename = "s")]
    Suspect,
    /// It had its time.
    #[serde(rename = "d")]
    Dead,
    /// It has said that it goes.
    #[serde(rename = "l")]
    Left,
}

impl State {
    /// Whether it takes part.
    pub fn is_present(self) -> bool {
        matches!(self, Self::Alive | Self::Suspect)
    }

    /// The state's name, as users see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspect => "suspect",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

/// A node as another one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Where its datagrams go.
    pub address: SocketAddr,
    /// How often it has spoken for itself; only the node itself counts it up.
    pub incarnation: u64,
    /// Whether it lives.
    pub state: State,
    /// What it says of itself. It travels with the incarnation.
    pub metadata: Metadata,
    /// Since when it has been in this state, on the machine's clock.
    pub since: Duration,
}

/// What has become of a node, or of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A node that was not known, dead or gone is there.
    Joined(Member),
    /// A node that is there says something else of itself, or has moved.
    Updated(Member),
    /// A node does not answer.
    Suspected(Member),
    /// A suspect has said that it lives.
    Refuted(Member),
    /// A suspect has not said anything in time.
    Died(Member),
    /// A node has gone by its own will.
    Left(Member),
    /// A record is forgotten.
    Forgotten(NodeId),
    /// Another node uses this node's name, from this address.
    NameTaken(SocketAddr),
    /// A node that is there, or this one, offers a service that it did not offer before. What a node offers that was dead
    /// or gone and is there again is not told one by one.
    Registered(Arc<Offer>),
    /// A service is another one, or is better or worse. Its load alone is not told.
    Changed(Arc<Offer>),
    /// A service is not offered any more, by a node that is there; this is what it was.
    Deregistered(Arc<Offer>),
    /// Another node has something to say to all.
    Note {
        /// Who.
        from: NodeId,
        /// What.
        body: Vec<u8>,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let member = |f: &mut fmt::Formatter<'_>, member: &Member, what: &str| {
            write!(f, "{} at {} {what}", member.id, member.address)
        };
        let offer = |f: &mut fmt::Formatter<'_>, offer: &Offer, what: &str| {
            write!(f, "the service {} of {} {what} {}", offer.service.id, offer.node, offer.status.name())
        };
        match self {
            Self::Joined(one) => member(f, one, "is there"),
            Self::Updated(one) => member(f, one, "says something else of itself"),
            Self::Suspected(one) => member(f, one, "does not answer"),
            Self::Refuted(one) => member(f, one, "lives after all"),
            Self::Died(one) => member(f, one, "is dead"),
            Self::Left(one) => member(f, one, "has left"),
            Self::Forgotten(id) => write!(f, "{id} is forgotten"),
            Self::NameTaken(address) => write!(f, "another node, at {address}, uses this node's name"),
            Self::Registered(one) => offer(f, one, "is offered, and"),
            Self::Changed(one) => offer(f, one, "has changed, and is"),
            Self::Deregistered(one) => offer(f, one, "is offered no longer; it was"),
            Self::Note { from, body } => write!(f, "a note of {} bytes has come from {from}", body.len()),
        }
    }
}
