//! The house rules as tests: docs/ARCHITECTURE.md's layers and the checked rules of docs/STYLE.md.
//!
//! A rule takes the tree and returns its violations. Before it judges the package it must catch the
//! `bad` lines beside it and spare the `good` ones, so a rule that has gone blind fails as well.
//! Rules are nets for honest mistakes, not walls. A change to one changes docs/STYLE.md with it.

#[path = "tidy/source.rs"]
mod source;

use source::{Source, lines_with, resolve};
use std::collections::BTreeSet;

/// The layers, lowest first: a folder imports only from layers below its own.
/// `src/lib.rs` and docs/ARCHITECTURE.md show the same order.
const LAYERS: &[(u8, &str)] = &[
    (0, "base"),
    (1, "sys"),
    (1, "metrics"),
    (2, "api"),
    (2, "disruptor"),
    (3, "cluster"),
    (3, "engine"),
    (4, "replication"),
    (5, "node"),
    (6, "http"),
    (6, "client"),
    (7, "cli"),
];

/// What may say `unsafe`: the home of the system calls, and the core files that touch slots.
const UNSAFE_HOMES: &[&str] = &[
    "src/sys/",
    "src/disruptor/slots.rs",
    "src/disruptor/claim.rs",
    "src/disruptor/ring_buffer.rs",
    "src/disruptor/stage.rs",
    "src/disruptor/processor.rs",
    "src/disruptor/poller.rs",
    "src/disruptor/models/mod.rs",
];

/// Where features add names.
const FEATURE_HOMES: &[&str] =
    &["src/lib.rs", "src/main.rs", "src/base/mod.rs", "src/sys/mod.rs", "src/http/mod.rs", "src/cli/mod.rs"];

/// What stands at the top level, dot-files aside.
const TOP_LEVEL: &str =
    "Cargo.toml Cargo.lock src benches tests examples fuzz docs README.md LICENSE CHANGELOG.md";

/// `get_mut` is the name that readers know from LMAX and std.
const GET_ALLOWED: &[&str] = &["get_mut"];

const CODE_LINES_MAX: usize = 800;

#[test]
fn imports_go_down() {
    let mend = "imports come from lower layers; name a folder below, or move the shared part down";
    let rule = at_lines(mend, |file| {
        let Some(folder) = file.folder() else {
            return Vec::new();
        };
        let is_above = |name: &str| layer(name).is_none_or(|other| Some(other) >= layer(folder));
        let mut names = file.names_after("super::");
        names.retain(|(_, name)| layer(name).is_some());
        names.extend(file.names_after("crate::"));
        names.retain(|(_, name)| *name != folder && is_above(name));
        names.into_iter().map(|(line, _)| line).collect()
    });
    let cases = r"
        bad  src/base/clock.rs | use crate::sys::Futex;
        bad  src/base/mod.rs | use super::sys::Futex;
        bad  src/sys/futex.rs | use crate::{\n    base::clock::Clock,\n    disruptor::Ring,\n};
        bad  src/sys/futex.rs | fn ring() -> crate::disruptor::Ring {}
        bad  src/disruptor/ring.rs | use crate::Sequence;
        good src/disruptor/ring.rs | use crate::{base::rng, sys};\nuse crate::disruptor::sync;
        good src/base/mod.rs | /// Below [`crate::disruptor`].\nuse super::clock;
        good src/lib.rs | pub use crate::disruptor::Ring;";
    uphold(rule, cases);
}

#[test]
fn every_folder_has_a_layer() {
    let rule = |tree: &[Source]| {
        let layers: BTreeSet<_> = LAYERS.iter().map(|(_, folder)| *folder).collect();
        let roots = ["lib.rs", "main.rs"];
        let paths = tree.iter().filter_map(|file| file.path.strip_prefix("src/"));
        let mut entries: BTreeSet<_> = paths.filter_map(|path| path.split('/').next()).collect();
        entries.retain(|name| !roots.contains(name));
        let stray = entries.difference(&layers);
        let stray = stray.map(|name| format!("src/{name}: in no layer; move it to one of LAYERS"));
        let gone = layers.difference(&entries);
        stray.chain(gone.map(|name| format!("src/{name}: not there; take it out of LAYERS"))).collect()
    };
    let files: Vec<_> = LAYERS.iter().map(|(_, folder)| format!("src/{folder}/a.rs |")).collect();
    let (all, some) = (files.join(" && "), files[1..].join(" && "));
    let strays = format!("bad {all} && src/util/d.rs |\n bad {all} && src/ring.rs |");
    uphold(rule, &format!("{strays}\n bad {some}\n good {all} && src/lib.rs |"));
}

#[test]
fn lib_rs_and_architecture_md_show_the_layers() {
    let rule = |tree: &[Source]| {
        let lib = tree.iter().find(|file| file.path == "src/lib.rs");
        let map = tree.iter().find(|file| file.path == "docs/ARCHITECTURE.md");
        let modules: Vec<_> = lib.iter().flat_map(|file| file.code.lines().filter_map(module)).collect();
        let rows: Vec<_> = map.iter().flat_map(|file| file.text.lines().filter_map(row)).collect();
        let mut found = Vec::new();
        if !modules.iter().eq(LAYERS.iter().map(|(_, folder)| folder)) {
            found.push(format!("src/lib.rs: declares {modules:?}; follow {LAYERS:?}"));
        }
        if rows != LAYERS {
            let form = "one row `| layer | `folder/` | ..` each";
            found.push(format!("docs/ARCHITECTURE.md: shows {rows:?}; write {LAYERS:?}, {form}"));
        }
        found
    };
    let modules = LAYERS.iter().map(|(_, folder)| format!(r"pub mod {folder};\n"));
    let lib = format!("src/lib.rs | {}", modules.collect::<String>());
    let rows = LAYERS.iter().map(|(layer, folder)| format!(r"| {layer} | `{folder}/` | x |\n"));
    let map = format!("docs/ARCHITECTURE.md | {}", rows.collect::<String>());
    let swapped = lib.replace("base", "other").replace("sys", "base").replace("other", "sys");
    let short = map.replace("| 2 |", "| - |");
    uphold(rule, &format!("bad {lib} && {short}\n bad {swapped} && {map}\n good {lib} && {map}"));
}

#[test]
fn only_sys_names_libc() {
    let mend = "only src/sys/ names libc; put a safe function there and call it";
    let at = |file: &Source, _| file.is_in(&["src/"]) && !file.is_in(&["src/sys/"]);
    let cases = r#"
        bad  src/base/clock.rs | use std::ptr;\nuse libc::{c_int, timespec};
        good src/base/clock.rs | // Not libc.\nlet name = "libc";
        good src/sys/futex.rs | use libc::timespec;"#;
    uphold(ban(mend, &["libc"], at), cases);
}

#[test]
fn the_core_reaches_atomics_and_loom_through_its_shim() {
    let mend = "loom's models replace it; import it from crate::disruptor::sync";
    let words = ["std::sync::atomic", "core::sync::atomic", "loom::*"];
    let shim = ["src/disruptor/sync.rs", "src/disruptor/models/"];
    let at = move |file: &Source, _| file.is_in(&["src/disruptor/"]) && !file.is_in(&shim);
    let cases = r"
        bad  src/disruptor/ring.rs | use std::sync::{\n    Arc,\n    atomic::AtomicU64,\n};
        bad  src/disruptor/ring.rs | let cell = loom::cell::UnsafeCell::new(0);
        good src/disruptor/ring.rs | use crate::disruptor::sync::atomic::AtomicU64;
        good src/disruptor/ring.rs | use std::sync::{Arc, mpsc};
        good src/disruptor/sync.rs | pub(crate) use std::sync::atomic;
        good src/disruptor/models/claim.rs | loom::model(check);
        good src/sys/futex.rs | use std::sync::atomic::AtomicU32;";
    uphold(ban(mend, &words, at), cases);
}

#[test]
fn features_add_names_at_assembly_points_only() {
    let mend = "a feature adds a module in FEATURE_HOMES, and changes nothing else";
    let at = |file: &Source, _| file.is_in(&["src/"]) && !file.is_in(FEATURE_HOMES);
    let cases = r#"
        bad  src/disruptor/ring.rs | #[cfg(all(unix, feature = "hwloc"))]\nfn pin() {}
        bad  src/base/clock.rs | let real = cfg!(feature = "clock");
        good src/base/clock.rs | let feature = 1;
        good src/sys/mod.rs | #[cfg(feature = "hwloc")]\nmod hwloc;"#;
    uphold(ban(mend, &["feature = \"*"], at), cases);
}

#[test]
fn unsafe_code_stays_in_its_homes() {
    let mend = "unsafe code lives in UNSAFE_HOMES; call a safe function of theirs";
    let at = |file: &Source, _| file.is_in(&["src/", "examples/"]) && !file.is_in(UNSAFE_HOMES);
    let cases = r"
        bad  src/disruptor/builder.rs | let event = unsafe { &*slot };
        good src/disruptor/builder.rs | #![deny(unsafe_code)] // Nothing unsafe.
        good src/disruptor/slots.rs | unsafe impl Sync for Slots {}";
    uphold(ban(mend, &["unsafe"], at), cases);
}

#[test]
fn a_file_with_unsafe_opens_with_its_invariants() {
    let mend = "unsafe code without Invariants; letter them in the `//!` lines that open the file";
    let rule = at_lines(mend, |file| {
        let mut header = file.text.lines().take_while(|line| line.starts_with("//!"));
        let is_exempt = !file.is_in(&["src/"]) || header.any(|line| line.contains("Invariants"));
        let uses = if is_exempt { Vec::new() } else { lines_with(&file.code, "unsafe") };
        uses.into_iter().take(1).collect()
    });
    let cases = r"
        bad  src/sys/futex.rs | //! Futex.\n\n//! Invariants\nunsafe fn wait() {}
        good src/sys/futex.rs | //! Futex.\n//!\n//! Invariants: (A) ..\nunsafe fn wait() {}
        good src/sys/topology.rs | //! Reads sysfs.\nfn cpus() {}";
    uphold(rule, cases);
}

#[test]
fn unsafe_blocks_and_impls_say_why_they_are_sound() {
    let mend = "unsafe without a reason; write `// SAFETY: (A) ..` right above";
    let words = ["unsafe {*", "unsafe impl"];
    let rule = ban(mend, &words, |file, line| !file.has_safety_above(line));
    let cases = r"
        bad  tests/a.rs | // SAFETY: (A) far away.\n\nlet a = unsafe { f() };
        bad  tests/a.rs | // SAFETY: (A) once.\nlet a = unsafe { f() };\nlet b = unsafe { f() };
        bad  tests/a.rs | // Trust me.\nunsafe impl<T> Sync for A<T> {}
        good tests/a.rs | // SAFETY: (A) claimed,\n// unpublished.\nlet a =\n    unsafe { f() };
        good tests/a.rs | // SAFETY: (A).\n#[allow(unsafe_code)]\nunsafe impl Sync for A {}
        good tests/a.rs | unsafe fn f() {}";
    uphold(rule, cases);
}

#[test]
fn the_library_prints_nothing() {
    let mend = "the library neither prints nor logs; return a value or an error";
    let words = ["println!", "eprintln!", "print!", "eprint!", "dbg!"];
    let faces = ["src/cli/", "src/main.rs"];
    let at = move |file: &Source, line| file.is_in(&["src/"]) && !file.is_in(&faces) && !file.is_test(line);
    let cases = r"
        good src/cli/server.rs | fn greet() {\n    println!();\n}
        bad  src/base/rng.rs | fn seed() {\n    eprintln!();\n}
        bad  src/base/rng.rs | fn seed() {\n    dbg!(seed);\n}
        good src/base/rng.rs | /// println!();\nfn seed() {}
        good src/base/rng.rs | #[cfg(test)]\nmod tests {\n    fn show() { println!(); }\n}";
    uphold(ban(mend, &words, at), cases);
}

#[test]
fn threads_are_spawned_with_a_name() {
    let mend = "a thread has a name, an owner and a join; use thread::Builder::new().name(..)";
    let at = |file: &Source, line| file.is_in(&["src/"]) && !file.is_test(line);
    let cases = r"
        bad  src/disruptor/start.rs | let handle = std::thread::spawn(run);
        good src/disruptor/start.rs | thread::Builder::new().name(name).spawn(run)?;
        good src/disruptor/models/claim.rs | let reader = loom::thread::spawn(run);";
    uphold(ban(mend, &["thread::spawn"], at), cases);
}

#[test]
fn tests_neither_sleep_nor_read_the_clock() {
    let mend = "a test depends on no clock; use a manual clock, a channel or a barrier";
    let words = ["thread::sleep", "Instant::now", "SystemTime::now"];
    let cases = r"
        bad  tests/pipeline.rs | std::thread::sleep(step);
        bad  src/disruptor/wait/tests.rs | let start = Instant::now();
        bad  src/base/clock.rs | #[cfg(all(test, not(loom)))]\nmod tests {\n    SystemTime::now();\n}
        good src/base/clock.rs | let now = Instant::now();\n#[cfg(test)]\nmod tests;";
    uphold(ban(mend, &words, Source::is_test), cases);
}

#[test]
fn nothing_is_left_unfinished_or_silenced() {
    let mend = "work put off or a warning hushed; do it, remove it, or open an issue";
    let code = ["todo!", "unimplemented!", "#[ignore*", "clippy::all", "dead_code", "allow(unused*"];
    let notes = ["TODO", "FIXME", "XXX"];
    let rule = at_lines(mend, |file| {
        let code = code.iter().flat_map(|word| lines_with(&file.code, word));
        code.chain(notes.iter().flat_map(|word| lines_with(&file.notes, word))).collect()
    });
    let cases = r"
        bad  src/base/rng.rs | fn below() { todo!() }
        bad  tests/a.rs | #[ignore]\nfn a() {}
        bad  src/base/mod.rs | #![allow(missing_docs, dead_code)]
        bad  benches/ring.rs | #![allow(unused_imports)]
        bad  examples/a.rs | let a = 1; // FIXME: wrong for 0
        good src/base/rng.rs | let unused_slots = 'T'; // Ignored while unused.";
    uphold(rule, cases);
}

#[test]
fn accessors_have_no_get_prefix() {
    let mend = "an accessor is named for what it returns; drop `get_`";
    let rule = at_lines(mend, |file| {
        let mut names = file.names_after("fn ");
        names.retain(|(_, name)| name.starts_with("get_") && !GET_ALLOWED.contains(name));
        names.retain(|_| file.is_in(&["src/"]));
        names.into_iter().map(|(line, _)| line).collect()
    });
    let cases = r"
        bad  src/disruptor/ring.rs | fn get_cursor(&self) -> u64 {}
        good src/disruptor/ring.rs | fn get_mut(&mut self) {}\nfn get(&self) {}\nfn cursor(&self) {}
        good tests/ring.rs | fn get_all() {}";
    uphold(rule, cases);
}

#[test]
fn a_type_has_one_public_path() {
    let mend = "re-exports stand in mod.rs and lib.rs; write `pub(crate) use`, or move it there";
    let is_index = |file: &Source| file.path.ends_with("/mod.rs") || file.path == "src/lib.rs";
    let at = |file: &Source, _| file.is_in(&["src/"]) && !is_index(file);
    let cases = r"
        bad  src/disruptor/ring.rs | pub use crate::base::rng::Rng;
        good src/disruptor/mod.rs | pub use ring::Ring;
        good src/disruptor/sync.rs | pub(crate) use std::sync::Arc;";
    uphold(ban(mend, &["pub use"], at), cases);
}

#[test]
fn a_file_stays_short_enough_to_read() {
    let mend = format!("more than {CODE_LINES_MAX} lines of code end here; split off a second idea");
    let rule = at_lines(&mend, |file| {
        let lines = file.code.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let is_bound = file.is_in(&["src/", "tests/", "examples/", "benches/"]);
        let over = lines.map(|(line, _)| line).skip(CODE_LINES_MAX);
        over.take(usize::from(is_bound)).collect()
    });
    let long = r"let a = 1;\n".repeat(CODE_LINES_MAX + 1);
    let padded = r"// Why.\n\nlet a = 1;\n".repeat(CODE_LINES_MAX);
    uphold(rule, &format!("bad benches/a.rs | {long}\n good src/base/a.rs | {padded}"));
}

#[test]
fn text_is_plain_ascii() {
    // What the program draws on a screen.
    const CAPTURED: &[&str] = &["docs/SCREENS.md"];
    let rule = at_lines("not plain ASCII; spell it out", |file| {
        if file.is_in(CAPTURED) {
            return Vec::new();
        }
        let lines = file.text.lines().enumerate();
        lines.filter(|(_, line)| !line.is_ascii()).map(|(line, _)| line).collect()
    });
    let odd = "bad README.md | # A \u{2192} B\n bad src/lib.rs | // caf\u{e9}";
    let good = "good README.md | # A -> B\n good docs/SCREENS.md | \u{2501}";
    uphold(rule, &format!("{odd}\n {good}"));
}

#[test]
fn the_top_level_has_nothing_extra() {
    let rule = |tree: &[Source]| {
        let card: BTreeSet<_> = TOP_LEVEL.split(' ').collect();
        let mut names: BTreeSet<_> = tree.iter().filter_map(|file| file.path.split('/').next()).collect();
        names.retain(|name| !name.starts_with('.'));
        let extra = names.difference(&card);
        let extra = extra.map(|name| format!("{name}: not in TOP_LEVEL; move it into a folder"));
        let gone = card.difference(&names);
        extra.chain(gone.map(|name| format!("{name}: in TOP_LEVEL, not there; add it"))).collect()
    };
    let card = TOP_LEVEL.replace(' ', " | && ");
    let less = card.replace(" && LICENSE |", "");
    let cases = format!("bad {card} | && a.toml |\n bad {less} |\n good {card} | && .ci/run |");
    uphold(rule, &cases);
}

#[test]
fn relative_links_resolve() {
    let mend = "a link leads nowhere; mend it";
    let rule = |tree: &[Source]| {
        let leads = |target: &str| tree.iter().any(|file| file.is_in(&[target, &format!("{target}/")]));
        let broken = |file: &Source| {
            let links = file.links().into_iter();
            let broken = links.filter(|(_, link)| !leads(&resolve(&file.path, link)));
            broken.map(|(line, _)| line).collect()
        };
        at_lines(mend, broken)(tree)
    };
    let cases = r"
        bad  docs/STYLE.md | See [the map](ARCHITECTURE.md#words). && ARCHITECTURE.md |
        bad  README.md | [style]: docs/STYLE.md
        good docs/STYLE.md | [a](../README.md), [b](#c), [d](https://example.org/e). && README.md |
        good README.md | ```rust\nf[0](gone);\n```\n[src](src/) and `[x](y)` && src/lib.rs |";
    uphold(rule, cases);
}

/// A rule broken by the lines that `judge` returns, each of which is shown with the way to mend it.
fn at_lines(mend: &str, judge: impl Fn(&Source) -> Vec<usize>) -> impl Fn(&[Source]) -> Vec<String> {
    move |tree| {
        let broken = tree.iter().flat_map(|file| judge(file).into_iter().map(move |line| (file, line)));
        broken.map(|(file, line)| file.says(line, mend)).collect()
    }
}

/// A rule that these words do not stand in code `at` some lines; see `lines_with` for their `*`.
fn ban(mend: &str, words: &[&str], at: impl Fn(&Source, usize) -> bool) -> impl Fn(&[Source]) -> Vec<String> {
    at_lines(mend, move |file| {
        let lines = words.iter().flat_map(|word| lines_with(&file.code, word));
        lines.filter(|line| at(file, *line)).collect()
    })
}

/// Proves that the rule can fail and can pass, then holds the package to it.
///
/// A case is `bad path | text` or `good path | text` on a line of its own, with `\n` for a line
/// break and ` && ` between files. A bad case breaks the rule exactly once.
fn uphold(rule: impl Fn(&[Source]) -> Vec<String>, cases: &str) {
    let file = |file: &str| {
        let (path, text) = file.split_once(" |").expect("a file is `path | text`");
        Source::new(path.trim(), &text.trim().replace("\\n", "\n"))
    };
    for case in cases.lines().map(str::trim).filter(|case| !case.is_empty()) {
        let (verdict, files) = case.split_once(' ').expect("a case is `bad ..` or `good ..`");
        let found = rule(&files.split(" && ").map(file).collect::<Vec<_>>());
        assert_eq!(found.len(), usize::from(verdict == "bad"), "in {case}: {found:#?}");
    }
    let found = rule(&Source::tree());
    assert!(found.is_empty(), "violations: {}\n{}", found.len(), found.join("\n"));
}

fn layer(folder: &str) -> Option<u8> {
    let (layer, _) = LAYERS.iter().find(|(_, name)| *name == folder)?;
    Some(*layer)
}

/// `pub mod base;` is `base`.
fn module(line: &str) -> Option<&str> {
    let (before, name) = line.trim().strip_suffix(';')?.split_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// ``| 0 | `base/` | ...`` is `(0, "base")`.
fn row(line: &str) -> Option<(u8, &str)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let layer = cells.next()?.parse().ok()?;
    Some((layer, cells.next()?.strip_prefix('`')?.strip_suffix("/`")?))
}
