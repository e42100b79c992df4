//! What nodes say to each other, and its form: MessagePack, one value after the other.
//!
//! A datagram holds at most one [`Message`] and as many [`Update`]s as fit. A stream holds one [`Exchange`].
//! Decoding is total: whatever bytes come, it ends with values or an error, and takes memory for what is there only.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::member::{Metadata, NodeId, State};
use super::notes;
use super::service::Offer;
use crate::base::rng::Rng;

/// What a datagram asks or answers. Variants have short names on the wire, where every byte counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Are you there? `to` is who is meant: an address may have changed hands.
    #[serde(rename = "p")]
    Ping {
        /// By which the answer is known.
        number: u32,
        /// Who asks.
        from: NodeId,
        /// Who is asked.
        to: NodeId,
    },
    /// Ask somebody for me.
    #[serde(rename = "r")]
    PingRequest {
        /// By which the answer is known.
        number: u32,
        /// Who asks.
        from: NodeId,
        /// Who is to be asked.
        to: NodeId,
        /// Where that is.
        address: SocketAddr,
    },
    /// I am there, or the one whom I asked for you is.
    #[serde(rename = "k")]
    Ack {
        /// Of the question.
        number: u32,
    },
    /// The one whom I asked for you does not answer, but I do.
    #[serde(rename = "n")]
    Nack {
        /// Of the question.
        number: u32,
        /// Who has asked in vain.
        from: NodeId,
    },
}

/// What one node has to say of another, or of its services, or to all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Update {
    /// It lives. Only the node itself begins this.
    #[serde(rename = "a")]
    Alive {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
        /// Where.
        address: SocketAddr,
        /// What it says of itself.
        metadata: Metadata,
    },
    /// It does not answer `from`.
    #[serde(rename = "s")]
    Suspect {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
        /// Who found out.
        from: NodeId,
        /// Whether the machine has told `from` that nobody listens there.
        is_refused: bool,
    },
    /// It has not said that it lives.
    #[serde(rename = "d")]
    Dead {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
    },
    /// It goes by its own will. Only the node itself begins this.
    #[serde(rename = "l")]
    Left {
        /// Who.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
    },
    /// It offers a service, or does so no longer. Only the node itself begins this.
    #[serde(rename = "o")]
    Service(ServiceRecord),
    /// It has something to say to all.
    #[serde(rename = "n")]
    Note {
        /// Who.
        from: NodeId,
        /// Which of its notes, counted from 1.
        number: u64,
        /// What.
        #[serde(serialize_with = "notes::write", deserialize_with = "notes::read")]
        body: Vec<u8>,
    },
}

/// What an update is about: a newer one takes the place of an older one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A node.
    Member(NodeId),
    /// A service of a node.
    Service(NodeId, String),
    /// A note of a node.
    Note(NodeId, u64),
}

impl Update {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Alive { id, .. }
            | Self::Suspect { id, .. }
            | Self::Dead { id, .. }
            | Self::Left { id, .. } => Subject::Member(id.clone()),
            Self::Service(record) => Subject::Service(record.node().clone(), record.id().to_owned()),
            Self::Note { from, number, .. } => Subject::Note(from.clone(), *number),
        }
    }

    /// At which incarnation, if it is about a node.
    pub fn incarnation(&self) -> Option<u64> {
        match self {
            Self::Alive { incarnation, .. }
            | Self::Suspect { incarnation, .. }
            | Self::Dead { incarnation, .. }
            | Self::Left { incarnation, .. } => Some(*incarnation),
            Self::Service(_) | Self::Note { .. } => None,
        }
    }
}

/// What a node says of one of its services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceRecord {
    /// It offers it.
    #[serde(rename = "o")]
    Offered {
        /// Counted by the node, over all of its services.
        version: u64,
        /// Whose, and what.
        offer: Arc<Offer>,
    },
    /// It does not offer it any more.
    #[serde(rename = "w")]
    Withdrawn {
        /// Counted by the node, over all of its services.
        version: u64,
        /// Whose.
        node: NodeId,
        /// Which.
        id: String,
    },
}

impl ServiceRecord {
    /// Whose service it is.
    pub fn node(&self) -> &NodeId {
        match self {
            Self::Offered { offer, .. } => &offer.node,
            Self::Withdrawn { node, .. } => node,
        }
    }

    /// Which of the node's services it is.
    pub fn id(&self) -> &str {
        match self {
            Self::Offered { offer, .. } => &offer.service.id,
            Self::Withdrawn { id, .. } => id,
        }
    }

    /// How often the node had spoken of its services.
    pub fn version(&self) -> u64 {
        match self {
            Self::Offered { version, .. } | Self::Withdrawn { version, .. } => *version,
        }
    }

    /// What is offered.
    pub fn offer(&self) -> Option<&Arc<Offer>> {
        match self {
            Self::Offered { offer, .. } => Some(offer),
            Self::Withdrawn { .. } => None,
        }
    }

    /// How long it is on the network.
    pub fn bytes(&self) -> usize {
        encode(self).len()
    }

    /// What stands for it in a digest.
    pub fn digest(&self) -> u64 {
        Rng::new(fnv(&encode(self))).next_u64()
    }
}

/// A member in a full state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Who.
    pub id: NodeId,
    /// Where.
    pub address: SocketAddr,
    /// At which incarnation.
    pub incarnation: u64,
    /// Whether it lives.
    pub state: State,
    /// What it says of itself.
    pub metadata: Metadata,
}

impl Record {
    /// What stands for it in a digest.
    pub fn digest(&self) -> u64 {
        digest(&self.id, self.incarnation, self.state)
    }
}

/// What stands for a record in a digest: sums of them do not depend on their order. A suspect counts as one that is
/// alive, since that is soon decided; who is dead or gone counts for nothing, since that is told for some time only.
pub fn digest(id: &NodeId, incarnation: u64, state: State) -> u64 {
    let name = fnv(id.as_str().as_bytes());
    let mixed = Rng::new(name ^ Rng::new(incarnation).next_u64()).next_u64();
    if state.is_present() { Rng::new(mixed).next_u64() } else { 0 }
}

/// FNV-1a, to be mixed with more.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What goes over a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exchange {
    /// Everything that a node knows; the answer is the same of the other.
    #[serde(rename = "s")]
    State {
        /// Itself, and all others.
        members: Vec<Record>,
        /// Their services, and which of them are gone.
        services: Vec<ServiceRecord>,
        /// How many notes each has sent, of those who have sent any.
        notes: Vec<(NodeId, u64)>,
    },
    /// A sum of everything that a node knows; the answer is [`Exchange::Same`], or the other's [`Exchange::State`].
    #[serde(rename = "d")]
    Digest(u64),
    /// I know the same.
    #[serde(rename = "e")]
    Same,
    /// As [`Message::Ping`], where datagrams may be lost; the answer is [`Exchange::Ack`].
    #[serde(rename = "p")]
    Ping {
        /// By which the answer is known.
        number: u32,
        /// Who is asked.
        to: NodeId,
    },
    /// I am there.
    #[serde(rename = "k")]
    Ack {
        /// Of the question.
        number: u32,
    },
    /// Somebody was told that nobody listens where you are; the answer is what you say of yourself, above that, as an
    /// [`Exchange::State`].
    #[serde(rename = "u")]
    Suspected {
        /// Who is meant.
        id: NodeId,
        /// At which incarnation.
        incarnation: u64,
    },
}

/// Bytes that are no message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("not a message: {0}")]
pub struct Malformed(String);

/// The bytes of a value.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("messages have no maps of unknown length and memory takes all")
}

/// What a datagram holds.
///
/// Errors: a value that is none. What came before it counts for nothing.
pub fn decode(mut bytes: &[u8]) -> Result<(Option<Message>, Vec<Update>), Malformed> {
    let message = next(&mut bytes)?;
    let mut updates = Vec::new();
    while !bytes.is_empty() {
        updates.push(next(&mut bytes)?);
    }
    Ok((message, updates))
}

/// What a stream holds.
///
/// Errors: as [`decode`].
pub fn decode_exchange(bytes: &[u8]) -> Result<Exchange, Malformed> {
    decode_whole(bytes)
}

/// A value that fills all of the bytes.
///
/// Errors: as [`decode`].
pub fn decode_whole<T: DeserializeOwned>(mut bytes: &[u8]) -> Result<T, Malformed> {
    let value = next(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(Malformed("something follows it".to_owned())) }
}

fn next<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, Malformed> {
    let mut reader = rmp_serde::Deserializer::new(*bytes);
    reader.set_max_depth(DEPTH_MAX);
    let value = T::deserialize(&mut reader).map_err(|error| Malformed(error.to_string()))?;
    *bytes = reader.into_inner();
    Ok(value)
}

/// No message is deeper.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Exchange, Message, Record, ServiceRecord, Update, decode, decode_exchange, encode};
    use crate::cluster::swim::member::{Metadata, NodeId, State};
    use crate::cluster::swim::service::{Offer, Service, Status};
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn what_is_said_is_heard() {
        let id = |name: &str| NodeId::new(name).expect("a name");
        let address = "[::1]:7946".parse().expect("an address");
        let metadata = Metadata::new(BTreeMap::from([("zone".to_owned(), "a".to_owned())]));
        let ask = Message::PingRequest { number: 7, from: id("a"), to: id("b"), address };
        let service = Service {
            id: "web-1".to_owned(),
            name: "web".to_owned(),
            address: "::1".to_owned(),
            port: 80,
            tags: vec!["blue".to_owned()],
            metadata: BTreeMap::from([("zone".to_owned(), "a".to_owned())]),
        };
        let offer =
            Offer { node: id("c"), service, status: Status::Warning, load: 7, note: "HTTP 429".to_owned() };
        let offered = ServiceRecord::Offered { version: 1, offer: Arc::new(offer) };
        let withdrawn = ServiceRecord::Withdrawn { version: 2, node: id("c"), id: "web-2".to_owned() };
        let updates = [
            Update::Alive { id: id("c"), incarnation: u64::MAX, address, metadata: metadata.clone() },
            Update::Suspect { id: id("c"), incarnation: 1, from: id("a"), is_refused: true },
            Update::Dead { id: id("c"), incarnation: 1 },
            Update::Left { id: id("c"), incarnation: 1 },
            Update::Service(offered.clone()),
            Update::Service(withdrawn.clone()),
            Update::Note { from: id("a"), number: 7, body: vec![0, 255, 1] },
        ];
        let mut bytes = encode(&Some(&ask));
        updates.iter().for_each(|update| bytes.extend(encode(update)));
        assert_eq!(decode(&bytes), Ok((Some(ask), updates.to_vec())));
        assert_eq!(decode(&encode(&None::<Message>)), Ok((None, Vec::new())));
        let record = Record { id: id("d"), address, incarnation: 3, state: State::Left, metadata };
        let state = Exchange::State {
            members: vec![record; 3],
            services: vec![offered, withdrawn],
            notes: vec![(id("a"), 7)],
        };
        let bytes = encode(&state);
        assert_eq!(decode_exchange(&bytes), Ok(state));
        assert!(decode_exchange(&[&bytes[..], &[0]].concat()).is_err());
        for length in 0..bytes.len() {
            assert!(decode_exchange(&bytes[..length]).is_err(), "{length}");
        }
    }
}
