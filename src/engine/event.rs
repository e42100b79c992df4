//! An event whose type is known only at run time: bytes, and what is said about them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::str;
use std::sync::Arc;

use thiserror::Error;

use super::fields::FieldError;
use crate::base::ulid::Ulid;

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// A JSON text, checked.
    Json,
    /// UTF-8, checked.
    Text,
    /// Anything.
    Bytes,
}

impl ContentType {
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Json, "application/json"),
        (Self::Text, "text/plain"),
        (Self::Bytes, "application/octet-stream"),
    ];

    /// The media type.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find_map(|&(kind, name)| (kind == self).then_some(name))
            .expect("every kind has a name")
    }

    /// The kind with this media type.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find_map(|&(kind, known)| known.eq_ignore_ascii_case(name).then_some(kind))
    }
}

/// An event before it has an identity: what a producer says.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// What the payload is.
    pub content_type: ContentType,
    /// The payload.
    pub payload: Cow<'a, [u8]>,
    /// Names and values that travel with the payload, in this order.
    pub metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What this event belongs to.
    pub correlation_id: Option<Cow<'a, str>>,
}

/// The largest payload in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
const METADATA_PAIRS_MAX: usize = 64;
// In characters, as schemas count them.
const METADATA_NAME_MAX: usize = 128;
const METADATA_VALUE_MAX: usize = 4096;
const CORRELATION_ID_MAX: usize = 256;

impl<'a> Draft<'a> {
    /// A payload and nothing else, unchecked.
    pub fn bare(content_type: ContentType, payload: &'a [u8]) -> Self {
        Self { content_type, payload: Cow::Borrowed(payload), metadata: Vec::new(), correlation_id: None }
    }

    /// Whether an event can be made of it.
    ///
    /// Errors: by field, what is wrong, with the limit.
    pub fn check(&self) -> Result<(), FieldError> {
        self.check_limits()?;
        match self.content_type {
            ContentType::Bytes => Ok(()),
            ContentType::Text => utf8(&self.payload).map(drop),
            ContentType::Json => {
                let text = utf8(&self.payload)?;
                match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                    Ok(_) if text.trim_ascii() == "null" => Err(null()),
                    Ok(_) => Ok(()),
                    Err(error) => Err(FieldError::new("data", format!("the payload is not JSON: {error}"))),
                }
            }
        }
    }

    /// The part of [`check`](Self::check) that does not look into the payload.
    ///
    /// Errors: by field, what is too long.
    pub fn check_limits(&self) -> Result<(), FieldError> {
        let at_most = |field: &str, what: &str, count: usize, max: usize| match count {
            count if count <= max => Ok(()),
            count => Err(FieldError::new(field, format!("{what} {count}, at most {max} are allowed"))),
        };
        let length = |text: &str| text.chars().count();
        at_most("data", "bytes of payload:", self.payload.len(), PAYLOAD_BYTES_MAX)?;
        at_most("metadata", "pairs:", self.metadata.len(), METADATA_PAIRS_MAX)?;
        for (name, value) in &self.metadata {
            if name.is_empty() {
                return Err(FieldError::new("metadata", "a name is empty"));
            }
            at_most("metadata", "characters in a name:", length(name), METADATA_NAME_MAX)?;
            at_most("metadata", "characters in a value:", length(value), METADATA_VALUE_MAX)?;
        }
        let correlation = self.correlation_id.as_deref().unwrap_or_default();
        at_most("correlation_id", "characters:", length(correlation), CORRELATION_ID_MAX)
    }
}

/// Bytes as text. The JSON parser does not look into texts that it passes over, so this is for JSON as well.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, FieldError> {
    str::from_utf8(bytes).map_err(|error| {
        FieldError::new("data", format!("the text is not UTF-8: {error}"))
            .hint("send other encodings as application/octet-stream")
    })
}

/// What is said about a payload of `null`.
pub(super) fn null() -> FieldError {
    FieldError::new("data", "null is not an event").hint("send any other JSON value")
}

/// An immutable event, shared by everybody who has a clone.
///
/// Shape: one block of memory, allocated once: identity, time, kind, correlation id, metadata, payload.
#[derive(Clone)]
pub struct Event(Arc<[u8]>);

// The block's layout. Numbers are little-endian.
const ID: usize = 0;
const TIME: usize = 16;
const KIND: usize = 24;
const CORRELATION_LENGTH: usize = 25; // 0: none; else one more than its length
const METADATA_LENGTH: usize = 27;
const VARIABLE: usize = 31;

/// Why bytes are no event.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockError {
    /// A length leads beyond the end.
    #[error("an event is cut off")]
    Cut,
    /// A kind of payload that there is not.
    #[error("an event is of kind {0}, and there are 0 to 2")]
    Kind(u8),
    /// A text that is none.
    #[error("an event has a text that is not UTF-8")]
    Text,
    /// Something that no producer may send.
    #[error("an event is wrong: {0}")]
    Wrong(FieldError),
}

impl From<FieldError> for BlockError {
    fn from(error: FieldError) -> Self {
        Self::Wrong(error)
    }
}

thread_local! {
    /// Where a block is put together before it is copied to its own memory.
    static DESK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What the desk may keep for the next event.
const DESK_BYTES_MAX: usize = 64 << 10;

impl Event {
    /// Gives a draft that passed [`Draft::check`] its identity. Allocates once.
    pub fn new(draft: &Draft<'_>, id: Ulid, unix_micros: u64) -> Self {
        DESK.with_borrow_mut(|desk| {
            desk.clear();
            desk.extend_from_slice(&id.0.to_le_bytes());
            desk.extend_from_slice(&unix_micros.to_le_bytes());
            desk.push(draft.content_type as u8);
            let correlation = draft.correlation_id.as_deref();
            let length = correlation.map_or(0, |correlation| correlation.len() as u16 + 1);
            desk.extend_from_slice(&length.to_le_bytes());
            let pair = |(name, value): &(Cow<str>, Cow<str>)| 4 + name.len() + value.len();
            let length: usize = draft.metadata.iter().map(pair).sum();
            desk.extend_from_slice(&(length as u32).to_le_bytes());
            desk.extend_from_slice(correlation.unwrap_or_default().as_bytes());
            for text in draft.metadata.iter().flat_map(|(name, value)| [name, value]) {
                desk.extend_from_slice(&(text.len() as u16).to_le_bytes());
                desk.extend_from_slice(text.as_bytes());
            }
            desk.extend_from_slice(&draft.payload);
            let event = Self(Arc::from(desk.as_slice()));
            if desk.capacity() > DESK_BYTES_MAX {
                *desk = Vec::new();
            }
            event
        })
    }

    /// An event from the bytes of another one's [`block`](Self::block), which may come from anywhere.
    ///
    /// Errors: what keeps them from being an event.
    pub fn from_block(block: &[u8]) -> Result<Self, BlockError> {
        let (head, rest) = block.split_first_chunk::<VARIABLE>().ok_or(BlockError::Cut)?;
        let correlation = u16::from_le_bytes([head[CORRELATION_LENGTH], head[CORRELATION_LENGTH + 1]]);
        let metadata = u32::from_le_bytes(*head.last_chunk().expect("a head is longer than a number"));
        let (correlation, rest) =
            rest.split_at_checked(usize::from(correlation).saturating_sub(1)).ok_or(BlockError::Cut)?;
        let (mut metadata, _payload) = rest.split_at_checked(metadata as usize).ok_or(BlockError::Cut)?;
        if head[KIND] > ContentType::Bytes as u8 {
            return Err(BlockError::Kind(head[KIND]));
        }
        str::from_utf8(correlation).map_err(|_| BlockError::Text)?;
        let mut texts = 0;
        while !metadata.is_empty() {
            let (length, after) = metadata.split_first_chunk().ok_or(BlockError::Cut)?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (text, after) = after.split_at_checked(length).ok_or(BlockError::Cut)?;
            str::from_utf8(text).map_err(|_| BlockError::Text)?;
            (metadata, texts) = (after, texts + 1);
        }
        if texts % 2 != 0 {
            return Err(BlockError::Cut);
        }
        let event = Self(Arc::from(block));
        event.to_draft().check()?;
        Ok(event)
    }

    /// The bytes that it is made of, for [`from_block`](Self::from_block).
    pub fn block(&self) -> &[u8] {
        &self.0
    }

    /// The identity, which sorts by time.
    pub fn id(&self) -> Ulid {
        Ulid(u128::from_le_bytes(self.number(ID)))
    }

    /// When it was accepted, in microseconds since 1970.
    pub fn unix_micros(&self) -> u64 {
        u64::from_le_bytes(self.number(TIME))
    }

    /// What the payload is.
    pub fn content_type(&self) -> ContentType {
        match self.0[KIND] {
            0 => ContentType::Json,
            1 => ContentType::Text,
            _ => ContentType::Bytes,
        }
    }

    /// What it belongs to.
    pub fn correlation_id(&self) -> Option<&str> {
        let length = usize::from(u16::from_le_bytes(self.number(CORRELATION_LENGTH))).checked_sub(1)?;
        Some(text(&self.0[VARIABLE..VARIABLE + length]))
    }

    /// The names and values that travel with it.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let (start, end) = self.metadata_bounds();
        let mut rest = &self.0[start..end];
        let mut next = move || {
            let (length, after) = rest.split_first_chunk()?;
            let (own, after) = after.split_at(usize::from(u16::from_le_bytes(*length)));
            rest = after;
            Some(text(own))
        };
        std::iter::from_fn(move || Some((next()?, next()?)))
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        &self.0[self.metadata_bounds().1..]
    }

    /// The event as a draft, for another disruptor.
    pub fn to_draft(&self) -> Draft<'_> {
        Draft {
            content_type: self.content_type(),
            payload: Cow::Borrowed(self.payload()),
            metadata: self.metadata().map(|(name, value)| (name.into(), value.into())).collect(),
            correlation_id: self.correlation_id().map(Cow::Borrowed),
        }
    }

    fn metadata_bounds(&self) -> (usize, usize) {
        let correlation = u16::from_le_bytes(self.number(CORRELATION_LENGTH)).saturating_sub(1);
        let start = VARIABLE + usize::from(correlation);
        (start, start + u32::from_le_bytes(self.number(METADATA_LENGTH)) as usize)
    }

    fn number<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.0[at..].first_chunk().expect("a block has all its numbers")
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("a draft's texts are UTF-8, and their lengths are kept")
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = String::from_utf8_lossy(self.payload());
        f.debug_struct("Event").field("id", &self.id()).field("payload", &payload).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockError, ContentType, Draft, Event};
    use crate::base::ulid::Ulid;
    use std::borrow::Cow;

    #[test]
    fn a_block_comes_back_as_the_event_and_a_damaged_one_is_refused_or_a_right_one() {
        let draft = Draft {
            content_type: ContentType::Json,
            payload: Cow::Borrowed(b"[1]"),
            metadata: vec![("a".into(), "b".into())],
            correlation_id: Some("c".into()),
        };
        let event = Event::new(&draft, Ulid(7), 9);
        let block = event.block().to_vec();
        let again = Event::from_block(&block).expect("it is whole");
        assert_eq!((again.block(), again.id()), (event.block(), event.id()));
        let refused = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut block = block.clone();
            change(&mut block);
            Event::from_block(&block).expect_err("refused")
        };
        assert_eq!(refused(&|block| block.truncate(30)), BlockError::Cut);
        assert_eq!(refused(&|block| block[24] = 3), BlockError::Kind(3));
        assert_eq!(refused(&|block| block[25] = 255), BlockError::Cut);
        assert_eq!(refused(&|block| block[30] = 255), BlockError::Cut);
        assert_eq!(refused(&|block| block[31] = 255), BlockError::Text);
        assert!(matches!(refused(&|block| block.truncate(block.len() - 1)), BlockError::Wrong(_)));
        fn property(block: Vec<u8>, place: usize, byte: u8, cut: usize) {
            let draft = Draft::bare(ContentType::Bytes, &block);
            let mut block = Event::new(&draft, Ulid(1), 1).block().to_vec();
            let place = place % block.len();
            block[place] = byte;
            block.truncate(block.len() - cut % 40 % block.len());
            // Whatever it says, reading it does not fail.
            if let Ok(event) = Event::from_block(&block) {
                assert_eq!(event.metadata().count() + event.payload().len(), {
                    let draft = event.to_draft();
                    draft.metadata.len() + draft.payload.len()
                });
            }
        }
        quickcheck::quickcheck(property as fn(_, _, _, _));
    }

    #[test]
    fn an_event_gives_back_what_was_put_in() {
        fn property(
            payload: Vec<u8>,
            metadata: Vec<(String, String)>,
            correlation: Option<String>,
            id: u128,
        ) {
            let draft = Draft {
                content_type: ContentType::Bytes,
                payload: Cow::Owned(payload),
                metadata: metadata.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
                correlation_id: correlation.map(Cow::Owned),
            };
            let event = Event::new(&draft, Ulid(id), 7);
            assert_eq!((event.id(), event.unix_micros()), (Ulid(id), 7));
            let again = event.to_draft();
            assert_eq!((again.content_type, again.payload), (draft.content_type, draft.payload));
            assert_eq!((again.metadata, again.correlation_id), (draft.metadata, draft.correlation_id));
        }
        quickcheck::quickcheck(property as fn(_, _, _, _));
    }

    #[test]
    fn what_is_too_large_or_no_json_is_refused_with_the_limit() {
        let check = |draft: Draft<'_>, message: &str| {
            let error = draft.check().expect_err("refused");
            assert!(error.message.contains(message), "{error:?}");
        };
        let large = vec![b'1'; (1 << 20) + 1];
        check(Draft::bare(ContentType::Json, &large), "bytes of payload: 1048577, at most 1048576");
        check(Draft::bare(ContentType::Json, b"{\"a\":}"), "not JSON");
        check(Draft::bare(ContentType::Json, b" null "), "null is not an event");
        check(Draft::bare(ContentType::Text, b"\xff"), "not UTF-8");
        let mut draft = Draft::bare(ContentType::Json, b"1");
        draft.metadata.push(("".into(), "x".into()));
        check(draft.clone(), "a name is empty");
        draft.metadata = vec![("a".into(), "x".into()); 65];
        check(draft.clone(), "pairs: 65, at most 64");
        draft.metadata = vec![("a".into(), "x".repeat(4097).into())];
        check(draft, "characters in a value: 4097");
    }
}
