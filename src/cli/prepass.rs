//! What people type, as argh reads it. Everything that is known about commands comes from argh itself.
//!
//! In this order: `help x` is `x --help`; words that were once other words; `-qv` is `-q -v`; `--name=value`; `-` is
//! `@-`; global options go to the front, wherever they stand, unless the command has an option of that name; the last
//! of several values wins. What has no name stands behind `--`, so that nothing in it is taken for an option.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

use super::exit::Failure;
use super::output::Format;
use crate::base::nearest::nearest;

/// Words for commands that are understood for ever.
const ALIASES: [(&str, &str); 5] =
    [("ls", "list"), ("rm", "delete"), ("pub", "publish"), ("ctx", "context"), ("help", "manual")];
/// The same for options.
const OPTION_ALIASES: [(&str, &str); 2] = [("--format", "--output"), ("--monitor-type", "--type")];

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Understood {
    /// The page of this command.
    Help(Vec<String>),
    /// The arguments in the order that argh wants.
    Words(Vec<String>),
}

/// Makes sense of what was typed.
///
/// Errors: a command or an option that is not there, with the one that is most like it.
pub fn prepare(root: &CommandInfoWithArgs, typed: &[&str]) -> Result<Understood, Failure> {
    let asks_for_help = matches!(typed, ["help", word, ..] if !word.starts_with('-'));
    let typed = if asks_for_help { &typed[1..] } else { typed };
    let mut reader = Reader { root, command: root, path: Vec::new(), globals: Vec::new(), own: Vec::new() };
    let mut places: Vec<String> = Vec::new();
    let mut is_help = asks_for_help;
    let mut words = typed.iter().map(|word| (*word).to_owned());
    let mut is_literal = false;
    while let Some(word) = words.next() {
        if is_literal {
            places.push(word);
        } else if word == "--" {
            is_literal = true;
        } else if word.starts_with('-') && word != "-" {
            for (name, value) in reader.split(word)? {
                match name.as_str() {
                    "--help" | "-h" => is_help = true,
                    _ => reader.option(&name, value, &mut words)?,
                }
            }
        } else if reader.command.commands.is_empty() {
            places.push(if word == "-" { "@-".to_owned() } else { word });
        } else {
            reader.descend(&word)?;
        }
    }
    if is_help {
        return Ok(Understood::Help(reader.path));
    }
    if !places.is_empty() {
        places.insert(0, "--".to_owned());
    }
    let options =
        |list: Vec<Given>| list.into_iter().flat_map(|(name, value)| std::iter::once(name).chain(value));
    let words = options(reader.globals).chain(reader.path).chain(options(reader.own)).chain(places);
    Ok(Understood::Words(words.collect()))
}

/// The output that was asked for, as far as can be seen before the arguments are understood.
pub fn wanted_format(typed: &[&str]) -> Format {
    let flags = ["-o", "--output", "--format"];
    let after = |(at, word): (usize, &&str)| match flags.contains(word) {
        true => typed.get(at + 1).copied().map(str::to_owned),
        false => word.strip_prefix("--output=").or(word.strip_prefix("-o")).map(str::to_owned),
    };
    let given = typed.iter().enumerate().filter_map(after).next_back();
    let word = given.or_else(|| std::env::var("BADBATCH_OUTPUT").ok());
    word.and_then(|word| word.parse().ok()).unwrap_or(Format::Table)
}

/// What argh finds wrong, on one line, as the rest of the program says it.
pub fn told(output: &str) -> Failure {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    if let Some(word) = line.strip_prefix("Unrecognized argument: ") {
        return Failure::usage(format!("`{word}` is one argument too many"));
    }
    for begin in ["Required positional arguments not provided:", "Required options not provided:"] {
        if let Some(names) = line.strip_prefix(begin) {
            return Failure::usage(format!("missing:{names}"));
        }
    }
    let parsed = ["Error parsing option '", "Error parsing positional argument '"];
    if let Some(rest) = parsed.iter().find_map(|begin| line.strip_prefix(begin))
        && let Some((name, rest)) = rest.split_once("' with value '")
        && let Some((value, reason)) = rest.rsplit_once("': ")
    {
        let reason = match reason {
            "invalid digit found in string" | "cannot parse integer from empty string" => {
                "is not a whole number"
            }
            "number too large to fit in target type" => "is too large a number",
            other => other,
        };
        return Failure::usage(format!("{name}: `{value}` {reason}"));
    }
    Failure::usage(line)
}

/// An option and its value.
type Given = (String, Option<String>);

struct Reader<'r> {
    root: &'r CommandInfoWithArgs,
    command: &'r CommandInfoWithArgs,
    path: Vec<String>,
    globals: Vec<Given>,
    own: Vec<Given>,
}

impl<'r> Reader<'r> {
    /// A word that begins with `-`, as the options that are in it.
    fn split(&self, word: String) -> Result<Vec<Given>, Failure> {
        if let Some((name, value)) = word.split_once('=').filter(|_| word.starts_with("--")) {
            return Ok(vec![(name.to_owned(), Some(value.to_owned()))]);
        }
        if word.starts_with("--") || word.chars().count() == 2 {
            return Ok(vec![(word, None)]);
        }
        let mut found = Vec::new();
        for (at, letter) in word.char_indices().skip(1) {
            let name = format!("-{letter}");
            let rest = &word[at + letter.len_utf8()..];
            match self.find(&name).map(|(flag, _)| &flag.kind) {
                Some(FlagInfoKind::Option { .. }) if !rest.is_empty() => {
                    found.push((name, Some(rest.strip_prefix('=').unwrap_or(rest).to_owned())));
                    return Ok(found);
                }
                Some(_) => found.push((name, None)),
                None if letter == 'h' => found.push((name, None)),
                None => return Err(self.unknown(&word)),
            }
        }
        Ok(found)
    }

    fn option(
        &mut self,
        name: &str,
        value: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), Failure> {
        let alias = OPTION_ALIASES.iter().find(|(alias, _)| *alias == name && self.find(alias).is_none());
        let name = alias.map_or(name, |(_, option)| option);
        let (flag, is_own) = self.find(name).ok_or_else(|| self.unknown(name))?;
        let value = match (&flag.kind, value) {
            (FlagInfoKind::Switch, None) => None,
            (FlagInfoKind::Switch, Some(_)) => return Err(Failure::usage(format!("{name} takes no value"))),
            (FlagInfoKind::Option { .. }, Some(value)) => Some(value),
            (FlagInfoKind::Option { .. }, None) => match words.next() {
                Some(value) => Some(if value == "-" { "@-".to_owned() } else { value }),
                None => return Err(Failure::usage(format!("{name} needs a value"))),
            },
        };
        let list = if is_own { &mut self.own } else { &mut self.globals };
        if !matches!(flag.optionality, Optionality::Repeating | Optionality::Greedy) {
            list.retain(|(known, _)| known != flag.long);
        }
        list.push((flag.long.to_owned(), value));
        Ok(())
    }

    /// The option of this name, and whether it is the command's own.
    fn find(&self, name: &str) -> Option<(&'r FlagInfo<'r>, bool)> {
        let is_named = |flag: &&FlagInfo| {
            flag.long == name || flag.short.is_some_and(|short| name == format!("-{short}"))
        };
        let own = self.command.flags.iter().find(is_named).filter(|_| !self.path.is_empty());
        let global = || self.root.flags.iter().find(is_named).map(|flag| (flag, false));
        own.map(|flag| (flag, true)).or_else(global).filter(|(flag, _)| flag.long != "--help")
    }

    fn descend(&mut self, word: &str) -> Result<(), Failure> {
        let command = self.command;
        let named = |name: &str| command.commands.iter().find(|sub| sub.name == name);
        let alias = ALIASES.iter().find(|(alias, _)| *alias == word).and_then(|(_, name)| named(name));
        let sub = named(word).or(alias).ok_or_else(|| {
            let before = self.path.iter().map(|word| format!("{word} ")).collect::<String>();
            let names: Vec<_> = command.commands.iter().map(|sub| sub.name).collect();
            let hint = match nearest(word, names.iter().copied()) {
                Some(near) => format!("Did you mean '{before}{near}'?"),
                None => format!("There are {}.", names.join(", ")),
            };
            Failure::usage(format!("no command '{before}{word}'. {hint}"))
        })?;
        self.command = &sub.command;
        self.path.push(sub.name.to_owned());
        Ok(())
    }

    fn unknown(&self, name: &str) -> Failure {
        let known = self.command.flags.iter().chain(self.root.flags).map(|flag| flag.long);
        let hint = nearest(name, known).map_or_else(String::new, |near| format!(". Did you mean {near}?"));
        Failure::usage(format!("no option {name}{hint}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Understood, prepare};
    use crate::cli::Globals;
    use argh::{ArgsInfo, FromArgs};
    use quickcheck::QuickCheck;

    fn prepared(typed: &str) -> String {
        let typed: Vec<&str> = typed.split(' ').collect();
        match prepare(&Globals::get_args_info(), &typed) {
            Ok(Understood::Words(words)) => words.join(" "),
            Ok(Understood::Help(path)) => format!("help of {}", path.join(" ")),
            Err(failure) => format!("{failure:?}"),
        }
    }

    #[test]
    fn what_is_typed_becomes_what_argh_reads() {
        let check = |typed: &str, words: &str| assert_eq!(prepared(typed), words, "{typed}");
        check("disruptor list -o json", "--output json disruptor list");
        check("disruptor ls --output=json -q", "--output json --quiet disruptor list");
        check("-o yaml disruptor list -o json", "--output json disruptor list");
        check("disruptor list -qvojson", "--quiet --verbose --output json disruptor list");
        check("disruptor list -o=json", "--output json disruptor list");
        check("help disruptor create", "help of disruptor create");
        check("disruptor create --help", "help of disruptor create");
        check("disruptor -h", "help of disruptor");
        check("--help", "help of ");
        check("help --json", "manual --json");
        check("event publish main - -m a=b -m c=d", "event publish --metadata a=b --metadata c=d -- main @-");
        check("event publish main -- -5", "event publish -- main -5");
        check("disruptor show help", "disruptor show -- help");
        check("event generate main -c 5 --count 6", "event generate --count 6 -- main");
        check(
            "disruptor create a -s 64 --endpoint http://h",
            "--endpoint http://h disruptor create --size 64 -- a",
        );
        check("server -c x", "server --config x");
        check("-c x disruptor list", "--config x disruptor list");
        check("ctx ls", "context list");
    }

    #[test]
    fn what_is_mistyped_is_told_with_what_was_meant() {
        let check =
            |typed: &str, said: &str| assert!(prepared(typed).contains(said), "{typed}: {}", prepared(typed));
        check("disruptor lst", "no command 'disruptor lst'. Did you mean 'disruptor list'?");
        check("servr", "no command 'servr'. Did you mean 'server'?");
        check("disruptor list --outptu json", "no option --outptu. Did you mean --output?");
        check("disruptor list -qx", "no option -qx");
        check("disruptor create a --size", "--size needs a value");
        check("disruptor list --quiet=yes", "--quiet takes no value");
    }

    /// Words that mean something, in any order, among some that mean nothing.
    #[test]
    fn nothing_that_can_be_typed_makes_it_panic() {
        const WORDS: [&str; 28] = [
            "disruptor",
            "create",
            "list",
            "event",
            "publish",
            "tail",
            "server",
            "help",
            "-o",
            "json",
            "--output=csv",
            "-qv",
            "-s64",
            "-m",
            "a=b",
            "--",
            "-",
            "@-",
            "--no-color",
            "--wait-strategy",
            "-5",
            "--=",
            "-\u{e9}",
            "--count=",
            "\u{1f980}",
            "{}",
            "-",
            "",
        ];
        fn property(choices: Vec<u8>, strange: String) {
            let choices = choices.iter().map(|choice| WORDS[usize::from(*choice) % WORDS.len()]);
            let typed: Vec<&str> = choices.chain([strange.as_str()]).collect();
            if let Ok(Understood::Words(words)) = prepare(&Globals::get_args_info(), &typed) {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                // What it says is tested elsewhere.
                let _understood = Globals::from_args(&["badbatch"], &words);
            }
        }
        QuickCheck::new().tests(2000).quickcheck(property as fn(Vec<u8>, String));
    }
}
