//! `docs/CLI.md`: the tree of commands as a page to read.

use argh::CommandInfoWithArgs;

use super::tree::{self, Argument, GROUPS, Leaf};
use crate::cli::exit::STATUSES;

const PREFACE: &str = include_str!("preface.md");

/// The whole page.
pub fn page(root: &CommandInfoWithArgs) -> String {
    let leaves = tree::leaves(root);
    let statuses: String =
        STATUSES.iter().map(|(status, code, about)| format!("| {status} | `{code}` | {about} |\n")).collect();
    let globals = arguments("Option", tree::globals(root).into_iter());
    let mut page = PREFACE.replace("{statuses}", &statuses).replace("{globals}", &globals);
    for (group, words) in GROUPS {
        page += &format!("\n## {group}\n");
        let of = leaves.iter().filter(|leaf| words.contains(&leaf.path[0]));
        page.extend(of.map(command));
    }
    page
}

fn command(leaf: &Leaf<'_>) -> String {
    let mut text =
        format!("\n### `{}`\n\n{}\n\n```text\n{}\n```\n", leaf.command(), leaf.about(), leaf.usage());
    if leaf.arguments().next().is_some() {
        text += &format!("\n{}", arguments("Argument", leaf.arguments()));
    }
    if leaf.options().next().is_some() {
        text += &format!("\n{}", arguments("Option", leaf.options()));
    }
    let examples = leaf.examples().join("\n");
    text + &format!("\n```text\n{examples}\n```\n")
}

fn arguments<'t>(title: &str, arguments: impl Iterator<Item = Argument<'t>>) -> String {
    let row = |argument: Argument<'_>| {
        format!("| `{}` | {} |\n", argument.heading(), argument.whole().replace('|', "\\|"))
    };
    format!("| {title} | |\n|---|---|\n{}", arguments.map(row).collect::<String>())
}
