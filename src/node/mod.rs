//! Layer 5: one badbatch process: its configuration, its engine, its keys, its place in a cluster, what it keeps on disk,
//! its start and end.
//!
//! Nothing here knows of HTTP: a face is given a [`Node`] and serves it. Events are volatile; what a node keeps in its
//! data folder are definitions, keys and the answers that idempotency needs. Start with [`Node`] and [`Settings`].

mod bell;
mod cluster;
mod cluster_log;
mod history;
mod keys;
mod logs;
mod process;
mod settings;
mod store;
mod tree;

pub use cluster::{HTTP, KeyChangeError};
pub use cluster_log::{ClusterEvent, ClusterLog};
pub use history::{History, SERIES, STEP_SECONDS};
pub use keys::{AccessKey, Keys, NewKey, Role};
pub use logs::{LogFormat, Logs};
pub use process::{Node, ReloadError, Reloaded, StartError, Stopped};
pub(crate) use settings::key_bytes;
pub use settings::{Origin, SettingError, Settings};
pub use store::StoreError;
