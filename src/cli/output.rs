//! Results: one JSON value, shown as a table or as what programs read. A table is a view of the JSON.

use std::io::{self, Write};
use std::str::FromStr;

use console::Style;
use serde_json::{Value, json};

use crate::base::nearest::nearest;

/// How results look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Wide,
    Json,
    Yaml,
    Ndjson,
    Csv,
    Name,
}

const WORDS: [(&str, Format); 7] = [
    ("table", Format::Table),
    ("wide", Format::Wide),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("ndjson", Format::Ndjson),
    ("csv", Format::Csv),
    ("name", Format::Name),
];

impl Format {
    /// As it is written.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(_, format)| *format == self).map_or("", |(word, _)| word)
    }

    /// Whether people read it.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, format)| *format).ok_or_else(|| {
            let known = WORDS.map(|(word, _)| word);
            let hint =
                nearest(word, known).map_or_else(String::new, |near| format!("; did you mean {near}?"));
            format!("there is no output `{word}`; there are {}{hint}", known.join(", "))
        })
    }
}

/// Headings, and where their values are, as JSON pointers.
pub type Columns<'v> = &'v [(&'v str, &'v str)];

/// How a value is shown to people.
pub struct View<'v> {
    /// The member that holds the rows, if the value is a list of some kind.
    pub rows: Option<&'v str>,
    pub columns: Columns<'v>,
    /// What a wide table has besides.
    pub wide: Columns<'v>,
    /// Where a row's name is.
    pub name: &'v str,
}

/// Prints a line.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Prints a value.
pub fn show(format: Format, value: &Value, view: &View<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text(format, value, view).as_bytes())?;
    out.flush()
}

/// The value as it is printed.
pub fn text(format: Format, value: &Value, view: &View<'_>) -> String {
    let whole = [value.clone()];
    let rows: &[Value] = match view.rows.and_then(|rows| value[rows].as_array()) {
        Some(rows) => rows,
        None if view.rows.is_some() => &[],
        None => &whole,
    };
    let wide = if format == Format::Table { &[] } else { view.wide };
    let columns: Vec<_> = view.columns.iter().chain(wide).collect();
    let cells = |row: &Value| columns.iter().map(|(_, at)| cell(row.pointer(at))).collect::<Vec<_>>();
    let legible = |row: &Value| columns.iter().map(|(_, at)| legible(row.pointer(at))).collect::<Vec<_>>();
    match format {
        Format::Json => format!("{value:#}\n"),
        Format::Yaml => serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value}\n")),
        Format::Ndjson => rows.iter().map(|row| format!("{row}\n")).collect(),
        Format::Name => rows.iter().map(|row| cell(row.pointer(view.name)) + "\n").collect(),
        Format::Csv => {
            let heading = columns.iter().map(|(name, _)| quoted(&name.to_lowercase())).collect::<Vec<_>>();
            let lines = rows.iter().map(|row| cells(row).iter().map(|cell| quoted(cell)).collect::<Vec<_>>());
            std::iter::once(heading).chain(lines).map(|line| line.join(",") + "\n").collect()
        }
        Format::Table | Format::Wide if view.rows.is_none() => {
            let width = columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            let line = |(name, cell): (&str, String)| {
                format!("{}  {}\n", heading(&format!("{name:width$}")), coloured(&cell))
            };
            columns.iter().map(|(name, _)| *name).zip(legible(value)).map(line).collect()
        }
        Format::Table | Format::Wide => {
            let heading: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
            let lines = rows.iter().map(legible);
            table(&std::iter::once(heading).chain(lines).collect::<Vec<_>>())
        }
    }
}

fn table(lines: &[Vec<String>]) -> String {
    let count = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |(number, line): (usize, &Vec<String>)| {
        let last = line.iter().rposition(|cell| !cell.is_empty()).unwrap_or(0);
        let cells = line.iter().zip(&widths).enumerate().take(last + 1).map(|(column, (cell, width))| {
            let fill = if column == last { 0 } else { width - cell.chars().count() };
            let cell = if number == 0 { heading(cell) } else { coloured(cell) };
            format!("{cell}{:fill$}", "")
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  "))
    };
    lines.iter().enumerate().map(line).collect()
}

/// A heading, bold where there are colours.
pub fn heading(text: &str) -> String {
    Style::new().bold().apply_to(text).to_string()
}

/// A word that tells a state has the colour of that state, where there are colours.
fn coloured(word: &str) -> String {
    let style = Style::new();
    let style = match word {
        "running" | "healthy" | "ok" | "alive" | "passing" | "ready" | "live" => style.green(),
        "paused" | "degraded" | "draining" | "warning" | "suspect" | "leaving" => style.yellow(),
        "unhealthy" | "failed" | "wrong" | "dead" | "critical" => style.red(),
        _ => style,
    };
    style.apply_to(word).to_string()
}

/// A value in a cell.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A value in a cell that people read: lists and members without their brackets.
fn legible(value: Option<&Value>) -> String {
    match value {
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) if items.iter().all(|item| item.is_string() || named(item).is_some()) => {
            items.iter().map(|item| legible(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(Value::Object(members)) if value.and_then(named).is_some() => {
            let (key, of) = value.and_then(named).expect("it was just seen");
            let is_told = |name: &str, value: &Value| {
                name != key
                    && !matches!(value, Value::Null | Value::Bool(false))
                    && *value != 0
                    && *value != json!([])
            };
            let told = members.iter().filter(|(name, value)| is_told(name, value));
            let told = told.map(|(name, value)| match value {
                Value::Bool(_) => name.clone(),
                value => format!("{name} {}", legible(Some(value))),
            });
            let told: Vec<_> = told.collect();
            let of = plain(of);
            if told.is_empty() { of } else { format!("{of} ({})", told.join(", ")) }
        }
        Some(Value::Number(number)) if number.is_f64() => short(number.as_f64().unwrap_or_default()),
        other => plain(&cell(other)),
    }
}

/// The member by which a thing is named, and its name.
fn named(thing: &Value) -> Option<(&'static str, &str)> {
    ["name", "node"].into_iter().find_map(|key| Some((key, thing[key].as_str()?)))
}

/// Three digits that count, or all of those before the point.
fn short(number: f64) -> String {
    let before = if number == 0.0 { 1 } else { number.abs().log10().floor() as i32 + 1 };
    let decimals = (3 - before).clamp(0, 9) as usize;
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A text that stays on its line and does nothing to a terminal.
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character {
            control if control.is_control() => control.escape_default().collect::<Vec<_>>(),
            other => vec![other],
        })
        .collect()
}

/// RFC 4180.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, View, text};
    use serde_json::json;

    #[test]
    fn every_form_says_the_same() {
        let value =
            json!({"items": [{"n": "a", "v": {"x": 1}}, {"n": "b,\"\u{1b}", "v": {"x": null}}], "total": 2});
        let view =
            View { rows: Some("items"), columns: &[("NAME", "/n")], wide: &[("X", "/v/x")], name: "/n" };
        let check = |format, expected: &str| assert_eq!(text(format, &value, &view), expected, "{format:?}");
        check(Format::Table, "NAME\na\nb,\"\\u{1b}\n");
        check(Format::Wide, "NAME       X\na          1\nb,\"\\u{1b}  -\n");
        check(Format::Csv, "name,x\na,1\n\"b,\"\"\u{1b}\",-\n");
        check(Format::Name, "a\nb,\"\u{1b}\n");
        check(Format::Ndjson, &format!("{}\n{}\n", value["items"][0], value["items"][1]));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text(Format::Json, &value, &view)).expect("JSON"),
            value
        );
        assert_eq!(
            serde_saphyr::from_str::<serde_json::Value>(&text(Format::Yaml, &value, &view)).expect("YAML"),
            value
        );
        let sinks =
            json!({"s": [{"name": "a", "lag": 3, "trouble": null}, {"name": "b", "lag": 0}], "e": []});
        let lists = View { rows: None, columns: &[("S", "/s"), ("E", "/e")], wide: &[], name: "/s" };
        assert_eq!(text(Format::Table, &sinks, &lists), "S  a (lag 3), b\nE  -\n");
        let copies =
            json!({"s": [{"node": "b", "lag": 3, "connected": true}, {"node": "c", "connected": false}]});
        assert_eq!(text(Format::Table, &copies, &lists), "S  b (connected, lag 3), c\nE  -\n");
        let check = |number, shown: &str| assert_eq!(super::short(number), shown);
        check(0.0, "0");
        check(0.008341404, "0.00834");
        check(2.5, "2.5");
        check(11988.389, "11988");
        check(-99.96, "-100");
        let one = View { rows: None, columns: &[("Total", "/total")], wide: &[], name: "/total" };
        assert_eq!(text(Format::Table, &value, &one), "Total  2\n");
        assert!("tabel".parse::<Format>().is_err());
        super::WORDS.iter().for_each(|(word, format)| assert_eq!(format.word(), *word));
    }
}
