//! `badbatch completion`: a shell's completion, which asks this program for what may come next.
//!
//! Each shell gets a few lines that hand over the words typed so far; what fits is found here, from the tree of
//! commands and, for names, from the server. So nothing in a shell's language can be out of date.

use std::time::Duration;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};
use serde_json::{Value, json};

use super::Globals;
use super::contexts::Contexts;
use super::exit::Failure;
use super::help::tree::{self, Argument};
use super::output::{Format, View, print, show};
use super::session::Session;
use crate::api::CODES;

/// Print what a shell needs to complete commands, options, values and names.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "completion", example = "source <(badbatch completion bash)")]
pub struct Completion {
    /// the shell [values: bash, zsh, fish, nu]
    #[argh(positional)]
    shell: String,
}

const SHELLS: [(&str, &str); 4] = [
    ("bash", include_str!("completion/badbatch.bash")),
    ("zsh", include_str!("completion/badbatch.zsh")),
    ("fish", include_str!("completion/badbatch.fish")),
    ("nu", include_str!("completion/badbatch.nu")),
];

const VIEW: View<'_> =
    View { rows: None, columns: &[("Shell", "/shell"), ("Script", "/script")], wide: &[], name: "/shell" };

/// Nobody waits longer for a name.
const PATIENCE: Duration = Duration::from_secs(1);

pub fn run(arguments: &Completion, format: Format) -> Result<(), Failure> {
    match SHELLS.iter().find(|(name, _)| *name == arguments.shell) {
        Some((_, text)) if format.is_table() => Ok(print(text.trim_end())?),
        Some((shell, text)) => Ok(show(format, &json!({"shell": shell, "script": text}), &VIEW)?),
        None => {
            let names = SHELLS.map(|(name, _)| name);
            let known = names.join(", ");
            Err(Failure::usage(format!("no completion for '{}'; there are {known}", arguments.shell)))
        }
    }
}

/// Prints what may stand in the place of the last word: a candidate per line, a tab, and what it is.
pub fn complete(words: &[&str]) -> Result<(), Failure> {
    let root = Globals::get_args_info();
    let lines: Vec<String> =
        candidates(&root, words).iter().map(|(word, about)| format!("{word}\t{about}")).collect();
    if lines.is_empty() { Ok(()) } else { Ok(print(&lines.join("\n"))?) }
}

type Candidate = (String, String);

fn candidates(root: &CommandInfoWithArgs, words: &[&str]) -> Vec<Candidate> {
    // Bash takes `--name=value` apart.
    let words: Vec<&str> = words.iter().copied().filter(|word| *word != "=").collect();
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
    let globals = tree::globals(root);
    let mut path: Vec<&str> = Vec::new();
    let mut place = 0;
    let mut wants_value: Option<String> = None;
    let of = |path: &[&str]| tree::leaves(root).into_iter().find(|leaf| leaf.path == path);
    let options = |path: &[&str]| of(path).map(|leaf| leaf.options().collect::<Vec<_>>()).unwrap_or_default();
    for word in before {
        if wants_value.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            let is_named = |option: &&Argument<'_>| {
                option.name == *word || option.short.is_some_and(|short| *word == format!("-{short}"))
            };
            let own = options(&path);
            let option = own.iter().chain(&globals).find(is_named);
            wants_value = option.filter(|option| option.value.is_some()).map(|option| option.name.to_owned());
        } else if tree::descend(root, &[&path[..], &[word]].concat()).is_some() {
            path.push(word);
        } else {
            place += 1;
        }
    }
    let own = options(&path);
    let (given, start, stem) = match (&wants_value, last.split_once('=')) {
        (Some(name), _) => (Some(name.as_str()), last, String::new()),
        (None, Some((name, start))) if last.starts_with("--") => (Some(name), start, format!("{name}=")),
        _ => (None, last, String::new()),
    };
    let found = if let Some(name) = given {
        let option = own.iter().chain(&globals).find(|option| option.name == name);
        option.map(|option| values(&path, option)).unwrap_or_default()
    } else if last.starts_with('-') {
        own.iter().chain(&globals).map(|option| (option.name.to_owned(), option.about.clone())).collect()
    } else {
        let command = tree::descend(root, &path);
        let subs = command.map(|command| command.commands.as_slice()).unwrap_or_default();
        let argument = of(&path).and_then(|leaf| leaf.arguments().nth(place));
        let names = subs.iter().map(|sub| (sub.name.to_owned(), sub.command.description.to_owned()));
        names.chain(argument.map(|argument| values(&path, &argument)).unwrap_or_default()).collect()
    };
    let fits = found.into_iter().filter(|(word, _)| word.starts_with(start));
    fits.map(|(word, about)| (format!("{stem}{word}"), about)).collect()
}

/// What an argument may be: one of its words, or the name of something that is there.
fn values(path: &[&str], argument: &Argument<'_>) -> Vec<Candidate> {
    let plain = |word: &str| (word.to_owned(), String::new());
    if !argument.values.is_empty() {
        return argument.values.iter().map(|word| plain(word)).collect();
    }
    match (path, argument.name) {
        (_, "disruptor" | "--disruptor" | "--target") | (["disruptor" | "monitor", _], "id") => {
            listed("/api/v1/disruptor?limit=500", "items", "name", "status")
        }
        (["cluster", _], "node") | (_, "--node") => {
            listed("/api/v1/cluster/members?limit=500", "items", "id", "state")
        }
        (["cluster", "services"], "name") => {
            listed("/api/v1/cluster/services?limit=500", "items", "name", "status")
        }
        (["cluster", "service", _], "id") => {
            listed("/api/v1/cluster/services?limit=500", "items", "id", "status")
        }
        (["cluster", "key", _], "id") => listed("/api/v1/cluster/keys", "items", "id", "id"),
        (["key", "revoke"], "id") => listed("/api/v1/key", "items", "id", "name"),
        (["config", "get"], "key") => listed("/api/v1/config", "settings", "key", "origin"),
        (["context", "use" | "show" | "remove"], "name") | (_, "--context") => {
            let contexts = Contexts::load().unwrap_or_default();
            let about = |endpoint: &Option<String>| endpoint.clone().unwrap_or_default();
            contexts.iter().map(|(name, section)| (name.clone(), about(&section.endpoint))).collect()
        }
        (["explain"], "code") => {
            CODES.iter().map(|kind| (kind.code.to_owned(), kind.title.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// Names that the server knows; none if it does not answer.
fn listed(path: &str, rows: &str, name: &str, about: &str) -> Vec<Candidate> {
    let Some(session) =
        Globals::from_args(&["badbatch"], &[]).ok().and_then(|globals| Session::open(&globals).ok())
    else {
        return Vec::new();
    };
    let client = session.client.timeout(PATIENCE).attempts(1);
    let Ok(answer) = client.json("GET", path, None) else { return Vec::new() };
    let text = |row: &Value, member: &str| row[member].as_str().unwrap_or_default().to_owned();
    let rows = answer[rows].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| (text(row, name), text(row, about))).collect()
}
