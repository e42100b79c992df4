//! The files in which Linux describes a machine, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use crate::base::cpu_set::CpuSet;

/// The files of `/sys/devices/system` that tell a machine's topology, or those of another machine.
///
/// Text: a line `path = content` for each file, in order; a line break in the content is written `\n`. So
/// the tree of a machine can be printed, sent along with a report, and read by
/// [`Topology::from_tree`](super::Topology::from_tree) elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

/// Why a text is no tree.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} is not of the form `path = content`")]
pub struct TreeError {
    /// The number of the line, from 1.
    pub line: usize,
}

/// The files that are read, `*` standing for any number.
const FILES: &[&str] = &[
    "cpu/online",
    "cpu/isolated",
    "cpu/cpu*/cpu_capacity",
    "cpu/cpu*/topology/physical_package_id",
    "cpu/cpu*/topology/core_cpus_list",
    "cpu/cpu*/topology/thread_siblings_list",
    "cpu/cpu*/cache/index*/level",
    "cpu/cpu*/cache/index*/type",
    "cpu/cpu*/cache/index*/size",
    "cpu/cpu*/cache/index*/shared_cpu_list",
    "node/online",
    "node/node*/cpulist",
    "node/node*/meminfo",
    "node/node*/distance",
    "node/node*/hugepages/hugepages-*kB/nr_hugepages",
    "node/node*/hugepages/hugepages-*kB/free_hugepages",
];

impl Tree {
    /// Reads the tree below `root`, which is `/sys/devices/system` or a copy of it. Files that are missing
    /// or cannot be read are left out.
    pub fn load(root: &Path) -> Self {
        let mut tree = Self::default();
        for pattern in FILES {
            let parts: Vec<_> = pattern.split('/').collect();
            tree.load_below(root, "", &parts);
        }
        tree
    }

    fn load_below(&mut self, folder: &Path, path: &str, parts: &[&str]) {
        let Some((&part, rest)) = parts.split_first() else {
            if let Ok(content) = fs::read_to_string(folder) {
                self.files.insert(path.to_owned(), content.trim().to_owned());
            }
            return;
        };
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let Some((before, after)) = part.split_once('*') else {
            return self.load_below(&folder.join(part), &below(part), rest);
        };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if let Some(name) = entry.file_name().to_str()
                && number_in(name, before, after).is_some()
            {
                self.load_below(&entry.path(), &below(name), rest);
            }
        }
    }

    /// The content of a file, without the white space around it.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The number that a file holds, or `None` if it holds something else.
    pub(super) fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The list of CPUs or nodes that a file holds, or `None` if it holds something else.
    pub(super) fn list(&self, path: &str) -> Option<CpuSet> {
        self.text(path)?.parse().ok()
    }

    /// The numbers `n` for which there are files below `{before}{n}{after}/`, in order.
    pub(super) fn numbers(&self, before: &str, after: &str) -> BTreeSet<u32> {
        let paths = self.files.range(before.to_owned()..).map(|(path, _)| &path[..]);
        let paths = paths.take_while(|path| path.starts_with(before));
        paths
            .filter_map(|path| {
                let (number, _) = path[before.len()..].split_once('/')?;
                number_in(number, "", after)
            })
            .collect()
    }
}

/// The number between `before` and `after` in a name.
fn number_in(name: &str, before: &str, after: &str) -> Option<u32> {
    let digits = name.strip_prefix(before)?.strip_suffix(after)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

impl FromStr for Tree {
    type Err = TreeError;

    fn from_str(text: &str) -> Result<Self, TreeError> {
        let file = |(index, line): (usize, &str)| {
            let (path, content) = line.split_once(" =").ok_or(TreeError { line: index + 1 })?;
            Ok((path.to_owned(), content.trim().replace("\\n", "\n")))
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let files = lines.map(file).collect::<Result<_, _>>()?;
        Ok(Self { files })
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files
            .iter()
            .try_for_each(|(path, content)| writeln!(f, "{path} = {}", content.replace('\n', "\\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Tree, TreeError};

    #[test]
    fn a_tree_is_what_its_text_says() {
        let text = "cpu/online = 0-1\ncpu/cpu0/cpu_capacity =\nnode/node0/meminfo = a\\nb\n";
        let tree: Tree = text.parse().expect("it is well formed");
        assert_eq!(tree.text("node/node0/meminfo"), Some("a\nb"));
        assert_eq!(tree.text("cpu/cpu0/cpu_capacity"), Some(""));
        assert_eq!(tree.text("cpu/possible"), None);
        assert_eq!(tree.to_string().parse(), Ok(tree));
        assert_eq!("# a comment\n\ncpu/online".parse::<Tree>(), Err(TreeError { line: 3 }));
    }

    #[test]
    fn numbered_folders_are_found_in_order_and_others_are_not() {
        let paths = ["cpu/cpu10/a", "cpu/cpu9/a", "cpu/cpu9/b", "cpu/cpufreq/c", "cpu/cpu/d", "cpu/cpu+1/e"];
        let tree: Tree = paths.map(|path| format!("{path} = 0\n")).concat().parse().expect("well formed");
        assert_eq!(tree.numbers("cpu/cpu", "").into_iter().collect::<Vec<_>>(), [9, 10]);
    }
}
