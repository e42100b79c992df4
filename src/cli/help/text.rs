//! Help at the terminal.

use argh::CommandInfoWithArgs;

use super::tree::{self, Argument, GROUPS, Leaf};
use crate::cli::exit::STATUSES;
use crate::cli::output::heading;

const NARROWEST: usize = 60;
const WIDEST: usize = 100;
const NAMES_WIDEST: usize = 30;

/// How wide lines may be.
pub fn width() -> usize {
    let terminal = console::Term::stdout();
    match terminal.size_checked() {
        Some((_, columns)) => usize::from(columns).clamp(NARROWEST, WIDEST),
        None => WIDEST,
    }
}

/// The page of a command or of a group; an empty path is the program.
pub fn page(root: &CommandInfoWithArgs, path: &[&str], width: usize) -> String {
    if path.is_empty() {
        return whole(root, width);
    }
    let leaves = tree::leaves(root);
    let mut page = String::new();
    if let Some(leaf) = leaves.iter().find(|leaf| leaf.path == path) {
        page += &command(leaf, width);
    } else if let Some(group) = tree::descend(root, path) {
        page += &format!(
            "{}\n\n{} badbatch {} <command>\n",
            group.description,
            heading("Usage:"),
            path.join(" ")
        );
    }
    let below: Vec<_> =
        leaves.iter().filter(|leaf| leaf.path.starts_with(path) && leaf.path.len() > path.len()).collect();
    if !below.is_empty() {
        let rows: Vec<_> = below.iter().map(|leaf| (leaf.path.join(" "), leaf.about().to_owned())).collect();
        page += &section("Commands:", &rows, width);
    }
    page + "\nbadbatch --help lists the global options, which go with every command."
}

fn command(leaf: &Leaf<'_>, width: usize) -> String {
    let mut page = format!("{}\n\n{} {}\n", leaf.about(), heading("Usage:"), leaf.usage());
    page += &section("Arguments:", &rows(leaf.arguments()), width);
    page += &section("Options:", &rows(leaf.options()), width);
    let examples: String = leaf.examples().iter().map(|line| format!("  {line}\n")).collect();
    if !examples.is_empty() {
        page += &format!("\n{}\n{examples}", heading("Examples:"));
    }
    page
}

fn whole(root: &CommandInfoWithArgs, width: usize) -> String {
    let leaves = tree::leaves(root);
    let mut page = format!("{}\n\n{} badbatch <command> [options]\n", root.description, heading("Usage:"));
    for (group, words) in GROUPS {
        let of = leaves.iter().filter(|leaf| words.contains(&leaf.path[0]));
        let rows: Vec<_> = of.map(|leaf| (leaf.path.join(" "), first(leaf.about()))).collect();
        page += &section(&format!("{group}:"), &rows, width);
    }
    page += &section("Global options:", &rows(tree::globals(root).into_iter()), width);
    let statuses: Vec<_> =
        STATUSES.iter().map(|(status, _, about)| (status.to_string(), (*about).to_owned())).collect();
    page += &section("Exit status:", &statuses, width);
    page + "\nbadbatch COMMAND --help says more of a command."
}

/// The first sentence.
fn first(text: &str) -> String {
    text.split_once(". ").map_or(text.to_owned(), |(first, _)| format!("{first}."))
}

fn rows<'t>(arguments: impl Iterator<Item = Argument<'t>>) -> Vec<(String, String)> {
    arguments.map(|argument| (argument.heading(), argument.whole())).collect()
}

/// Names and what they are, in two columns.
fn section(title: &str, rows: &[(String, String)], width: usize) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let longest = rows.iter().map(|(name, _)| name.len()).filter(|length| *length <= NAMES_WIDEST).max();
    let indent = longest.unwrap_or(NAMES_WIDEST) + 4;
    let mut text = format!("\n{}\n", heading(title));
    for (name, about) in rows {
        let lines = wrapped(about, width.saturating_sub(indent));
        let mut lines = lines.iter();
        if name.len() + 4 <= indent {
            let first = lines.next().map_or("", String::as_str);
            text += format!("  {name:fill$}{first}\n", fill = indent - 2).trim_end_matches(' ');
        } else {
            text += &format!("  {name}\n");
        }
        lines.for_each(|line| text += &format!("{:indent$}{line}\n", ""));
    }
    text
}

/// Lines of at most so many characters, if words allow it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            *line += word;
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            *line += &format!(" {word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
