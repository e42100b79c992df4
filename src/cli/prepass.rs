//! What people type, as argh reads it. Everything that is known about commands comes from argh itself.
//!
//! In this order: `help x` is `x --help`; words that were once other words; `--name=value`; `-` is `@-`; global
//! options go to the front, wherever they stand, unless the command has an option of that name; the last of
//! several values wins.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind};

use super::exit::Failure;
use crate::base::nearest::nearest;

/// Words for commands that are understood for ever.
const ALIASES: [(&str, &str); 3] = [("ls", "list"), ("rm", "delete"), ("pub", "publish")];
/// The same for options.
const OPTION_ALIASES: [(&str, &str); 1] = [("--format", "--output")];

/// The arguments in the order that argh wants.
///
/// Errors: a command that is not there, with the one that is most like it.
pub fn prepare(root: &CommandInfoWithArgs, typed: &[&str]) -> Result<Vec<String>, Failure> {
    let mut typed: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
    if typed.first().is_some_and(|word| word == "help") {
        typed.remove(0);
        typed.push("--help".to_owned());
    }
    let mut command = root;
    let (mut globals, mut path, mut rest): (Vec<Given>, Vec<String>, Vec<Given>) = Default::default();
    let mut words = typed.into_iter().peekable();
    let mut is_literal = false;
    while let Some(word) = words.next() {
        if is_literal || !word.starts_with('-') || word == "-" {
            let word = if word == "-" && !is_literal { "@-".to_owned() } else { word };
            match command.commands.is_empty() {
                true => rest.push(Given::Word(word)),
                false => {
                    command = descend(command, &word, &path)?;
                    path.push(command.name.to_owned());
                }
            }
            continue;
        }
        if word == "--" {
            is_literal = true;
            rest.push(Given::Word(word));
            continue;
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (word, None),
        };
        let alias =
            OPTION_ALIASES.iter().find(|(alias, _)| *alias == name && find(command.flags, alias).is_none());
        let name = alias.map_or(name, |(_, option)| (*option).to_owned());
        let own = find(command.flags, &name).filter(|_| !path.is_empty());
        let global = find(root.flags, &name).filter(|flag| flag.long != "--help");
        let Some(flag) = own.or(global) else {
            if name != "--help" && name != "-h" {
                return Err(unknown(command, root, &name));
            }
            rest.push(Given::Option("--help".to_owned(), None));
            continue;
        };
        let value = match (&flag.kind, value) {
            (FlagInfoKind::Switch, None) => None,
            (FlagInfoKind::Switch, Some(_)) => return Err(Failure::usage(format!("{name} takes no value"))),
            (FlagInfoKind::Option { .. }, Some(value)) => Some(value),
            (FlagInfoKind::Option { .. }, None) => match words.next() {
                Some(value) => Some(if value == "-" { "@-".to_owned() } else { value }),
                None => return Err(Failure::usage(format!("{name} needs a value"))),
            },
        };
        let repeats = matches!(flag.optionality, argh::Optionality::Repeating | argh::Optionality::Greedy);
        let list = if own.is_some() { &mut rest } else { &mut globals };
        if !repeats {
            list.retain(|given| !matches!(given, Given::Option(known, _) if known == flag.long));
        }
        list.push(Given::Option(flag.long.to_owned(), value));
    }
    let words = |list: Vec<Given>| list.into_iter().flat_map(Given::words);
    Ok(words(globals).chain(path).chain(words(rest)).collect())
}

/// What was typed.
enum Given {
    Word(String),
    Option(String, Option<String>),
}

impl Given {
    fn words(self) -> Vec<String> {
        match self {
            Self::Word(word) => vec![word],
            Self::Option(name, value) => std::iter::once(name).chain(value).collect(),
        }
    }
}

fn descend<'c>(
    command: &'c CommandInfoWithArgs,
    word: &str,
    path: &[String],
) -> Result<&'c CommandInfoWithArgs, Failure> {
    let named = |name: &str| command.commands.iter().find(|sub| sub.name == name).map(|sub| &sub.command);
    let alias = ALIASES.iter().find(|(alias, _)| *alias == word).and_then(|(_, name)| named(name));
    named(word).or(alias).ok_or_else(|| {
        let before = if path.is_empty() { String::new() } else { format!("{} ", path.join(" ")) };
        let names: Vec<_> = command.commands.iter().map(|sub| sub.name).collect();
        let hint = match nearest(word, names.iter().copied()) {
            Some(near) => format!("Did you mean '{before}{near}'?"),
            None => format!("There are {}.", names.join(", ")),
        };
        Failure::usage(format!("no command '{before}{word}'. {hint}"))
    })
}

fn find<'f>(flags: &'f [FlagInfo<'static>], name: &str) -> Option<&'f FlagInfo<'static>> {
    let is_short = |flag: &FlagInfo| flag.short.is_some_and(|short| name == format!("-{short}"));
    flags.iter().find(|flag| flag.long == name || is_short(flag))
}

fn unknown(command: &CommandInfoWithArgs, root: &CommandInfoWithArgs, name: &str) -> Failure {
    let known = command.flags.iter().chain(root.flags).map(|flag| flag.long);
    let hint = nearest(name, known).map_or_else(String::new, |near| format!(". Did you mean {near}?"));
    Failure::usage(format!("no option {name}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::prepare;
    use crate::cli::Arguments;
    use argh::ArgsInfo;

    fn prepared(typed: &str) -> String {
        let typed: Vec<&str> = typed.split(' ').collect();
        match prepare(&Arguments::get_args_info(), &typed) {
            Ok(words) => words.join(" "),
            Err(failure) => format!("{failure:?}"),
        }
    }

    #[test]
    fn what_is_typed_becomes_what_argh_reads() {
        let check = |typed: &str, words: &str| assert_eq!(prepared(typed), words, "{typed}");
        check("disruptor list -o json", "--output json disruptor list");
        check("disruptor ls --output=json -q", "--output json --quiet disruptor list");
        check("-o yaml disruptor list -o json", "--output json disruptor list");
        check("help disruptor create", "disruptor create --help");
        check("event publish main - -m a=b -m c=d", "event publish main @- --metadata a=b --metadata c=d");
        check("event publish main -- -5", "event publish main -- -5");
        check("event generate main -c 5 --count 6", "event generate main --count 6");
        check(
            "disruptor create a -s 64 --endpoint http://h",
            "--endpoint http://h disruptor create a --size 64",
        );
        check("server -c x", "server --config x");
    }

    #[test]
    fn what_is_mistyped_is_told_with_what_was_meant() {
        let check =
            |typed: &str, said: &str| assert!(prepared(typed).contains(said), "{typed}: {}", prepared(typed));
        check("disruptor lst", "no command 'disruptor lst'. Did you mean 'disruptor list'?");
        check("servr", "no command 'servr'. Did you mean 'server'?");
        check("disruptor list --outptu json", "no option --outptu. Did you mean --output?");
        check("disruptor create a --size", "--size needs a value");
        check("disruptor list --quiet=yes", "--quiet takes no value");
    }
}
