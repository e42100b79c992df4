//! One thing that was looked at, and what there is to say about it.

use console::Style;
use serde_json::{Value, json};

/// How bad it is, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Ok,
    /// Worth knowing, and no fault.
    Note,
    /// It works, and could do better.
    Warning,
    /// It does not work.
    Failed,
}

impl Verdict {
    /// As programs read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    /// As people see it at the beginning of a line.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Warning => "warn",
            Self::Failed => "FAIL",
            other => other.name(),
        }
    }

    /// Its colour, where there are colours.
    pub fn style(self) -> Style {
        match self {
            Self::Ok => Style::new().green(),
            Self::Note => Style::new(),
            Self::Warning => Style::new().yellow(),
            Self::Failed => Style::new().red().bold(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty if there is nothing to do.
    pub advice: String,
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, found: found.into(), advice: String::new() }
    }

    pub fn note(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Note, found: found.into(), advice: advice.into() }
    }

    pub fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Warning, found: found.into(), advice: advice.into() }
    }

    pub fn failed(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Failed, found: found.into(), advice: advice.into() }
    }

    pub fn to_json(&self) -> Value {
        let advice = Some(&self.advice).filter(|advice| !advice.is_empty());
        json!({"name": self.name, "status": self.verdict.name(), "found": self.found, "advice": advice})
    }
}
