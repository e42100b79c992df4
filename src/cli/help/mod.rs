//! `badbatch help` and `badbatch manual`: the tree of commands, told in every form from what argh knows.

mod man;
mod markdown;
mod text;
pub mod tree;

use std::fs;
use std::path::Path;

use argh::{ArgsInfo, CommandInfoWithArgs, FromArgs};
use serde_json::json;

use super::exit::Failure;
use super::output::{Format, View, print, show};

/// Tell how the program is used, in a form for programs, pages or man; `help` is another word for it.
#[derive(FromArgs, ArgsInfo)]
#[argh(subcommand, name = "manual", example = "badbatch help --json\nbadbatch manual --man target/man")]
pub struct Help {
    /// tell every command with its options, for programs
    #[argh(switch)]
    json: bool,
    /// tell it as a page in Markdown
    #[argh(switch)]
    markdown: bool,
    /// write manual pages into this folder
    #[argh(option)]
    man: Option<String>,
}

/// Tells what the program is, in the form that was asked for.
pub fn run(arguments: &Help, root: &CommandInfoWithArgs, format: Format) -> Result<(), Failure> {
    if let Some(folder) = &arguments.man {
        return write_manual(root, Path::new(folder), format);
    }
    if arguments.markdown {
        return Ok(print(markdown::page(root).trim_end())?);
    }
    if arguments.json || !format.is_table() {
        let value = json!({
            "name": "badbatch",
            "version": env!("CARGO_PKG_VERSION"),
            "global_options": tree::globals(root).iter().map(tree::Argument::to_json).collect::<Vec<_>>(),
            "commands": tree::leaves(root).iter().map(tree::Leaf::to_json).collect::<Vec<_>>(),
        });
        const VIEW: View<'_> =
            View { rows: Some("commands"), columns: &[("COMMAND", "/command")], wide: &[], name: "/command" };
        let format = if arguments.json { Format::Json } else { format };
        return Ok(show(format, &value, &VIEW)?);
    }
    page(root, &[])
}

/// Prints the page of a command.
pub fn page(root: &CommandInfoWithArgs, path: &[&str]) -> Result<(), Failure> {
    Ok(print(&text::page(root, path, text::width()))?)
}

fn write_manual(root: &CommandInfoWithArgs, folder: &Path, format: Format) -> Result<(), Failure> {
    const VIEW: View<'_> = View {
        rows: None,
        columns: &[("Folder", "/folder"), ("Pages", "/pages")],
        wide: &[],
        name: "/folder",
    };
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let pages = man::pages(root);
    for (name, text) in &pages {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    Ok(show(format, &json!({"folder": folder, "pages": pages.len()}), &VIEW)?)
}
