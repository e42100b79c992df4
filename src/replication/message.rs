//! What nodes say to each other about a disruptor: a request and its answer, in MessagePack.
//!
//! Decoding is total: what is no message is an error, and nothing is allocated for what has not come.

use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reign::{Lineage, Reign};
use crate::cluster::swim::NodeId;
use crate::engine::Event;

/// What is asked of another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// The home begins to send, or says something else of itself.
    Hello(Hello),
    /// The next events, and how the home does.
    Events(u64, Vec<Block>, Pulse),
    /// The home does not have the events before this one any more.
    Skip(u64),
    /// The home lives.
    Beat(Pulse),
    /// The copy is not needed any more, unless a later choice of followers says otherwise.
    Release(String, Reign, u64),
    /// What do you have?
    Ask(String),
    /// What do you have? Listen to nobody with a lower reign from now on.
    Claim(String, Reign),
    /// Which events do you have from this one on? Asked by who has claimed this reign.
    Fetch(String, Reign, u64),
    /// Take no more events, and see to it that this node has all of them.
    Yield(String),
    /// Become the home.
    Promote(String),
}

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The copy begins and ends here.
    Have(u64, u64),
    /// There is a higher reign.
    Superseded(Reign),
    /// It cannot be, and why.
    Refused(String),
    /// What is there.
    Known(Box<Known>),
    /// There is nothing.
    Nothing,
    /// The events that were asked for; none if there are no more.
    Events(u64, Vec<Block>),
    /// It has been done.
    Done,
}

/// What a home says first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The disruptor.
    pub name: String,
    /// Its definition, as JSON.
    pub definition: String,
    /// The home's reign is the last one.
    pub lineage: Lineage,
    /// Those whose copies count, the home among them, and how often that has changed.
    pub set: Set,
    /// Counts the home's choices of followers.
    pub choice: u64,
    /// Where the home's log ends. A copy that does not come so far does not have all that was acknowledged.
    pub end: u64,
    /// How the home does.
    pub pulse: Pulse,
}

/// How a home does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// What is before was forgotten by command.
    pub floor: u64,
    /// The first event that its sinks have not handed on.
    pub handed: u64,
}

/// Those whose copies count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// Counts its changes within a reign.
    pub version: u64,
    /// The home and its followers.
    pub nodes: Vec<NodeId>,
    /// Those whose copies counted before, as long as they could promote one of themselves; later the same nodes.
    pub before: Vec<NodeId>,
}

impl Set {
    /// That of a home which goes on without the others.
    pub fn of(node: NodeId) -> Self {
        Self { version: 1, nodes: vec![node.clone()], before: vec![node] }
    }

    /// Whether those before could not promote one of themselves any more.
    pub fn is_settled(&self) -> bool {
        self.before == self.nodes
    }
}

/// What a node is for a disruptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Takes events.
    Home,
    /// Has a copy.
    Follower,
    /// Has its definition and wants to be its home.
    Claimant,
}

/// What a node knows of a disruptor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    pub part: Part,
    pub lineage: Lineage,
    /// It listens to nobody below this.
    pub promised: Option<Reign>,
    pub start: u64,
    pub end: u64,
    /// Whether it has, or once had, all that the last home that it knows of had acknowledged before it came here.
    pub is_complete: bool,
    pub handed: u64,
    pub set: Set,
}

/// An event on its way.
#[derive(Clone, Debug)]
pub struct Block(pub Event);

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.block())
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Block;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Block, E> {
                Event::from_block(bytes).map(Block).map_err(E::custom)
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A message as bytes.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(message).expect("a vector takes every message")
}

/// A message from bytes, all of which it has.
///
/// Errors: what keeps them from being one.
pub fn decode<M: DeserializeOwned>(bytes: &[u8]) -> Result<M, String> {
    let mut decoder = rmp_serde::Deserializer::new(bytes);
    decoder.set_max_depth(DEPTH_MAX);
    let message = M::deserialize(&mut decoder).map_err(|error| error.to_string())?;
    match decoder.into_inner().len() {
        0 => Ok(message),
        left => Err(format!("{left} bytes follow a message")),
    }
}

/// No message is deeper.
const DEPTH_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::{Answer, Block, Hello, Pulse, Request, Set, decode, encode};
    use crate::base::ulid::Ulid;
    use crate::cluster::swim::NodeId;
    use crate::engine::{ContentType, Draft, Event};
    use crate::replication::reign::{Lineage, Reign};

    fn event(payload: &[u8]) -> Block {
        Block(Event::new(&Draft::bare(ContentType::Bytes, payload), Ulid(5), 6))
    }

    fn requests(payload: &[u8]) -> Vec<Request> {
        let home = NodeId::new("a").expect("a name");
        let reign = Reign { epoch: 1, token: 2, home: home.clone() };
        let name = || "n".to_owned();
        vec![
            Request::Hello(Hello {
                name: name(),
                definition: "{}".to_owned(),
                lineage: Lineage::default().with(reign.clone(), 7),
                set: Set { version: 1, nodes: vec![home.clone()], before: vec![home] },
                choice: 1,
                end: 9,
                pulse: Pulse::default(),
            }),
            Request::Events(3, vec![event(payload), event(b"")], Pulse { floor: 1, handed: 2 }),
            Request::Skip(u64::MAX),
            Request::Claim(name(), reign),
            Request::Promote(name()),
        ]
    }

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        fn property(payload: Vec<u8>, place: usize, byte: u8) {
            for request in requests(&payload) {
                let bytes = encode(&request);
                let again: Request = decode(&bytes).expect("it was just made");
                assert_eq!(encode(&again), bytes);
                (0..bytes.len()).for_each(|end| assert!(decode::<Request>(&bytes[..end]).is_err()));
                assert!(decode::<Request>(&[&bytes[..], &[0]].concat()).is_err());
                let mut damaged = bytes;
                let place = place % damaged.len();
                damaged[place] = byte;
                // Whatever it is, it does no harm.
                let _refused = decode::<Request>(&damaged);
            }
            let _refused = (decode::<Request>(&payload), decode::<Answer>(&payload));
        }
        quickcheck::quickcheck(property as fn(_, _, _));
    }

    #[test]
    fn an_event_that_is_none_is_refused() {
        let bytes = encode(&Request::Events(0, vec![event(b"abc")], Pulse::default()));
        // The kind of payload stands behind the identity and the time.
        let start = bytes.windows(3).position(|bytes| bytes == b"abc").expect("it is there") - 31;
        let mut damaged = bytes.clone();
        damaged[start + 24] = 9;
        let refused = decode::<Request>(&damaged).expect_err("no such kind");
        assert!(refused.contains("of kind 9"), "{refused}");
        // A list that says that it is longer than what has come.
        let lie = [0x81, 0xa6, b'E', b'v', b'e', b'n', b't', b's', 0x93, 0, 0xdd, 0xff, 0xff, 0xff, 0xff];
        assert!(decode::<Request>(&lie).is_err());
    }
}
