//! Results: one JSON value, shown as a table or as what programs read. A table is a view of the JSON.

use std::io::{self, Write};
use std::str::FromStr;

use serde_json::Value;

/// How results look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    Yaml,
    Ndjson,
    Csv,
    Name,
}

const WORDS: [(&str, Format); 6] = [
    ("table", Format::Table),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("ndjson", Format::Ndjson),
    ("csv", Format::Csv),
    ("name", Format::Name),
];

impl FromStr for Format {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, format)| *format).ok_or_else(|| {
            let known: Vec<_> = WORDS.iter().map(|(word, _)| *word).collect();
            format!("there is no output `{word}`; there are {}", known.join(", "))
        })
    }
}

/// How a value is shown to people.
pub struct View<'v> {
    /// The member that holds the rows, if the value is a list of some kind.
    pub rows: Option<&'v str>,
    /// Headings, and where their values are, as JSON pointers.
    pub columns: &'v [(&'v str, &'v str)],
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
    let cells = |row: &Value| view.columns.iter().map(|(_, at)| cell(row.pointer(at))).collect::<Vec<_>>();
    match format {
        Format::Json => format!("{value:#}\n"),
        Format::Yaml => serde_saphyr::to_string(value).unwrap_or_else(|_| format!("{value}\n")),
        Format::Ndjson => rows.iter().map(|row| format!("{row}\n")).collect(),
        Format::Name => rows.iter().map(|row| cell(row.pointer(view.name)) + "\n").collect(),
        Format::Csv => {
            let heading =
                view.columns.iter().map(|(name, _)| quoted(&name.to_lowercase())).collect::<Vec<_>>();
            let lines = rows.iter().map(|row| cells(row).iter().map(|cell| quoted(cell)).collect::<Vec<_>>());
            std::iter::once(heading).chain(lines).map(|line| line.join(",") + "\n").collect()
        }
        Format::Table if view.rows.is_none() => {
            let width = view.columns.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            let lines = view.columns.iter().zip(cells(value));
            lines.map(|((name, _), cell)| format!("{name:width$}  {}\n", plain(&cell))).collect()
        }
        Format::Table => {
            let heading: Vec<String> = view.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
            let lines = rows.iter().map(|row| cells(row).iter().map(|cell| plain(cell)).collect());
            table(&std::iter::once(heading).chain(lines).collect::<Vec<_>>())
        }
    }
}

fn table(lines: &[Vec<String>]) -> String {
    let count = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    lines.iter().map(line).collect()
}

/// A value in a cell.
fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A text that stays on its line and does nothing to a terminal.
fn plain(text: &str) -> String {
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
        let view = View { rows: Some("items"), columns: &[("NAME", "/n"), ("X", "/v/x")], name: "/n" };
        let check = |format, expected: &str| assert_eq!(text(format, &value, &view), expected, "{format:?}");
        check(Format::Table, "NAME       X\na          1\nb,\"\\u{1b}  -\n");
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
        let one = View { rows: None, columns: &[("Total", "/total")], name: "/total" };
        assert_eq!(text(Format::Table, &value, &one), "Total  2\n");
        assert!("tabel".parse::<Format>().is_err());
    }
}
