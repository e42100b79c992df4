//! Manual pages: one of the program, and one of each command.

use argh::CommandInfoWithArgs;
use roff::{Roff, bold, italic, roman};

use super::tree::{self, Argument, Leaf};
use crate::cli::exit::STATUSES;

const SECTION: &str = "1";

/// Every page, by the name of its file.
pub fn pages(root: &CommandInfoWithArgs) -> Vec<(String, String)> {
    let leaves = tree::leaves(root);
    let of_leaf = |leaf: &Leaf<'_>| (format!("{}.{SECTION}", name(leaf)), of_command(leaf));
    let whole = (format!("badbatch.{SECTION}"), of_program(root, &leaves));
    std::iter::once(whole).chain(leaves.iter().map(of_leaf)).collect()
}

fn name(leaf: &Leaf<'_>) -> String {
    leaf.command().replace(' ', "-")
}

fn begun(name: &str, about: &str) -> Roff {
    let mut page = Roff::new();
    let version = concat!("badbatch ", env!("CARGO_PKG_VERSION"));
    page.control("TH", [name.to_uppercase().as_str(), SECTION, "", version]);
    page.control("SH", ["NAME"]);
    page.text([roman(format!("{name} - {}", about.trim_end_matches('.')))]);
    page
}

fn of_program(root: &CommandInfoWithArgs, leaves: &[Leaf<'_>]) -> String {
    let mut page = begun("badbatch", root.description);
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold("badbatch"), roman(" "), italic("command"), roman(" [options]")]);
    page.control("SH", ["COMMANDS"]);
    for leaf in leaves {
        page.control("TP", []);
        page.text([bold(format!("{}({SECTION})", name(leaf)))]);
        page.text([roman(leaf.about())]);
    }
    page.control("SH", ["GLOBAL OPTIONS"]);
    arguments(&mut page, tree::globals(root).into_iter());
    page.control("SH", ["EXIT STATUS"]);
    for (status, _, about) in STATUSES {
        page.control("TP", []);
        page.text([bold(status.to_string())]);
        page.text([roman(about)]);
    }
    page.to_roff()
}

fn of_command(leaf: &Leaf<'_>) -> String {
    let mut page = begun(&name(leaf), leaf.about());
    page.control("SH", ["SYNOPSIS"]);
    page.text([bold(leaf.usage())]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(leaf.about())]);
    if leaf.arguments().chain(leaf.options()).next().is_some() {
        page.control("SH", ["OPTIONS"]);
        arguments(&mut page, leaf.arguments().chain(leaf.options()));
    }
    page.control("SH", ["EXAMPLES"]);
    for example in leaf.examples() {
        page.control("EX", []);
        page.text([roman(example)]);
        page.control("EE", []);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("badbatch"), roman(format!("({SECTION}), for global options and exit statuses"))]);
    page.to_roff()
}

fn arguments<'t>(page: &mut Roff, arguments: impl Iterator<Item = Argument<'t>>) {
    for argument in arguments {
        page.control("TP", []);
        page.text([bold(argument.heading())]);
        page.text([roman(argument.whole())]);
    }
}
