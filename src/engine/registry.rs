//! The set of named disruptors of a node.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::RwLock;

use super::definition::{Definition, SinkKind};
use super::error::EngineError;
use super::fields::FieldError;
use super::named::NamedDisruptor;
use super::sink::Surroundings;
use crate::base::clock::Clock;
use crate::base::deadline::Deadline;
use crate::base::nearest::nearest;
use crate::base::ulid::{Ulid, UlidSource};

/// What an engine is given.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Its time.
    pub clock: Clock,
    /// A random number, so that identifiers differ from those of other engines.
    pub salt: u32,
    /// Where file sinks may write; without it only those of an operator may.
    pub files: Option<PathBuf>,
    /// How many disruptors there may be; each has a thread per sink.
    pub disruptors_max: usize,
    /// Whether there are other nodes for copies, and somebody who sends them.
    pub replicates: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { clock: Clock::system(), salt: 0, files: None, disruptors_max: 256, replicates: false }
    }
}

/// The named disruptors of a node.
pub struct Engine {
    options: EngineOptions,
    surroundings: Surroundings,
    ids: Arc<UlidSource>,
    disruptors: RwLock<BTreeMap<String, Arc<NamedDisruptor>>>,
    /// Whether one of them ever had replicas.
    has_replicas: AtomicBool,
}

/// Who writes a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Author {
    /// Whoever may write the node's configuration: a file may be anywhere.
    Operator,
    /// Somebody on the network: a file stays in the folder for files.
    Client,
}

impl Engine {
    /// An engine without disruptors.
    pub fn new(options: EngineOptions) -> Arc<Self> {
        Arc::new_cyclic(|engine| Self {
            surroundings: Surroundings {
                engine: Weak::clone(engine),
                clock: options.clock.clone(),
                stops_waiting: Arc::default(),
                files: options.files.clone(),
            },
            ids: Arc::new(UlidSource::new(options.salt)),
            disruptors: RwLock::default(),
            has_replicas: AtomicBool::new(false),
            options,
        })
    }

    /// Makes a disruptor that is not started yet. The second value tells whether it is new: asking again for one
    /// that is defined in the same way gives the one that is there.
    ///
    /// Errors: [`EngineError::NameTaken`], `TooMany`, or `Invalid` for sinks that cannot be.
    pub fn create(
        &self,
        definition: Definition,
        author: Author,
    ) -> Result<(Arc<NamedDisruptor>, bool), EngineError> {
        let mut disruptors = self.disruptors.write();
        if let Some(known) = disruptors.get(&definition.name) {
            return match *known.definition() == definition {
                true => Ok((Arc::clone(known), false)),
                false => Err(EngineError::NameTaken { name: definition.name }),
            };
        }
        if disruptors.len() >= self.options.disruptors_max {
            return Err(EngineError::TooMany { max: self.options.disruptors_max });
        }
        let mut errors = Vec::new();
        if definition.replicas > 1 && !self.options.replicates {
            let error =
                FieldError::new("replicas", format!("{}, and this node is alone", definition.replicas));
            errors.push(error.hint("start it in a cluster, with --cluster, or leave it out"));
        }
        if author == Author::Client {
            errors.extend(self.stray_files(&definition));
        }
        errors
            .extend(forward_cycle(&definition, |name| disruptors.get(name).map(|other| other.definition())));
        if !errors.is_empty() {
            return Err(EngineError::Invalid { errors });
        }
        let name = definition.name.clone();
        if definition.replicas > 1 {
            // Relaxed: who has not heard of it cannot publish to it either.
            self.has_replicas.store(true, Ordering::Relaxed);
        }
        let disruptor = NamedDisruptor::new(definition, self.surroundings.clone(), Arc::clone(&self.ids));
        let disruptor = Arc::new(disruptor);
        disruptors.insert(name, Arc::clone(&disruptor));
        Ok((disruptor, true))
    }

    /// The disruptor with this name or identifier.
    ///
    /// Errors: [`EngineError::NotFound`].
    pub fn find(&self, name: &str) -> Result<Arc<NamedDisruptor>, EngineError> {
        let disruptors = self.disruptors.read();
        if let Some(found) = disruptors.get(name) {
            return Ok(Arc::clone(found));
        }
        let by_id = name.parse::<Ulid>().ok();
        let by_id = by_id.and_then(|id| disruptors.values().find(|disruptor| disruptor.id() == id));
        by_id.cloned().ok_or_else(|| EngineError::NotFound {
            name: name.chars().take(80).collect(),
            nearest: nearest(name, disruptors.keys().map(String::as_str)).map(str::to_owned),
        })
    }

    /// Whether there ever was a disruptor with replicas.
    pub fn has_replicas(&self) -> bool {
        // Relaxed: as where it is stored.
        self.has_replicas.load(Ordering::Relaxed)
    }

    /// All disruptors, by name.
    pub fn list(&self) -> Vec<Arc<NamedDisruptor>> {
        self.disruptors.read().values().cloned().collect()
    }

    /// Drains a disruptor and takes it out.
    ///
    /// Errors: as [`NamedDisruptor::stop`] if the drain takes too long; the disruptor is then still there.
    pub fn delete(&self, disruptor: &NamedDisruptor, timeout: Duration) -> Result<(), EngineError> {
        match disruptor.stop(timeout) {
            // What has failed, or has its ring elsewhere, has nothing more to drain.
            Ok(())
            | Err(EngineError::Failed { .. } | EngineError::NotHome { .. } | EngineError::NoHome { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut disruptors = self.disruptors.write();
        if disruptors.get(disruptor.name()).is_some_and(|known| known.id() == disruptor.id()) {
            disruptors.remove(disruptor.name());
        }
        disruptor.set_deleted();
        Ok(())
    }

    /// Publishers that wait for room are refused from now on. What sinks forward still waits.
    pub fn stop_waiting(&self) {
        // Relaxed: publishers look again and again.
        self.surroundings.stops_waiting.store(true, Ordering::Relaxed);
    }

    /// Drains every disruptor, those that forward before those that are forwarded to, and halts what is not done in
    /// time. Returns by name how many events were left.
    pub fn shut_down(&self, timeout: Duration) -> Vec<(String, u64)> {
        let deadline = Deadline::after(timeout);
        let mut left = Vec::new();
        for disruptor in self.upstream_first() {
            let remaining = deadline.remaining().unwrap_or_default();
            let result = disruptor.stop(remaining);
            let lost = match result {
                Ok(()) | Err(EngineError::NotHome { .. } | EngineError::NoHome { .. }) => 0,
                Err(error) => {
                    log::error!(target: "engine", disruptor = disruptor.name(); "drain: {error}");
                    let (behind, halted) = (disruptor.used(), disruptor.halt());
                    behind.max(halted)
                }
            };
            if lost > 0 {
                left.push((disruptor.name().to_owned(), lost));
            }
        }
        left
    }

    /// Each disruptor before those that it forwards to.
    fn upstream_first(&self) -> Vec<Arc<NamedDisruptor>> {
        let mut rest = self.list();
        let mut ordered = Vec::new();
        while !rest.is_empty() {
            let targets: BTreeSet<String> = rest
                .iter()
                .flat_map(|disruptor| targets(disruptor.definition()))
                .map(str::to_owned)
                .collect();
            let (now, later): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|disruptor| !targets.contains(disruptor.name()));
            assert!(!now.is_empty(), "disruptors do not forward in a circle");
            ordered.extend(now);
            rest = later;
        }
        ordered
    }

    fn stray_files(&self, definition: &Definition) -> Option<FieldError> {
        let path = definition.sinks.iter().find_map(|sink| match &sink.kind {
            SinkKind::File { path, .. } => Some(path),
            _ => None,
        })?;
        if self.options.files.is_none() {
            let error = FieldError::new("sinks", "this node has no folder for files");
            return Some(error.hint("start it with --data-dir, or define the sink in its configuration"));
        }
        let is_inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let error = FieldError::new("sinks", format!("`{path}` is outside of the node's folder for files"));
        (!is_inside || path.contains('\0')).then(|| error.hint("take a relative path without `..`"))
    }
}

fn targets(definition: &Definition) -> impl Iterator<Item = &str> {
    definition.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::Forward { to, .. } => Some(to.as_str()),
        _ => None,
    })
}

/// Forwarding in a circle would carry an event round for ever.
fn forward_cycle<'d>(
    definition: &'d Definition,
    known: impl Fn(&str) -> Option<&'d Definition>,
) -> Option<FieldError> {
    let mut seen = BTreeSet::new();
    let mut open: Vec<&str> = targets(definition).collect();
    while let Some(name) = open.pop() {
        if name == definition.name {
            let message = format!("events forwarded from `{name}` would come back to it");
            return Some(FieldError::new("sinks", message));
        }
        if seen.insert(name) {
            open.extend(known(name).into_iter().flat_map(targets));
        }
    }
    None
}
