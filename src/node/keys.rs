//! Access keys: who may do what, without anybody knowing the keys but their holders.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::engine::{FieldError, Fields, check_name, rfc3339};

/// What a key allows. Each role allows what those before it allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Read.
    Viewer,
    /// Publish.
    Writer,
    /// Create, stop, delete, and manage keys and the node.
    Admin,
}

/// The words for roles.
pub const ROLES: [(&str, Role); 3] =
    [("viewer", Role::Viewer), ("writer", Role::Writer), ("admin", Role::Admin)];

impl Role {
    /// The role's word.
    pub fn name(self) -> &'static str {
        crate::engine::word(&ROLES, self)
    }
}

/// A key as it is kept: without its secret.
#[derive(Debug)]
pub struct AccessKey {
    /// What tells it from others, and is part of it.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// If given, it is good for disruptors whose names begin so, and for nothing that is about the whole node.
    pub scope: Option<String>,
    /// When it was made, in microseconds since 1970.
    pub created_unix_micros: u64,
    /// When it ends.
    pub expires_unix_micros: Option<u64>,
    hash: [u8; 32],
    last_used_unix_micros: AtomicU64,
}

/// What a new key is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The beginning of the names of the disruptors that it is good for.
    pub scope: Option<String>,
    /// How long it is good.
    pub expires_in: Option<Duration>,
}

/// The largest number of keys.
const KEYS_MAX: usize = 1000;
/// Ten years: what is longer is for ever.
const EXPIRY_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

impl NewKey {
    /// Reads what a client asks for.
    ///
    /// Errors: all that is wrong.
    pub fn from_json(value: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(value, "");
        let name = fields.text("name").unwrap_or_default().to_owned();
        if name.is_empty() || name.chars().count() > 128 {
            fields.refuse("name", "is 1 to 128 characters long and says what the key is for");
        }
        let role = fields.choice("role", &ROLES);
        if role.is_none() && value.get("role").is_none() {
            fields.missing("role", "viewer, writer or admin");
        }
        let scope = fields.text("scope").map(str::to_owned);
        if let Some(Err(message)) = scope.as_deref().map(check_name) {
            fields.refuse("scope", message);
        }
        let expires_in = fields.duration("expires_in");
        if expires_in.is_some_and(|span| span.is_zero() || span > EXPIRY_MAX) {
            fields.refuse(
                "expires_in",
                "is not between 1ms and ten years; leave it out for a key that does not end",
            );
        }
        let errors = fields.finish();
        match role {
            Some(role) if errors.is_empty() => Ok(Self { name, role, scope, expires_in }),
            _ => Err(errors),
        }
    }
}

/// The keys of a node.
#[derive(Debug, Default)]
pub struct Keys(RwLock<Vec<AccessKey>>);

impl Keys {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.read().is_empty()
    }

    /// Makes a key and returns its text, which is not kept.
    ///
    /// Errors: there are as many as there may be, or the system has no randomness.
    pub fn create(&self, new: NewKey, now: u64) -> Result<(Value, String), FieldError> {
        let mut random = [0; 28];
        getrandom::fill(&mut random).map_err(|error| {
            FieldError::new("key", format!("the system gives no random numbers: {error}"))
        })?;
        let (id, secret) = (hex(&random[..4]), hex(&random[4..]));
        let text = format!("bb_{id}_{secret}");
        let mut keys = self.0.write();
        if keys.len() >= KEYS_MAX {
            return Err(FieldError::new("key", format!("there are {KEYS_MAX} keys, which is the most"))
                .hint("revoke those that nobody uses"));
        }
        let key = AccessKey {
            id,
            name: new.name,
            role: new.role,
            scope: new.scope,
            created_unix_micros: now,
            expires_unix_micros: new.expires_in.map(|span| now + span.as_micros() as u64),
            hash: hash(&text),
            last_used_unix_micros: AtomicU64::new(0),
        };
        let shown = key.to_public_json();
        keys.push(key);
        Ok((shown, text))
    }

    /// Takes a key whose text somebody else has chosen, for everything.
    pub fn add(&self, text: &str, name: &str, now: u64) {
        let hash = hash(text);
        self.0.write().push(AccessKey {
            id: hex(&hash[..4]),
            name: name.to_owned(),
            role: Role::Admin,
            scope: None,
            created_unix_micros: now,
            expires_unix_micros: None,
            hash,
            last_used_unix_micros: AtomicU64::new(0),
        });
    }

    /// What a text allows, if it is a key: the role, the scope and the key's identifier.
    ///
    /// Every key is compared, in a time that does not tell how much of it is right.
    pub fn check(&self, text: &str, now: u64) -> Option<(Role, Option<String>, String)> {
        let given = hash(text);
        let keys = self.0.read();
        let matching = keys.iter().filter(|key| bool::from(key.hash.ct_eq(&given)));
        let key = matching.last().filter(|key| key.expires_unix_micros.is_none_or(|end| now < end))?;
        // Relaxed: a number for people.
        key.last_used_unix_micros.store(now, Ordering::Relaxed);
        Some((key.role, key.scope.clone(), key.id.clone()))
    }

    /// Ends a key; false if there is none with this identifier.
    pub fn revoke(&self, id: &str) -> bool {
        let mut keys = self.0.write();
        let before = keys.len();
        keys.retain(|key| key.id != id);
        keys.len() < before
    }

    /// All keys, as they may be shown.
    pub fn to_public_json(&self) -> Vec<Value> {
        self.0.read().iter().map(AccessKey::to_public_json).collect()
    }

    /// All keys, as they are kept on disk.
    pub(super) fn to_json(&self) -> Value {
        let keys = self.0.read();
        let key = |key: &AccessKey| {
            json!({
                "id": key.id, "name": key.name, "role": key.role.name(), "scope": key.scope, "hash": hex(&key.hash),
                "created_unix_micros": key.created_unix_micros, "expires_unix_micros": key.expires_unix_micros,
            })
        };
        keys.iter().map(key).collect()
    }

    /// What [`to_json`](Self::to_json) wrote.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let key = |value: &Value| {
            let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
            let role = text("role")?;
            Some(AccessKey {
                id: text("id")?,
                name: text("name")?,
                role: ROLES.iter().find(|(word, _)| *word == role)?.1,
                scope: text("scope"),
                created_unix_micros: value.get("created_unix_micros")?.as_u64()?,
                expires_unix_micros: value.get("expires_unix_micros")?.as_u64(),
                hash: unhex(&text("hash")?)?,
                last_used_unix_micros: AtomicU64::new(0),
            })
        };
        let keys: Option<Vec<_>> = value.as_array()?.iter().map(key).collect();
        Some(Self(RwLock::new(keys?)))
    }
}

impl AccessKey {
    fn to_public_json(&self) -> Value {
        let time = |micros: u64| match micros {
            0 => Value::Null,
            micros => json!(rfc3339(micros).to_string()),
        };
        json!({
            "id": self.id,
            "name": self.name,
            "role": self.role.name(),
            "scope": self.scope,
            "created_at": time(self.created_unix_micros),
            "expires_at": self.expires_unix_micros.map_or(Value::Null, time),
            "last_used_at": time(self.last_used_unix_micros.load(Ordering::Relaxed)),
        })
    }
}

/// A secret of 192 random bits has no need of a slow hash.
fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_hex = text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    is_hex.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Keys, NewKey, Role};
    use serde_json::json;
    use std::time::Duration;

    fn new(expires_in: Option<Duration>) -> NewKey {
        NewKey { name: "test".to_owned(), role: Role::Writer, scope: Some("a".to_owned()), expires_in }
    }

    #[test]
    fn a_key_is_known_until_it_ends_and_its_text_is_nowhere() {
        let keys = Keys::default();
        let (shown, text) = keys.create(new(Some(Duration::from_secs(1))), 5).expect("made");
        let (role, scope, id) = keys.check(&text, 6).expect("known");
        assert_eq!((role, scope.as_deref()), (Role::Writer, Some("a")));
        assert_eq!(shown["id"], id.as_str());
        let again = Keys::from_json(&keys.to_json()).expect("read");
        assert!(again.check(&text, 6).is_some());
        let secret = text.rsplit('_').next().expect("it has parts");
        assert!(!format!("{keys:?} {} {shown}", keys.to_json()).contains(secret));
        assert!(keys.check(&text, 1_000_005).is_none() && keys.check("bb_x_y", 6).is_none());
        assert!(keys.revoke(&id) && keys.check(&text, 6).is_none() && !keys.revoke(&id));
    }

    #[test]
    fn what_is_no_key_is_told() {
        let errors = NewKey::from_json(&json!({"role": "root"})).expect_err("refused");
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(NewKey::from_json(&json!({"name": "a", "role": "admin", "expires_in": "90d"})).is_ok());
        assert!(NewKey::from_json(&json!({"name": "a", "role": "admin", "expires_in": "1000y"})).is_err());
    }
}
