//! What a node keeps in its data folder, so that the next start knows it.
//!
//! Files are replaced as a whole, by a rename, so that a crash leaves the old one or the new one. Only the answers
//! for idempotency are appended, and a last line that was cut off is passed over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use parking_lot::Mutex;
use serde_json::{Value, json};
use thiserror::Error;

use super::keys::Keys;
use super::settings::key_bytes;
use crate::cluster::swim::NodeId;
use crate::engine::{Answer, Defaults, Definition, Remembered};
use crate::sys::process::{FileLock, lock_file};

/// Why the data folder is of no use. Nothing in it has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not what a node wrote. Mend it, or move it away to start without it.
    #[error("{}: {message}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Another node uses the folder.
    #[error("{} is used by another server", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

/// A disruptor that was made while the node ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub definition: Definition,
    /// Whether it is to be started with the node.
    pub starts: bool,
}

/// The file of answers, and how many were appended since it was written anew.
struct Answers {
    file: File,
    appended: usize,
}

/// Twice what is remembered.
const APPENDED_MAX: usize = 20_000;

/// A data folder, used by this process alone.
pub struct Store {
    folder: PathBuf,
    answers: Mutex<Answers>,
    _lock: FileLock,
}

const DISRUPTORS: &str = "disruptors.json";
const KEYS: &str = "keys.json";
const NODE_ID: &str = "node-id.json";
const CLUSTER_KEYS: &str = "cluster-keys.json";
const ANSWERS: &str = "idempotency.ndjson";
const LOCK: &str = "lock";

impl Store {
    /// Opens a data folder, and makes it if it is not there.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let told = |source| StoreError::Io { path: folder.to_owned(), source };
        fs::create_dir_all(folder.join("files")).map_err(told)?;
        let lock = lock_file(&folder.join(LOCK)).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreError::InUse { path: folder.to_owned() },
            _ => told(error),
        })?;
        let path = folder.join(ANSWERS);
        let answers = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let answers = answers.map_err(|source| StoreError::Io { path, source })?;
        Ok(Self {
            folder: folder.to_owned(),
            answers: Mutex::new(Answers { file: answers, appended: 0 }),
            _lock: lock,
        })
    }

    /// Where sinks may write files.
    pub fn files(&self) -> PathBuf {
        self.folder.join("files")
    }

    /// The disruptors that were kept, and the names of those that must not come back by themselves.
    pub fn disruptors(&self) -> Result<(Vec<Kept>, Vec<String>), StoreError> {
        let Some(document) = self.read(DISRUPTORS)? else { return Ok((Vec::new(), Vec::new())) };
        let damaged = |message: &str| StoreError::Damaged {
            path: self.folder.join(DISRUPTORS),
            message: message.to_owned(),
        };
        let list = document["disruptors"].as_array().ok_or_else(|| damaged("`disruptors` is not a list"))?;
        let kept = list.iter().map(|kept| {
            let definition = Definition::from_json(&kept["definition"], None, &Defaults::default());
            let definition = definition.map_err(|errors| damaged(&errors[0].to_string()))?;
            Ok(Kept { definition, starts: kept["starts"] == true })
        });
        let deleted = document["deleted"].as_array().into_iter().flatten();
        let deleted = deleted.filter_map(|name| Some(name.as_str()?.to_owned()));
        Ok((kept.collect::<Result<_, _>>()?, deleted.collect()))
    }

    /// Keeps the disruptors.
    pub fn keep_disruptors(&self, kept: &[Kept], deleted: &[String]) -> Result<(), StoreError> {
        let kept =
            kept.iter().map(|kept| json!({"definition": kept.definition.to_json(), "starts": kept.starts}));
        self.write(DISRUPTORS, &json!({"disruptors": kept.collect::<Vec<_>>(), "deleted": deleted}))
    }

    /// The keys that were kept.
    pub fn keys(&self) -> Result<Keys, StoreError> {
        let Some(document) = self.read(KEYS)? else { return Ok(Keys::default()) };
        let message = "it is not a list of keys".to_owned();
        Keys::from_json(&document)
            .ok_or_else(|| StoreError::Damaged { path: self.folder.join(KEYS), message })
    }

    /// Keeps the keys.
    pub fn keep_keys(&self, keys: &Keys) -> Result<(), StoreError> {
        self.write(KEYS, &keys.to_json())
    }

    /// The node's name in its cluster, if one was kept.
    pub fn node_id(&self) -> Result<Option<NodeId>, StoreError> {
        let Some(document) = self.read(NODE_ID)? else { return Ok(None) };
        let damaged = || StoreError::Damaged {
            path: self.folder.join(NODE_ID),
            message: "it is not a node's name".to_owned(),
        };
        document.as_str().and_then(NodeId::new).map(Some).ok_or_else(damaged)
    }

    /// Keeps the node's name in its cluster.
    pub fn keep_node_id(&self, id: &NodeId) -> Result<(), StoreError> {
        self.write(NODE_ID, &json!(id.as_str()))
    }

    /// The keys of the cluster, if they were changed while a node ran; that which closes first.
    pub fn cluster_keys(&self) -> Result<Option<Vec<[u8; 32]>>, StoreError> {
        let Some(document) = self.read(CLUSTER_KEYS)? else { return Ok(None) };
        let keys = document.as_array().filter(|keys| !keys.is_empty());
        let keys = keys.and_then(|keys| keys.iter().map(|key| key_bytes(key.as_str()?)).collect());
        let damaged = || StoreError::Damaged {
            path: self.cluster_keys_path(),
            message: "it is not a list of keys of 32 bytes".to_owned(),
        };
        keys.map(Some).ok_or_else(damaged)
    }

    /// Where the keys of the cluster are kept.
    pub fn cluster_keys_path(&self) -> PathBuf {
        self.folder.join(CLUSTER_KEYS)
    }

    /// Keeps the keys of the cluster.
    pub fn keep_cluster_keys(&self, keys: &[[u8; 32]]) -> Result<(), StoreError> {
        self.write(CLUSTER_KEYS, &keys.iter().map(|key| BASE64.encode(key)).collect())
    }

    /// The answers that were kept, and from now on only those.
    pub fn answers(&self) -> Result<Vec<Remembered>, StoreError> {
        let path = self.folder.join(ANSWERS);
        let file = File::open(&path).map_err(|source| StoreError::Io { path, source })?;
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        Ok(lines.filter_map(|line| remembered(&serde_json::from_str(&line).ok()?)).collect())
    }

    /// Keeps only the answers that are still remembered.
    pub fn replace_answers(&self, remembered: impl FnOnce() -> Vec<Remembered>) -> Result<(), StoreError> {
        // Nobody appends meanwhile, so that nothing is lost between the two.
        let mut answers = self.answers.lock();
        let path = self.folder.join(ANSWERS);
        let text: Vec<u8> = remembered().iter().flat_map(line).collect();
        self.replace(ANSWERS, &text)?;
        let opened = OpenOptions::new().append(true).open(&path);
        *answers = Answers { file: opened.map_err(|source| StoreError::Io { path, source })?, appended: 0 };
        Ok(())
    }

    /// Keeps one more answer.
    pub fn keep_answer(&self, answer: &Remembered) {
        let mut answers = self.answers.lock();
        answers.appended += 1;
        if let Err(error) = answers.file.write_all(&line(answer)) {
            log::error!(target: "node", "an answer is not kept for the next start: {error}");
        }
    }

    /// Whether so many answers were kept that most of them must be forgotten by now.
    pub fn has_stale_answers(&self) -> bool {
        self.answers.lock().appended > APPENDED_MAX
    }

    fn read(&self, name: &str) -> Result<Option<Value>, StoreError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(document) => Ok(Some(document)),
                Err(error) => Err(StoreError::Damaged { path, message: error.to_string() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Io { path, source }),
        }
    }

    fn write(&self, name: &str, document: &Value) -> Result<(), StoreError> {
        self.replace(name, format!("{document:#}\n").as_bytes())
    }

    fn replace(&self, name: &str, text: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        replace_file(&path, text).map_err(|source| StoreError::Io { path, source })
    }
}

/// Replaces a file that only its owner may read, at once and for good.
pub fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut beside = path.to_owned().into_os_string();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn line(kept: &Remembered) -> Vec<u8> {
    let line = json!({
        "key": kept.key, "hash": BASE64.encode(kept.hash), "unix_micros": kept.unix_micros,
        "status": kept.answer.status, "content_type": kept.answer.content_type, "body": BASE64.encode(&*kept.answer.body),
    });
    format!("{line}\n").into_bytes()
}

fn remembered(line: &Value) -> Option<Remembered> {
    let text = |name: &str| line.get(name)?.as_str();
    let bytes = |name: &str| BASE64.decode(text(name)?).ok();
    Some(Remembered {
        key: text("key")?.to_owned(),
        hash: bytes("hash")?.try_into().ok()?,
        unix_micros: line.get("unix_micros")?.as_u64()?,
        answer: Answer {
            status: u16::try_from(line.get("status")?.as_u64()?).ok()?,
            content_type: text("content_type")?.to_owned(),
            body: bytes("body")?.into(),
        },
    })
}
