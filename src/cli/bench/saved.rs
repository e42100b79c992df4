//! Results that are kept in files, and what has changed between two of them.

use std::collections::BTreeSet;
use std::fs;

use argh::{ArgsInfo, FromArgs};
use serde_json::{Value, json};

use super::super::exit::Failure;
use super::super::output::View;
use super::super::session::Session;
use super::{local, server};

/// Compare two runs that were saved.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "compare",
    example = "badbatch bench local --save old.json\nbadbatch bench local --save new.json\nbadbatch bench compare old.json new.json"
)]
pub struct Compare {
    /// the file of the earlier run
    #[argh(positional)]
    old: String,
    /// the file of the later run
    #[argh(positional)]
    new: String,
    /// compare runs with different parameters, too
    #[argh(switch)]
    force: bool,
}

/// What is to become of a run's result beside being shown.
pub struct Wishes<'a> {
    save: Option<&'a str>,
    /// What to compare it with.
    old: Option<Value>,
}

const COMPARISON: View<'_> = View {
    rows: Some("figures"),
    columns: &[("FIGURE", "/figure"), ("OLD", "/old"), ("NEW", "/new"), ("RATIO", "/ratio")],
    wide: &[],
    name: "/figure",
};

pub fn compare(arguments: &Compare, session: &Session) -> Result<(), Failure> {
    let (old, new) = (read(&arguments.old)?, read(&arguments.new)?);
    refuse_unlike(&old, &new["bench"], &new["parameters"], arguments.force)?;
    show_comparison(&old, &new, session)
}

impl<'a> Wishes<'a> {
    /// Reads what is to be compared before anything is measured.
    pub fn new(
        save: Option<&'a str>,
        compare: Option<&str>,
        force: bool,
        bench: &str,
        parameters: &Value,
    ) -> Result<Self, Failure> {
        let old = compare.map(read).transpose()?;
        if let Some(old) = &old {
            refuse_unlike(old, &json!(bench), parameters, force)?;
        }
        Ok(Self { save, old })
    }

    /// Shows a run, or how it compares, and saves it.
    pub fn fulfil(&self, outcome: &Value, session: &Session) -> Result<(), Failure> {
        match &self.old {
            None => session.show(outcome, view(outcome))?,
            Some(old) => show_comparison(old, outcome, session)?,
        }
        let Some(path) = self.save else { return Ok(()) };
        fs::write(path, format!("{outcome:#}\n"))
            .map_err(|error| Failure::with_code(1, format!("--save: {path}: {error}")))?;
        session.say(&format!("saved to {path}"));
        Ok(())
    }
}

/// A saved run.
fn read(path: &str) -> Result<Value, Failure> {
    let wrong = |why: &str| Failure::usage(format!("{path} is not a saved run: {why}"));
    let text = fs::read_to_string(path).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
    match value["bench"].as_str() {
        Some("local" | "server") => {}
        _ => return Err(wrong("its member `bench` is neither `local` nor `server`")),
    }
    for member in ["parameters", "machine", "result"] {
        if !value[member].is_object() {
            return Err(wrong(&format!("its member `{member}` is not an object")));
        }
    }
    Ok(value)
}

fn refuse_unlike(old: &Value, bench: &Value, parameters: &Value, force: bool) -> Result<(), Failure> {
    if old["bench"] != *bench {
        let message = format!("a run of bench {} cannot be compared with one of bench {bench}", old["bench"]);
        return Err(Failure::usage(message.replace('"', "")));
    }
    let differences = differences(&old["parameters"], parameters);
    if differences.is_empty() || force {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the runs differ in {}; compare them all the same: --force",
        differences.join(", ")
    )))
}

/// The members that are not the same, each with both values.
fn differences(old: &Value, new: &Value) -> Vec<String> {
    let members = [old, new].into_iter().filter_map(Value::as_object).flatten();
    let mut names: BTreeSet<&String> = members.map(|(name, _)| name).collect();
    names.retain(|name| old[*name] != new[*name]);
    names.into_iter().map(|name| format!("{name} ({} and {})", old[name], new[name])).collect()
}

fn show_comparison(old: &Value, new: &Value, session: &Session) -> Result<(), Failure> {
    let parameters = differences(&old["parameters"], &new["parameters"]);
    let machine = differences(&old["machine"], &new["machine"]);
    for (what, differences) in [("parameters", &parameters), ("machines", &machine)] {
        if !differences.is_empty() {
            session.say(&format!("the {what} differ in {}", differences.join(", ")));
        }
    }
    let columns = view(new).columns.iter().map(|(_, at)| *at);
    let figures = columns.filter_map(|at| figure(at, old, new)).collect::<Vec<_>>();
    let value = json!({
        "bench": new["bench"],
        "different_parameters": parameters,
        "different_machine": machine,
        "figures": figures,
    });
    session.show(&value, &COMPARISON)
}

/// What was measured, before and now; nothing for what is no number.
fn figure(at: &str, old: &Value, new: &Value) -> Option<Value> {
    let name = at.strip_prefix("/result/")?;
    let number = |run: &Value| run.pointer(at).and_then(Value::as_f64);
    let (before, now) = (number(old)?, number(new)?);
    let ratio = (before != 0.0).then(|| (1000.0 * now / before).round() / 1000.0);
    Some(json!({"figure": name, "old": old.pointer(at), "new": new.pointer(at), "ratio": ratio}))
}

fn view(outcome: &Value) -> &'static View<'static> {
    if outcome["bench"] == "local" { &local::VIEW } else { &server::VIEW }
}
