//! The lines of each view: all disruptors, one of them, and what goes wrong.

use std::cmp::Reverse;

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::figures::{bar, count, micros, percent, sparkline};
use super::sample::list;
use super::screen::{NARROW, Palette, word};
use super::state::State;

/// The share from which a ring is nearly full.
const NEARLY_FULL: f64 = 0.9;
const BAR: usize = 6;
const NAME_MAX: usize = 24;
/// Below this width, consumers are not worth a column.
const CONSUMERS_MIN: usize = 10;
/// How wide a number is, and when it is not shortened.
const NUMBER: usize = 6;
const RAW_NUMBER: usize = 12;

const HEADING: Style = Style::new().add_modifier(Modifier::BOLD);

/// A column: its heading, its width, and whether it is a number.
pub struct Column {
    pub heading: &'static str,
    pub width: usize,
    pub is_number: bool,
    pub cell: fn(&State, &Palette, &Value) -> Span<'static>,
}

/// All disruptors, a line each. Columns to the right are left out where the picture is narrow.
pub fn system(state: &State, palette: &Palette, width: usize, height: usize) -> Vec<Line<'static>> {
    let rows = state.rows();
    let columns = columns(state, &rows, width);
    table(state, palette, &columns, &rows, height, "no disruptor")
}

/// A line for each row below the headings. As few lines as show the selected row are scrolled away.
pub fn table(
    state: &State,
    palette: &Palette,
    columns: &[Column],
    rows: &[&Value],
    height: usize,
    nothing: &str,
) -> Vec<Line<'static>> {
    let heading = columns.iter().map(|column| Span::raw(column.heading));
    let mut lines = vec![Line::from(laid_out(columns, heading, " ")).style(HEADING)];
    if rows.is_empty() {
        let why = match state.filter.is_empty() {
            true => format!(" {nothing}s"),
            false => format!(" {nothing} fits the filter"),
        };
        lines.push(Line::from(why));
    }
    let selected = state.selected(rows);
    let room = height.saturating_sub(1).max(1);
    let skipped = (selected + 1).saturating_sub(room);
    for (place, row) in rows.iter().enumerate().skip(skipped).take(room) {
        let cells = columns.iter().map(|column| (column.cell)(state, palette, row));
        let mark = if place == selected { ">" } else { " " };
        let line = Line::from(laid_out(columns, cells, mark));
        lines.push(if place == selected { line.style(Modifier::BOLD) } else { line });
    }
    lines
}

/// How many columns there is room for, at least one.
pub fn fitting(columns: &[Column], width: usize) -> usize {
    let mut taken = 0;
    let fits = columns.iter().take_while(|column| {
        taken += 1 + column.width;
        taken <= width
    });
    fits.count().max(1)
}

fn columns(state: &State, rows: &[&Value], width: usize) -> Vec<Column> {
    let names = rows.iter().map(|row| word(row, "name").len());
    let name = names.max().unwrap_or(0).clamp("DISRUPTOR".len(), NAME_MAX);
    let number = if state.is_raw { RAW_NUMBER } else { NUMBER };
    let total_or_rate = |total, rate| if state.shows_totals { total } else { rate };
    let column = |heading, width, is_number, cell| Column { heading, width, is_number, cell };
    let mut columns = vec![
        column("DISRUPTOR", name, false, |_, _, row| Span::raw(word(row, "name").to_owned())),
        column("STATE", 8, false, |_, palette, row| {
            let shown = if word(row, "health") == "degraded" { "degraded" } else { word(row, "status") };
            Span::styled(shown.to_owned(), palette.of(shown))
        }),
        match width < NARROW {
            true => column("RING", BAR / 2 + 7, false, |_, palette, row| ring(row, BAR / 2, palette)),
            false => column("RING", BAR + 7, false, |_, palette, row| ring(row, BAR, palette)),
        },
        column(total_or_rate("IN", "IN/s"), number, true, |state, _, row| {
            let member = if state.shows_totals { "published" } else { "in_per_second" };
            Span::raw(count(&row[member], state.is_raw))
        }),
        column(total_or_rate("OUT", "OUT/s"), number, true, |state, _, row| {
            let member = if state.shows_totals { "processed" } else { "out_per_second" };
            Span::raw(count(&row[member], state.is_raw))
        }),
        column("LAG", number, true, |state, _, row| Span::raw(count(&row["lag"], state.is_raw))),
        column("P99", number, true, |state, _, row| {
            Span::raw(micros(&row["p99_latency_micros"], state.is_raw))
        }),
        column("ERR", 5, true, |state, palette, row| {
            let style = if row["errors"] == 0 { Style::new() } else { palette.bad };
            Span::styled(count(&row["errors"], state.is_raw), style)
        }),
    ];
    let fitting = fitting(&columns, width);
    let is_whole = fitting == columns.len();
    columns.truncate(fitting);
    let taken: usize = columns.iter().map(|column| 1 + column.width).sum();
    if is_whole && taken + 1 + CONSUMERS_MIN <= width {
        let cell = |_: &State, palette: &Palette, row: &Value| consumers(row, palette);
        columns.push(column("  CONSUMERS", width - taken - 1, false, cell));
    }
    columns
}

fn laid_out(
    columns: &[Column],
    cells: impl Iterator<Item = Span<'static>>,
    mark: &'static str,
) -> Vec<Span<'static>> {
    let mut spans = vec![Span::raw(mark)];
    for (place, (column, cell)) in columns.iter().zip(cells).enumerate() {
        let width = column.width;
        let text = shortened(&cell.content, width);
        let text = if column.is_number { format!("{text:>width$}") } else { format!("{text:<width$}") };
        spans.extend((place > 0).then(|| Span::raw(" ")));
        spans.push(Span::styled(text, cell.style));
    }
    spans
}

/// A text, with a mark where it was cut off.
fn shortened(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['~']).collect(),
        false => text.to_owned(),
    }
}

/// How full a ring is, as a bar and as a number, with a mark when that is nearly all.
fn ring(row: &Value, width: usize, palette: &Palette) -> Span<'static> {
    let fill = row["fill"].as_f64().unwrap_or(0.0);
    let (mark, style) = if fill >= NEARLY_FULL { ("!", palette.bad) } else { (" ", Style::new()) };
    Span::styled(format!("{} {:>4} {mark}", bar(fill, width), percent(fill)), style)
}

/// Each sink with its lag. The one that is most behind comes first where it is about to hold up the producers.
fn consumers(row: &Value, palette: &Palette) -> Span<'static> {
    let mut sinks: Vec<&Value> = list(&row["sinks"]).iter().collect();
    let is_full = row["fill"].as_f64() >= Some(NEARLY_FULL);
    if is_full {
        sinks.sort_by_key(|sink| Reverse(sink["lag"].as_u64()));
    }
    let each = sinks.iter().enumerate().map(|(place, sink)| {
        let mark = if is_full && place == 0 { " <- slowest" } else { "" };
        format!(" {}:{}{mark}", word(sink, "name"), count(&sink["lag"], false))
    });
    let style = if is_full { palette.bad } else { Style::new() };
    Span::styled(each.fold(" ".to_owned(), |all, one| all + &one), style)
}

/// Everything about the selected disruptor.
pub fn disruptor(state: &State, palette: &Palette, width: usize) -> Vec<Line<'static>> {
    let rows = state.rows();
    let Some(row) = rows.get(state.selected(&rows)) else {
        return vec![Line::from(" no disruptor is selected")];
    };
    let number = |value: &Value| count(value, state.is_raw);
    let span = |value: &Value| micros(value, state.is_raw);
    let (status, health) = (word(row, "status").to_owned(), word(row, "health").to_owned());
    let wide = |numbers: fn(&(f64, f64)) -> f64| {
        let room = width.saturating_sub(20).min(60);
        state
            .rates(word(row, "id"))
            .map_or_else(String::new, |rates| sparkline(rates.iter().map(numbers), room))
    };
    let rejected = &row["rejected"];
    let of = |reason: &str| number(&rejected[reason]);
    let mut lines = vec![
        Line::from(vec![
            Span::styled(format!(" {}  ", word(row, "name")), HEADING),
            Span::styled(status.clone(), palette.of(&status)),
            Span::raw("  "),
            Span::styled(health.clone(), palette.of(&health)),
        ]),
        Line::from(vec![
            Span::raw(" ring     "),
            ring(row, width.saturating_sub(40).clamp(BAR, 40), palette),
            Span::raw(format!(" {} of {}", row["ring_used"], row["buffer_size"])),
        ]),
        Line::from(format!(" in  {:>6}/s {}", number(&row["in_per_second"]), wide(|(input, _)| *input))),
        Line::from(format!(" out {:>6}/s {}", number(&row["out_per_second"]), wide(|(_, output)| *output))),
        Line::from(format!(
            " total    in {}  out {}  lag {}",
            number(&row["published"]),
            number(&row["processed"]),
            number(&row["lag"])
        )),
        Line::from(format!(
            " latency  p50 {}  p95 {}  p99 {}",
            span(&row["p50_latency_micros"]),
            span(&row["p95_latency_micros"]),
            span(&row["p99_latency_micros"])
        )),
        Line::from(format!(
            " refused  full {}  rate {}  state {}",
            of("ring_full"),
            of("rate_limited"),
            of("wrong_state")
        )),
        Line::styled(
            format!(" {:<16} {:>6} {:>6} {:>6} {:>5}", "SINK", "LAG", "OUT/s", "OUT", "ERR"),
            HEADING,
        ),
    ];
    for sink in list(&row["sinks"]) {
        let name = shortened(word(sink, "name"), 16);
        lines.push(Line::from(format!(
            " {name:<16} {:>6} {:>6} {:>6} {:>5}",
            number(&sink["lag"]),
            number(&sink["per_second"]),
            number(&sink["handled"]),
            number(&sink["errors"])
        )));
        if let Some(trouble) = sink["trouble"].as_str() {
            lines.push(Line::styled(format!("   {trouble}"), palette.bad));
        } else if sink["stalled"] == true {
            lines.push(Line::styled("   makes no progress", palette.warning));
        }
    }
    lines
}

/// Why a disruptor is not well, which sinks failed how often, and what producers were refused.
pub fn errors(state: &State, palette: &Palette) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled(format!(" {:<16} {:>7}  {}", "DISRUPTOR", "COUNT", "WHAT"), HEADING)];
    let line = |row: &Value, total: &Value, what: String, style: Style| {
        let name = shortened(word(row, "name"), 16);
        Line::styled(format!(" {name:<16} {:>7}  {what}", count(total, state.is_raw)), style)
    };
    for row in state.rows() {
        for reason in list(&row["reasons"]) {
            let said = format!("{}: {}", word(row, "health"), reason.as_str().unwrap_or_default());
            lines.push(line(row, &Value::Null, said, palette.of(word(row, "health"))));
        }
        for sink in list(&row["sinks"]).iter().filter(|sink| sink["errors"] != 0) {
            let said = format!("attempts of sink `{}` failed", word(sink, "name"));
            lines.push(line(row, &sink["errors"], said, palette.bad));
        }
        let refused = [
            ("ring_full", "refused: the ring was full"),
            ("rate_limited", "refused: too many per second"),
            ("wrong_state", "refused: not running"),
        ];
        for (reason, said) in refused {
            let total = &row["rejected"][reason];
            if total.as_u64() > Some(0) {
                lines.push(line(row, total, said.to_owned(), palette.warning));
            }
        }
    }
    if lines.len() == 1 {
        lines.push(Line::from(" no errors, and nothing was refused"));
    }
    lines
}
