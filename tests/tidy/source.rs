//! Reads the tree as text for the rules of `tidy.rs`: what is code, comment, test or link.

use std::{env, fs, path::Path};

/// One file; `code` and `notes` keep the line breaks of `text`. Lines are counted from 0.
pub struct Source {
    /// From the package's root, with `/`.
    pub path: String,
    /// Empty unless the file is Rust or Markdown.
    pub text: String,
    /// Rust without comments and the insides of literals, `use` groups unfolded.
    pub code: String,
    /// The comments of Rust alone.
    pub notes: String,
    /// From this line on, the code is compiled for tests only.
    tests_from: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let (code, notes) = match path.ends_with(".rs") {
            true => split(text),
            false => Default::default(),
        };
        let tests = ["tests/", "src/disruptor/models/"].iter().any(|home| path.starts_with(home));
        let tests_from = match tests || path.contains("/tests/") || path.ends_with("/tests.rs") {
            true => 0,
            false => inline_tests(&code).unwrap_or(usize::MAX),
        };
        let code = unfold_uses(&code);
        Source { path: path.into(), text: text.into(), code, notes, tests_from }
    }

    /// Every file of the package except what cargo and git keep for themselves.
    pub fn tree() -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let (mut tree, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.ends_with("target") || path.ends_with(".git") {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let relative = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
                let is_text = path.extension().is_some_and(|kind| kind == "rs" || kind == "md");
                let bytes = if is_text { fs::read(&path).unwrap() } else { Vec::new() };
                tree.push(Source::new(&relative, &String::from_utf8_lossy(&bytes)));
            }
        }
        tree.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    /// Whether the path is one of these files, or in one of these folders (which end with `/`).
    pub fn is_in(&self, homes: &[&str]) -> bool {
        let at = |home: &&str| self.path == **home || home.ends_with('/') && self.path.starts_with(*home);
        homes.iter().any(at)
    }

    pub fn is_test(&self, line: usize) -> bool {
        line >= self.tests_from
    }

    /// The folder of `src/` that this Rust file belongs to.
    pub fn folder(&self) -> Option<&str> {
        let (folder, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        self.path.ends_with(".rs").then_some(folder)
    }

    /// A violation, with the line at fault below it.
    pub fn says(&self, line: usize, mend: &str) -> String {
        let text = self.text.lines().nth(line).unwrap_or_default().trim();
        format!("{}:{}: {mend}\n    {text}", self.path, line + 1)
    }

    /// The identifiers that follow `prefix` in the code, each with its line.
    pub fn names_after(&self, prefix: &str) -> Vec<(usize, &str)> {
        let mut names = Vec::new();
        for (line, code) in self.code.lines().enumerate() {
            let starts = code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with(is_word));
            names.extend(starts.map(|(at, _)| (line, identifier(&code[at + prefix.len()..]))));
        }
        names
    }

    /// Whether a comment with `SAFETY:` ends right above the statement that holds this line.
    pub fn has_safety_above(&self, line: usize) -> bool {
        const REACH: usize = 12;
        let lines: Vec<_> = self.text.lines().take(line).map(str::trim).collect();
        let is_note = |text: &&&str| text.starts_with("//");
        let same_statement =
            |text: &&&str| !text.is_empty() && !is_note(text) && !text.ends_with([';', '{', '}', ',']);
        let mut above = lines.iter().rev().take(REACH).skip_while(same_statement).take_while(is_note);
        above.any(|text| text.contains("SAFETY:"))
    }

    /// The relative links of a Markdown text outside code, without their anchors.
    pub fn links(&self) -> Vec<(usize, &str)> {
        let (mut links, mut fenced) = (Vec::new(), !self.path.ends_with(".md"));
        for (line, text) in self.text.lines().enumerate() {
            fenced ^= text.trim_start().starts_with("```");
            let prose = if fenced { "" } else { text };
            let parts = prose.split('`').step_by(2).flat_map(|part| part.split("](").skip(1));
            let inline = parts.filter_map(|rest| rest.split([')', ' ']).next());
            let named = prose.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
            let all = inline.chain(named.map(|(_, link)| link.trim()));
            let local = all.filter(|link| !link.contains("://") && !link.starts_with("mailto:"));
            let paths = local.filter_map(|link| link.split('#').next());
            links.extend(paths.filter(|path| !path.is_empty()).map(|path| (line, path)));
        }
        links
    }
}

/// Where a link in the file at `from` leads, from the package's root.
pub fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The lines where `word` stands by itself; if it ends with `*`, where a word starts with it.
pub fn lines_with(text: &str, word: &str) -> Vec<usize> {
    let (word, prefix) = (word.trim_end_matches('*'), word.ends_with('*'));
    let stands = |line: &str, at: usize| {
        let before = word.starts_with(is_word) && line[..at].ends_with(is_word);
        !before && (prefix || !line[at + word.len()..].starts_with(is_word))
    };
    let found = |line: &str| line.match_indices(word).any(|(at, _)| stands(line, at));
    text.lines().enumerate().filter(|(_, line)| found(line)).map(|(number, _)| number).collect()
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

fn identifier(text: &str) -> &str {
    &text[..text.find(|letter| !is_word(letter)).unwrap_or(text.len())]
}

/// The line of the `#[cfg(..test..)]` that opens a module of tests in its own file.
fn inline_tests(code: &str) -> Option<usize> {
    let lines: Vec<_> = code.lines().collect();
    let opens = |pair: &[&str]| {
        let for_tests = pair[0].starts_with("#[cfg(") && !lines_with(pair[0], "test").is_empty();
        for_tests && pair[1].starts_with("mod ") && pair[1].contains('{')
    };
    lines.windows(2).position(opens)
}

/// Code and comments, each with blanks for the other. Of a literal, code keeps two quotes.
fn split(text: &str) -> (String, String) {
    let (mut code, mut notes, mut rest) = (String::new(), String::new(), text);
    let blank = |part: &str| part.replace(|letter| letter != '\n', " ");
    while !rest.is_empty() {
        let (kind, length) = token(rest);
        let (token, left) = rest.split_at(length);
        code += &match kind {
            Kind::Code => token.to_string(),
            Kind::Note => blank(token),
            Kind::Literal => format!("\"{}\"", blank(token.get(1..length - 1).unwrap_or(""))),
        };
        notes += &if kind == Kind::Note { token.to_string() } else { blank(token) };
        rest = left;
    }
    (code, notes)
}

#[derive(PartialEq)]
enum Kind {
    Code,
    Note,
    Literal,
}

/// The kind and length of the token that the text starts with.
fn token(text: &str) -> (Kind, usize) {
    let word = identifier(text);
    let after = text[word.len()..].trim_start_matches('#');
    if ["r", "br", "cr"].contains(&word) && after.starts_with('"') {
        let start = text.len() - after.len() + 1;
        let end = format!("\"{}", &text[word.len()..start - 1]);
        let length = text[start..].find(&end).map(|inside| start + inside + end.len());
        return (Kind::Literal, length.unwrap_or(text.len()));
    }
    let mut letters = text.chars();
    match (letters.next().unwrap(), letters.next(), letters.next()) {
        _ if !word.is_empty() => (Kind::Code, word.len()),
        ('/', Some('/'), _) => (Kind::Note, text.find('\n').unwrap_or(text.len())),
        ('/', Some('*'), _) => (Kind::Note, block_comment(text)),
        // A lifetime has neither an escape nor a second quote.
        ('"', ..) | ('\'', Some('\\'), _) | ('\'', _, Some('\'')) => (Kind::Literal, literal(text)),
        (other, ..) => (Kind::Code, other.len_utf8()),
    }
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let step = i32::from(rest.starts_with("/*")) - i32::from(rest.starts_with("*/"));
        depth += step;
        at += if step == 0 { rest.chars().next().map_or(1, char::len_utf8) } else { 2 };
        if depth == 0 {
            break;
        }
    }
    at
}

fn literal(text: &str) -> usize {
    let (quote, mut escaped) = (text.chars().next(), false);
    for (at, letter) in text.char_indices().skip(1) {
        if !escaped && Some(letter) == quote {
            return at + 1;
        }
        escaped = !escaped && letter == '\\';
    }
    text.len()
}

/// Rewrites `use a::{b, c::d};` as `use a::b;use a::c::d;` on its first line.
fn unfold_uses(code: &str) -> String {
    let mut parts = code.split("use ");
    let mut unfolded = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (tree, rest) = part.split_once(';').unwrap_or((part, ""));
        if unfolded.ends_with(is_word) || !tree.contains('{') {
            unfolded += &format!("use {part}");
            continue;
        }
        unfolded.extend(unfold(tree).iter().map(|path| format!("use {path};")));
        unfolded += &"\n".repeat(tree.matches('\n').count());
        unfolded += rest;
    }
    unfolded
}

fn unfold(tree: &str) -> Vec<String> {
    let Some((head, group)) = tree.split_once('{') else {
        return vec![tree.trim().into()];
    };
    let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let mut depth = 0;
    let items = group.split(|letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let items = items.filter(|item| !item.trim().is_empty());
    items.flat_map(unfold).map(|path| format!("{}{path}", head.trim())).collect()
}

#[test]
fn code_is_told_from_comments_and_literals() {
    let check = |text: &str, code: &str, notes: &str| {
        let file = Source::new("src/a.rs", text);
        let words = |text: &str| Vec::from_iter(text.split_whitespace()).join(" ");
        let lines = |text: &str| text.matches('\n').count();
        assert_eq!((words(&file.code), words(&file.notes)), (code.into(), notes.into()));
        assert_eq!((lines(&file.code), lines(&file.notes)), (lines(text), lines(text)));
    };
    let nested = "/* b /* c */ d */ // e";
    check(&format!("a {nested}\nf"), "a f", nested);
    check(r"f('\'', '/', '{') + a::<'a>('b')", r#"f(" ", " ", " ") + a::<'a>(" ")"#, "");
    check(r##"f("//", r#"" // "#, b"\"", br"\"); // g"##, r#"f(" ", " ", b" ", " ");"#, "// g");
    let group = "reuse b; use a::{\n    b,\n    c::{self, d as e},\n};";
    check(group, "reuse b; use a::b;use a::c::self;use a::c::d as e;", "");
}
