//! The tree of commands, as argh knows it, in the shape that help, manuals and completion read.

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};
use serde_json::{Value, json};

/// A command's groups, and the first words of what belongs to each.
pub const GROUPS: [(&str, &[&str]); 9] = [
    ("Start", &["demo", "server", "doctor", "manual", "completion", "version"]),
    ("Disruptors", &["disruptor"]),
    ("Events", &["event"]),
    ("Monitoring", &["monitor"]),
    ("Cluster", &["cluster"]),
    ("Settings", &["config", "context"]),
    ("Access", &["key"]),
    ("Measuring", &["bench"]),
    ("Any request", &["api", "explain"]),
];

/// A command that does something.
pub struct Leaf<'t> {
    /// Its words, without the program's name.
    pub path: Vec<&'t str>,
    info: &'t CommandInfoWithArgs,
}

/// An option, or an argument without a name before it.
pub struct Argument<'t> {
    /// `--size`, or the argument's own name.
    pub name: &'t str,
    pub short: Option<char>,
    /// What stands for the value; a switch has none.
    pub value: Option<String>,
    /// What it is, without what follows here.
    pub about: String,
    pub default: Option<&'t str>,
    pub environment: Option<&'t str>,
    /// The only values there are.
    pub values: Vec<&'t str>,
    pub is_required: bool,
    pub repeats: bool,
}

/// Every command that does something, in the order in which they are declared.
pub fn leaves<'t>(root: &'t CommandInfoWithArgs) -> Vec<Leaf<'t>> {
    let mut found = Vec::new();
    gather(root, &[], &mut found);
    found
}

fn gather<'t>(command: &'t CommandInfoWithArgs, path: &[&'t str], found: &mut Vec<Leaf<'t>>) {
    let is_group = !command.commands.is_empty();
    // A group with options of its own does something by itself.
    if !path.is_empty() && (!is_group || own(command.flags).next().is_some()) {
        found.push(Leaf { path: path.to_vec(), info: command });
    }
    for sub in &command.commands {
        gather(&sub.command, &[path, &[sub.name]].concat(), found);
    }
}

/// The command at a path.
pub fn descend<'t>(root: &'t CommandInfoWithArgs, path: &[&str]) -> Option<&'t CommandInfoWithArgs> {
    path.iter().try_fold(root, |command, word| {
        command.commands.iter().find(|sub| sub.name == *word).map(|sub| &sub.command)
    })
}

/// The options that are good for every command.
pub fn globals<'t>(root: &'t CommandInfoWithArgs) -> Vec<Argument<'t>> {
    own(root.flags).map(option).collect()
}

fn own<'t>(flags: &'t [FlagInfo<'t>]) -> impl Iterator<Item = &'t FlagInfo<'t>> {
    flags.iter().filter(|flag| flag.long != "--help" && !flag.hidden)
}

impl<'t> Leaf<'t> {
    /// As it is typed.
    pub fn command(&self) -> String {
        format!("badbatch {}", self.path.join(" "))
    }

    pub fn about(&self) -> &'t str {
        self.info.description
    }

    /// What follows the command, in short.
    pub fn usage(&self) -> String {
        let mut usage = self.command();
        for argument in self.arguments() {
            let name =
                if argument.repeats { format!("{}...", argument.name) } else { argument.name.to_owned() };
            usage += &if argument.is_required { format!(" <{name}>") } else { format!(" [<{name}>]") };
        }
        if self.options().next().is_some() {
            usage += " [options]";
        }
        usage
    }

    /// What has a place instead of a name.
    pub fn arguments(&self) -> impl Iterator<Item = Argument<'t>> + use<'t> {
        self.info.positionals.iter().filter(|positional| !positional.hidden).map(|positional| {
            let repeats = matches!(positional.optionality, Optionality::Repeating | Optionality::Greedy);
            let is_required = positional.optionality == Optionality::Required;
            Argument { is_required, repeats, ..described(positional.name, positional.description) }
        })
    }

    pub fn options(&self) -> impl Iterator<Item = Argument<'t>> + use<'t> {
        own(self.info.flags).map(option)
    }

    /// Lines that can be typed.
    pub fn examples(&self) -> Vec<String> {
        self.info.examples.iter().flat_map(|example| example.lines()).map(single_braces).collect()
    }

    /// Everything, for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "path": self.path,
            "command": self.command(),
            "about": self.about(),
            "usage": self.usage(),
            "arguments": self.arguments().map(|argument| argument.to_json()).collect::<Value>(),
            "options": self.options().map(|option| option.to_json()).collect::<Value>(),
            "examples": self.examples(),
        })
    }
}

/// What argh has doubled, to print it.
fn single_braces(text: &str) -> String {
    text.replace("{{", "{").replace("}}", "}")
}

fn option<'t>(flag: &'t FlagInfo<'t>) -> Argument<'t> {
    let value = match flag.kind {
        FlagInfoKind::Switch => None,
        FlagInfoKind::Option { arg_name } => Some(arg_name.to_owned()),
    };
    let repeats = flag.optionality == Optionality::Repeating;
    let is_required = flag.optionality == Optionality::Required;
    Argument { short: flag.short, value, repeats, is_required, ..described(flag.long, flag.description) }
}

/// Takes `[default: ..]`, `[env: ..]` and `[values: ..]` out of the description.
fn described<'t>(name: &'t str, about: &'t str) -> Argument<'t> {
    let note = |name: &str| {
        let (_, rest) = about.split_once(&format!("[{name}: "))?;
        rest.split_once(']').map(|(note, _)| note)
    };
    let end = ["[default: ", "[env: ", "[values: "].iter().filter_map(|mark| about.find(mark)).min();
    Argument {
        name,
        short: None,
        value: None,
        about: single_braces(about[..end.unwrap_or(about.len())].trim_end()),
        default: note("default"),
        environment: note("env"),
        values: note("values").map(|words| words.split(", ").collect()).unwrap_or_default(),
        is_required: false,
        repeats: false,
    }
}

impl Argument<'_> {
    /// `-s, --size <size>`, or `<name>`.
    pub fn heading(&self) -> String {
        if !self.name.starts_with('-') {
            return format!("<{}>", self.name);
        }
        let short = self.short.map_or_else(String::new, |short| format!("-{short}, "));
        let value = self.value.as_ref().map_or_else(String::new, |value| format!(" <{value}>"));
        format!("{short}{}{value}", self.name)
    }

    /// What it is, with its values, default and variable.
    pub fn whole(&self) -> String {
        let values = (!self.values.is_empty()).then(|| format!(" [values: {}]", self.values.join(", ")));
        let default = self.default.map(|default| format!(" [default: {default}]"));
        let environment = self.environment.map(|name| format!(" [env: {name}]"));
        let notes = [values, default, environment].into_iter().flatten().collect::<String>();
        format!("{}{notes}", self.about)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "short": self.short,
            "value": self.value,
            "about": self.about,
            "default": self.default,
            "environment": self.environment,
            "values": self.values,
            "required": self.is_required,
            "repeats": self.repeats,
        })
    }
}
