//! Identifiers that sort by the time they were made.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

/// 48 bits of milliseconds since 1970, then 80 bits that make it unique.
///
/// Text: 26 characters of Crockford's base 32. Source: the ULID specification, github.com/ulid/spec.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(pub u128);

/// A text that is not a [`Ulid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAUlid;

/// Crockford's digits: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 26;

impl Ulid {
    /// The characters of the text.
    pub fn to_text(self) -> [u8; LENGTH] {
        let mut text = [0; LENGTH];
        for (place, character) in text.iter_mut().rev().enumerate() {
            *character = DIGITS[(self.0 >> (5 * place)) as usize & 31];
        }
        text
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_text();
        f.pad(std::str::from_utf8(&text).expect("the digits are ASCII"))
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Ulid {
    type Err = NotAUlid;

    fn from_str(text: &str) -> Result<Self, NotAUlid> {
        // 26 digits hold 130 bits, so the first one is at most 7.
        if text.len() != LENGTH || !text.starts_with(|first| matches!(first, '0'..='7')) {
            return Err(NotAUlid);
        }
        text.bytes().try_fold(Self(0), |ulid, byte| {
            let digit = DIGITS.iter().position(|digit| byte.eq_ignore_ascii_case(digit)).ok_or(NotAUlid)?;
            Ok(Self(ulid.0 << 5 | digit as u128))
        })
    }
}

/// Makes ULIDs that are unique here, and elsewhere as far as the salts differ.
///
/// Shape: the 80 bits are the salt's lower 32 and a counter of 48, so that what is made later sorts later,
/// also within a millisecond, as long as the clock does not go back.
#[derive(Debug)]
pub struct UlidSource {
    salt: u32,
    counter: AtomicU64,
}

impl UlidSource {
    /// `salt` should be random.
    pub const fn new(salt: u32) -> Self {
        Self { salt, counter: AtomicU64::new(0) }
    }

    /// The next identifier, with this time in it.
    pub fn next(&self, unix_micros: u64) -> Ulid {
        // Relaxed: only the counter itself must be unique.
        let count = self.counter.fetch_add(1, Ordering::Relaxed) & ((1 << 48) - 1);
        let millis = u128::from(unix_micros / 1000) & ((1 << 48) - 1);
        Ulid(millis << 80 | u128::from(self.salt) << 48 | u128::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::{NotAUlid, Ulid, UlidSource};

    #[test]
    fn text_and_number_are_the_same_identifier() {
        let check = |number: u128, text: &str| {
            assert_eq!(Ulid(number).to_string(), text);
            assert_eq!(text.parse(), Ok(Ulid(number)));
            assert_eq!(text.to_lowercase().parse(), Ok(Ulid(number)));
        };
        check(0, "00000000000000000000000000");
        check(u128::MAX, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        // The time part of the specification's example.
        check(1_469_918_176_385 << 80, "01ARYZ6S410000000000000000");
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for text in [
            "",
            "0",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "0000000000000000000000000U",
            "\u{e9}000000000000000000000000",
        ] {
            assert_eq!(text.parse::<Ulid>(), Err(NotAUlid), "{text}");
        }
    }

    #[test]
    fn later_ones_sort_later() {
        let source = UlidSource::new(u32::MAX);
        let made: Vec<_> = [1000, 1000, 1999, 2000].map(|micros| source.next(micros).to_string()).into();
        assert!(made.is_sorted_by(|one, two| one < two), "{made:?}");
    }
}
