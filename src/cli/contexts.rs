//! Contexts: named servers that this user talks to, in a file of the user's. Keys are not in it, but where they are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::exit::Failure;
use super::profile::{Section, folder};
use crate::base::nearest::nearest;

/// The contexts, as the file has them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contexts {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// The one that was in use before.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    contexts: BTreeMap<String, Section>,
    #[serde(skip)]
    path: PathBuf,
}

impl Contexts {
    /// Reads the file; no file is no contexts.
    ///
    /// Errors: a file that cannot be read or understood.
    pub fn load() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::usage(format!("the contexts in {} cannot be read: {error}", path.display()))
                .hint("mend the file, or remove it to begin anew")
        };
        let contexts = match fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|error| wrong(&error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => return Err(wrong(&error)),
        };
        Ok(Self { path, ..contexts })
    }

    /// Writes the file, whole or not at all.
    pub fn save(&self) -> Result<(), Failure> {
        let Some(folder) = self.path.parent() else {
            return Err(Failure::failed("there is no place for contexts: set HOME or XDG_CONFIG_HOME"));
        };
        let text = serde_json::to_string_pretty(self).expect("texts and numbers have a JSON form");
        let new = self.path.with_extension(format!("{}.new", std::process::id()));
        let written = fs::create_dir_all(folder)
            .and_then(|()| fs::write(&new, text + "\n"))
            .and_then(|()| fs::rename(&new, &self.path));
        written.map_err(|error| Failure::failed(format!("{}: {error}", self.path.display())))
    }

    /// Where they are kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &Section)> {
        self.contexts.iter()
    }

    /// The one in use.
    pub fn current(&self) -> Option<(&str, &Section)> {
        let name = self.current.as_deref()?;
        Some((name, self.contexts.get(name)?))
    }

    /// Errors: there is none of this name.
    pub fn find(&self, name: &str) -> Result<&Section, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let failure = Failure::not_found(format!("no context '{name}'"));
            match nearest(name, self.contexts.keys().map(String::as_str)) {
                Some(near) => failure.hint(format!("did you mean {near}?")),
                None => failure.hint("there are: badbatch context list"),
            }
        })
    }

    /// Adds one, and takes it into use if it is the first.
    ///
    /// Errors: there is one of this name, and it is not to be replaced.
    pub fn add(&mut self, name: &str, section: Section, replace: bool) -> Result<(), Failure> {
        if self.contexts.contains_key(name) && !replace {
            return Err(Failure::conflict(format!("there is a context '{name}'"))
                .hint("put this in its place: --replace"));
        }
        self.contexts.insert(name.to_owned(), section);
        self.current.get_or_insert_with(|| name.to_owned());
        Ok(())
    }

    /// Takes one into use; `-` is the one before.
    pub fn select(&mut self, name: &str) -> Result<&str, Failure> {
        let name = match (name, &self.previous) {
            ("-" | "@-", Some(previous)) => previous.clone(),
            ("-" | "@-", None) => return Err(Failure::not_found("no context was in use before")),
            (name, _) => name.to_owned(),
        };
        self.find(&name)?;
        if self.current.as_deref() != Some(&name) {
            self.previous = self.current.replace(name);
        }
        Ok(self.current.as_deref().unwrap_or_default())
    }

    pub fn remove(&mut self, name: &str) -> Result<(), Failure> {
        self.find(name)?;
        self.contexts.remove(name);
        for place in [&mut self.current, &mut self.previous] {
            if place.as_deref() == Some(name) {
                *place = None;
            }
        }
        Ok(())
    }
}

fn path() -> Option<PathBuf> {
    folder().map(|folder| folder.join("contexts.json"))
}
