//! A node's start, what it offers while it runs, and its end.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde_json::json;
use thiserror::Error;

use super::bell::Bell;
use super::cluster::Membership;
use super::history::{History, STEP_SECONDS};
use super::keys::{Keys, NewKey, Role};
use super::logs::Logs;
use super::settings::{SettingError, Settings};
use super::store::{Kept, Store, StoreError, replace_file};
use crate::base::clock::Clock;
use crate::cluster::ClusterError;
use crate::engine::{
    Author, Defaults, Definition, Engine, EngineError, EngineOptions, Idempotency, Lifecycle, NamedDisruptor,
};
use crate::replication::Replication;

/// Why a node does not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder is of no use.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A disruptor of the configuration or of the data folder cannot be.
    #[error("disruptor `{name}`: {source}")]
    Disruptor {
        /// Its name.
        name: String,
        /// Why not.
        source: EngineError,
    },
    /// The operating system refused something.
    #[error("{what}: {reason}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The answer.
        reason: String,
    },
    /// The node cannot take part in its cluster.
    #[error("cluster: {0}")]
    Cluster(#[from] ClusterError),
}

/// How a node's end went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// By disruptor: events that were acknowledged and that a sink has not had.
    pub left: Vec<(String, u64)>,
}

/// One badbatch process.
pub struct Node {
    clock: Clock,
    started: Duration,
    settings: RwLock<Settings>,
    engine: Arc<Engine>,
    keys: Keys,
    idempotency: Arc<Idempotency>,
    history: Arc<History>,
    store: Option<Arc<Store>>,
    /// Names of disruptors that would be made at the start, and were deleted.
    deleted: Mutex<Vec<String>>,
    is_draining: AtomicBool,
    on_shutdown: Box<dyn Fn() + Send + Sync>,
    /// How long draining may take, if whoever asked for the end said so.
    drain: Mutex<Option<Duration>>,
    /// Held for as long as a reload takes.
    source: Mutex<Option<Source>>,
    sampler: Mutex<Option<(Arc<Bell>, JoinHandle<()>)>>,
    pub(super) membership: Option<Membership>,
    pub(super) replication: OnceLock<Replication>,
    new_key: Option<(String, PathBuf)>,
    needs_keys: bool,
}

/// Reads the settings where they come from.
type Source = Box<dyn Fn() -> Result<Settings, Vec<SettingError>> + Send>;

/// What came of reading the settings again. Keys of disruptors are `disruptors.NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Keys whose new values hold from now on.
    pub taken: Vec<String>,
    /// Keys whose new values wait for a restart.
    pub waiting: Vec<String>,
    /// Keys of new disruptors that cannot be, and why not.
    pub failed: Vec<(String, String)>,
}

/// Why the settings were not read again. Nothing has changed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReloadError {
    /// Nobody has told the node where its settings come from.
    #[error("this server was not told where its settings come from")]
    NoSource,
    /// Something is wrong with them; every mistake is told.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Wrong(Vec<SettingError>),
}

const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// The disruptor that is there at the first start.
const MAIN: &str = "main";

impl Node {
    /// Starts a node: what the data folder keeps, what the configuration defines, and `main`.
    ///
    /// `on_shutdown` is called when a client asks for the end; it must bring about [`Node::stop`].
    pub fn start(
        settings: Settings,
        on_shutdown: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Self>, StartError> {
        let clock = Clock::system();
        let store = settings.data_dir().map(|folder| Store::open(&folder)).transpose()?.map(Arc::new);
        let keys = store.as_ref().map_or_else(|| Ok(Keys::default()), |store| store.keys())?;
        let mut salt = [0; 4];
        getrandom::fill(&mut salt)
            .map_err(|error| StartError::System { what: "random numbers", reason: error.to_string() })?;
        let engine = Engine::new(EngineOptions {
            clock: clock.clone(),
            salt: u32::from_le_bytes(salt),
            files: store.as_ref().map(|store| store.files()),
            disruptors_max: settings.number("server.max_disruptors") as usize,
            replicates: settings.is_on("cluster.enabled"),
        });
        let kept = store.as_ref().map_or_else(|| Ok(Vec::new()), |store| store.answers())?;
        let keeper = store.clone();
        let idempotency = Arc::new(Idempotency::new(clock.clone(), kept, move |answer| {
            if let Some(store) = &keeper {
                store.keep_answer(answer);
            }
        }));
        if let Some(store) = &store {
            store.replace_answers(|| idempotency.remembered())?;
        }
        let now = clock.unix_micros();
        let needs_keys = needs_keys(&settings);
        for text in settings.texts("auth.api_keys") {
            keys.add(&text, "from the configuration", now);
        }
        let new_key =
            if needs_keys && keys.is_empty() { Some(first_key(&keys, &settings, now)?) } else { None };
        if let (Some(store), Some(_)) = (&store, &new_key) {
            store.keep_keys(&keys)?;
        }
        let (kept, deleted) =
            store.as_ref().map_or_else(|| Ok(Default::default()), |store| store.disruptors())?;
        let membership = Membership::start(&settings, store.as_deref(), &clock)?;
        let node = Arc::new(Self {
            started: clock.monotonic(),
            clock,
            engine,
            keys,
            idempotency,
            history: Arc::default(),
            store,
            deleted: Mutex::new(deleted),
            is_draining: AtomicBool::new(false),
            on_shutdown: Box::new(on_shutdown),
            drain: Mutex::new(None),
            source: Mutex::new(None),
            sampler: Mutex::new(None),
            membership,
            replication: OnceLock::new(),
            new_key,
            needs_keys,
            settings: RwLock::new(settings),
        });
        node.start_replication()?;
        node.make_disruptors(kept)?;
        node.start_sampler()?;
        Ok(node)
    }

    fn make_disruptors(&self, kept: Vec<Kept>) -> Result<(), StartError> {
        let settings = self.settings();
        let mut wanted: Vec<(Definition, bool)> =
            kept.into_iter().map(|kept| (kept.definition, kept.starts)).collect();
        let is_new =
            |name: &str, wanted: &[(Definition, bool)]| wanted.iter().all(|(known, _)| known.name != name);
        for definition in settings.definitions() {
            // What the file says goes before what was made when it said something else.
            wanted.retain(|(known, _)| known.name != definition.name);
            wanted.push((definition.clone(), true));
        }
        let was_deleted = self.deleted.lock().iter().any(|name| name == MAIN);
        if settings.is_on("server.main") && !was_deleted && is_new(MAIN, &wanted) {
            let main = json!({"name": MAIN, "producer_type": "multi", "buffer_size": 1024});
            let main = Definition::from_json(&main, None, &Defaults::default())
                .expect("our own definition is right");
            wanted.push((main, true));
        }
        for (definition, starts) in wanted {
            let name = definition.name.clone();
            let made = self.engine.create(definition, Author::Operator);
            let made = made.and_then(|(disruptor, _)| self.begin(&disruptor, starts));
            made.map_err(|source| StartError::Disruptor { name, source })?;
        }
        Ok(())
    }

    /// Starts a disruptor that is new here, or finds out where it is to start.
    fn begin(&self, disruptor: &Arc<NamedDisruptor>, starts: bool) -> Result<(), EngineError> {
        match self.replication().filter(|_| disruptor.copies().is_some()) {
            Some(replication) => {
                replication.adopt(disruptor, starts);
                Ok(())
            }
            None if starts => disruptor.start(),
            None => Ok(()),
        }
    }

    fn start_sampler(self: &Arc<Self>) -> Result<(), StartError> {
        let bell = Arc::new(Bell::default());
        let (engine, own) = (Arc::clone(&self.engine), Arc::clone(&bell));
        let (history, clock) = (Arc::clone(&self.history), self.clock.clone());
        let (store, idempotency) = (self.store.clone(), Arc::clone(&self.idempotency));
        let sample = move || {
            for second in 0_u64.. {
                if let Some(store) = store.as_ref().filter(|store| store.has_stale_answers())
                    && let Err(error) = store.replace_answers(|| idempotency.remembered())
                {
                    log::error!(target: "node", "answers that are forgotten stay on disk: {error}");
                }
                if second % STEP_SECONDS == 0 {
                    history.record(&engine, clock.unix_micros() / 1_000_000);
                }
                engine.list().iter().for_each(|disruptor| disruptor.sample());
                if own.is_rung_within(SAMPLE_EVERY) {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("sampler".to_owned()).spawn(sample);
        let thread =
            thread.map_err(|error| StartError::System { what: "thread", reason: error.to_string() })?;
        *self.sampler.lock() = Some((bell, thread));
        Ok(())
    }

    /// Hands over what others have copies of, drains every disruptor, leaves the cluster, and ends. Events that are left after the time are told, not lost silently.
    pub fn stop(&self) -> Stopped {
        self.begin_drain();
        if let Some((bell, thread)) = self.sampler.lock().take() {
            bell.ring();
            // It does nothing that could panic but by our own fault, which has been printed.
            let _ended = thread.join();
        }
        // While others can still take over what has its home here.
        self.replication().into_iter().for_each(Replication::hand_over);
        let left = self.engine.shut_down(self.drain_timeout());
        self.membership.iter().for_each(Membership::leave);
        self.replication().into_iter().for_each(Replication::end);
        Stopped { left }
    }

    /// Makes the node say that it is not ready any more.
    pub fn begin_drain(&self) {
        // Relaxed: it is told to clients, and nothing depends on when they hear of it.
        self.is_draining.store(true, Ordering::Relaxed);
        self.engine.stop_waiting();
        self.membership.iter().for_each(Membership::stop_waiting);
    }

    /// Whether the node is about to end.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Asks whoever runs the node to end it, and tells how long draining may take: the settings say it unless `drain`
    /// does.
    pub fn request_shutdown(&self, drain: Option<Duration>) -> Duration {
        *self.drain.lock() = drain;
        self.begin_drain();
        (self.on_shutdown)();
        self.drain_timeout()
    }

    fn drain_timeout(&self) -> Duration {
        let asked = *self.drain.lock();
        asked.unwrap_or_else(|| self.settings.read().drain_timeout())
    }

    /// The named disruptors.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// The access keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether clients must show a key.
    pub fn needs_keys(&self) -> bool {
        self.needs_keys
    }

    /// The key that was made at this start because there was none, and the file that it is in.
    pub fn new_key(&self) -> Option<(&str, &PathBuf)> {
        self.new_key.as_ref().map(|(text, path)| (text.as_str(), path))
    }

    /// The answers to requests that may come twice.
    pub fn idempotency(&self) -> &Idempotency {
        &self.idempotency
    }

    /// The numbers of the last hour.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long the node has run.
    pub fn uptime(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Settings {
        self.settings.read().clone()
    }

    /// Pages of these origins may use the node.
    pub fn cors_origins(&self) -> Vec<String> {
        self.settings.read().texts("server.cors_origins")
    }

    /// What each client may ask per second; 0 for no limit.
    pub fn requests_per_second(&self) -> u64 {
        self.settings.read().number("server.requests_per_second")
    }

    /// Changes settings while the node runs.
    ///
    /// Errors: as [`Settings::change`].
    pub fn change_settings(&self, changes: &serde_json::Value) -> Result<(), Vec<crate::engine::FieldError>> {
        let mut settings = self.settings.write();
        settings.change(changes, &super::settings::Origin::Api)?;
        Logs::set_level(settings.text("logging.level").unwrap_or_default());
        Ok(())
    }

    /// Tells the node where its settings come from, for [`reload`](Self::reload).
    pub fn set_source(&self, read: impl Fn() -> Result<Settings, Vec<SettingError>> + Send + 'static) {
        *self.source.lock() = Some(Box::new(read));
    }

    /// Reads the settings again, takes what is live of them, and makes disruptors that are newly defined. The log tells
    /// what came of it.
    ///
    /// Errors: nothing has changed.
    pub fn reload(&self) -> Result<Reloaded, ReloadError> {
        let source = self.source.lock();
        let new = match source.as_ref() {
            Some(read) => read().map_err(ReloadError::Wrong),
            None => Err(ReloadError::NoSource),
        };
        let reloaded = new.map(|new| self.take(&new));
        match &reloaded {
            Ok(Reloaded { waiting, failed, .. }) => {
                match waiting.is_empty() {
                    true => log::info!(target: "node", "settings read again"),
                    false => {
                        let keys = waiting.join(", ");
                        log::warn!(target: "node", "settings read again; these wait for a restart: {keys}");
                    }
                }
                for (key, reason) in failed {
                    log::error!(target: "node", "settings read again; {key}: {reason}");
                }
            }
            Err(error) => log::error!(target: "node", "settings not read again: {error}"),
        }
        reloaded
    }

    fn take(&self, new: &Settings) -> Reloaded {
        let mut reloaded = {
            let mut settings = self.settings.write();
            let (taken, waiting) = settings.reload(new);
            Logs::set_level(settings.text("logging.level").unwrap_or_default());
            let texts = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
            Reloaded { taken: texts(taken), waiting: texts(waiting), failed: Vec::new() }
        };
        for definition in new.definitions() {
            let key = format!("disruptors.{}", definition.name);
            let made = self.engine.create(definition.clone(), Author::Operator);
            let made = made.and_then(|(disruptor, is_new)| {
                if is_new {
                    self.begin(&disruptor, true)?;
                }
                Ok(is_new)
            });
            match made {
                Ok(true) => reloaded.taken.push(key),
                Ok(false) => {}
                Err(EngineError::NameTaken { .. }) => reloaded.waiting.push(key),
                Err(error) => reloaded.failed.push((key, error.to_string())),
            }
        }
        reloaded
    }

    /// Makes a disruptor for a client, starts it if it is to, and keeps it for the next start. The second value tells
    /// whether it is new.
    ///
    /// Errors: as [`Engine::create`] and [`NamedDisruptor::start`].
    pub fn create(
        &self,
        definition: Definition,
        starts: bool,
    ) -> Result<(Arc<NamedDisruptor>, bool), EngineError> {
        let (disruptor, is_new) = self.engine.create(definition, Author::Client)?;
        if is_new {
            if let (Some(replication), true) = (self.replication(), disruptor.copies().is_some()) {
                replication.create(&disruptor, starts);
            } else if starts && let Err(error) = disruptor.start() {
                self.engine.delete(&disruptor, Duration::ZERO)?;
                return Err(error);
            }
            self.deleted.lock().retain(|name| name != disruptor.name());
            self.keep_disruptors();
        }
        Ok((disruptor, is_new))
    }

    /// Drains a disruptor, deletes it, and sees to it that it stays deleted.
    ///
    /// Errors: as [`Engine::delete`], or [`EngineError::NotHome`].
    pub fn delete(&self, disruptor: &NamedDisruptor, timeout: Duration) -> Result<(), EngineError> {
        disruptor.check_home()?;
        self.engine.delete(disruptor, timeout)?;
        self.replication().into_iter().for_each(|replication| replication.remove(disruptor.name()));
        let mut deleted = self.deleted.lock();
        if disruptor.name() == MAIN && !deleted.iter().any(|name| name == MAIN) {
            deleted.push(MAIN.to_owned());
        }
        drop(deleted);
        self.keep_disruptors();
        Ok(())
    }

    /// Keeps what disruptors there are, and which of them run.
    pub fn keep_disruptors(&self) {
        let Some(store) = &self.store else { return };
        let defined: Vec<String> =
            self.settings.read().definitions().iter().map(|definition| definition.name.clone()).collect();
        let deleted = self.deleted.lock();
        let list = self.engine.list();
        let kept = list.iter().filter(|disruptor| !defined.iter().any(|name| name == disruptor.name()));
        let kept = kept.filter_map(|disruptor| {
            let starts = match disruptor.lifecycle().0 {
                // A copy is no reason to have the disruptor after a restart.
                Lifecycle::Following => self.replication()?.is_defined(disruptor.name())?,
                state => matches!(state, Lifecycle::Running | Lifecycle::Paused | Lifecycle::Failed),
            };
            Some(Kept { definition: disruptor.definition().clone(), starts })
        });
        if let Err(error) = store.keep_disruptors(&kept.collect::<Vec<_>>(), &deleted) {
            log::error!(target: "node", "disruptors are not kept for the next start: {error}");
        }
    }

    pub(super) fn store(&self) -> Option<&Store> {
        self.store.as_deref()
    }

    /// Keeps the keys for the next start.
    ///
    /// Errors: the data folder does not take them.
    pub fn keep_keys(&self) -> Result<(), StoreError> {
        self.store.as_ref().map_or(Ok(()), |store| store.keep_keys(&self.keys))
    }
}

/// Clients on the same machine need none unless it is asked for; all others do unless it is waived.
fn needs_keys(settings: &Settings) -> bool {
    match settings.text("auth.enabled") {
        Some("true") => true,
        Some("false") => false,
        _ => !is_loopback(settings.bind_addr().ip()) && !settings.is_on("server.insecure"),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// A key for the operator, printed once and kept where only they can read it.
fn first_key(keys: &Keys, settings: &Settings, now: u64) -> Result<(String, PathBuf), StartError> {
    let system = |reason: String| StartError::System { what: "first key", reason };
    let folder = settings
        .data_dir()
        .or_else(config_folder)
        .ok_or_else(|| system("there is no folder for it; give --data-dir, or set HOME".to_owned()))?;
    let new = NewKey { name: "first".to_owned(), role: Role::Admin, scope: None, expires_in: None };
    let (_, text) = keys.create(new, now).map_err(|error| system(error.to_string()))?;
    let path = folder.join("admin.key");
    let written =
        std::fs::create_dir_all(&folder).and_then(|()| replace_file(&path, format!("{text}\n").as_bytes()));
    written.map_err(|error| system(format!("{}: {error}", path.display())))?;
    Ok((text, path))
}

/// Where programs of this user keep their configuration.
fn config_folder() -> Option<PathBuf> {
    let own = std::env::var_os("XDG_CONFIG_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || {
        std::env::var_os("HOME")
            .filter(|path| !path.is_empty())
            .map(|home| PathBuf::from(home).join(".config"))
    };
    own.or_else(home).map(|folder| folder.join("badbatch"))
}
