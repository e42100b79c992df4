//! The picture of a watch: a state is drawn into a frame of any size.
//!
//! A colour never says what no word or shape says as well.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};
use serde_json::Value;

use super::figures::{bytes, count, micros, seconds, sparkline};
use super::state::{State, View};
use super::{cluster, views};

/// How things look that are well, or not.
#[derive(Clone, Copy, Default)]
pub struct Palette {
    pub good: Style,
    pub warning: Style,
    pub bad: Style,
}

impl Palette {
    pub fn new(has_colours: bool) -> Self {
        let coloured = |colour| if has_colours { Style::new().fg(colour) } else { Style::new() };
        Self {
            good: coloured(Color::Green),
            warning: coloured(Color::Yellow),
            bad: coloured(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// A verdict's or a state's.
    pub fn of(&self, word: &str) -> Style {
        match word {
            "healthy" | "running" | "alive" => self.good,
            "unhealthy" | "failed" | "dead" => self.bad,
            _ => self.warning,
        }
    }
}

const KEYS: [(&str, &str); 14] = [
    ("q", "quit"),
    ("?", "help"),
    ("tab", "next view"),
    ("enter", "detail"),
    ("esc", "back"),
    ("j k", "select"),
    ("o", "sort"),
    ("/", "filter"),
    ("space", "pause"),
    ("+ -", "interval"),
    ("r", "raw numbers"),
    ("t", "totals"),
    ("e", "errors"),
    ("w", "write file"),
];
const SPARKLINE: usize = 10;
/// Below this width, bars and sparklines are half as long.
pub const NARROW: usize = 60;
/// Reasons are longer than lines.
const WRAP: Wrap = Wrap { trim: false };
/// Below this height, the head of the picture leaves out its last line.
const LOW: u16 = 12;

pub fn draw(frame: &mut Frame<'_>, state: &State, palette: &Palette, now: Duration) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), area.height);
    let head = head(state, palette, now, width, if height < LOW { 2 } else { 3 });
    let foot_height = u16::from(height > 1);
    let head_height = (head.len() as u16).min(height - foot_height);
    let body = height.saturating_sub(head_height + foot_height);
    let at = |y: u16, height: u16| Rect { x: area.x, y: area.y + y, width: area.width, height };
    frame.render_widget(Paragraph::new(head), at(0, head_height));
    let view = match state.view {
        _ if state.shown.is_null() => Paragraph::default(),
        View::System => Paragraph::new(views::system(state, palette, width, usize::from(body))),
        View::Disruptor => Paragraph::new(views::disruptor(state, palette, width)).wrap(WRAP),
        View::Cluster => Paragraph::new(cluster::members(state, palette, width, usize::from(body))),
        View::Errors => Paragraph::new(views::errors(state, palette)).wrap(WRAP),
    };
    frame.render_widget(view, at(head_height, body));
    frame.render_widget(
        Paragraph::new(foot(state, palette, now, width)),
        at(height - foot_height, foot_height),
    );
    if state.shows_help {
        help(frame);
    }
}

/// What is told about the whole: how it does, how much goes through, and how long that takes.
fn head(state: &State, palette: &Palette, now: Duration, width: usize, lines: usize) -> Vec<Line<'static>> {
    let tick = &state.shown;
    let text = |name: &str| tick[name].as_str().unwrap_or("-").to_owned();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let health = match state.stale(now) {
        Some(_) => Span::styled("STALE", palette.bad),
        None => Span::styled(text("health").to_uppercase(), palette.of(&text("health"))),
    };
    let mut first = match tick["version"].as_str() {
        Some(version) => vec![Span::styled(format!("badbatch {version}"), bold)],
        None => vec![Span::styled("badbatch", bold)],
    };
    first.push(health);
    if state.is_paused {
        first.push(Span::styled("PAUSED", palette.warning));
    }
    first.extend(tick["endpoint"].as_str().map(|endpoint| Span::raw(endpoint.to_owned())));
    if let Some(up) = tick["uptime_seconds"].as_u64() {
        first.push(Span::raw(format!("up {}", seconds(up))));
    }
    first.push(Span::raw(format!("every {}", humantime::format_duration(state.interval))));
    let [second, third] = match state.view {
        View::Cluster => cluster::head(state),
        _ => throughput(state, width),
    };
    let mut head = vec![beside(first, width)];
    if !tick.is_null() {
        head.extend([second, third].map(|parts| beside(parts.into_iter().map(Span::raw).collect(), width)));
    }
    head.truncate(lines);
    head
}

/// How much goes through, and how long that takes.
fn throughput(state: &State, width: usize) -> [Vec<String>; 2] {
    let tick = &state.shown;
    let number = |name: &str| count(&tick[name], state.is_raw);
    let rates = state.rates("");
    let columns = if width < NARROW { SPARKLINE / 2 } else { SPARKLINE };
    let spark = |pick: fn(&(f64, f64)) -> f64| match rates {
        Some(rates) => sparkline(rates.iter().map(pick), columns),
        None => " ".repeat(columns),
    };
    let latency = |name: &str| micros(&tick[name], state.is_raw);
    let second = if state.shows_totals {
        vec![
            format!("published {}", number("published")),
            format!("processed {}", number("processed")),
            format!("rejected {}", number("rejected_total")),
        ]
    } else {
        vec![
            format!("in {:>6}/s {}", number("in_per_second"), spark(|(input, _)| *input)),
            format!("out {:>6}/s {}", number("out_per_second"), spark(|(_, output)| *output)),
            format!("rejected {}/s", number("rejected_per_second")),
        ]
    };
    let mut third: Vec<String> = ["p50", "p95", "p99"]
        .map(|part| format!("{part} {}", latency(&format!("{part}_latency_micros"))))
        .into();
    third.push(format!("lag {}", number("lag")));
    third.push(format!("errors {}", number("errors")));
    if tick["cpu_percent"].is_number() {
        third.push(format!("cpu {}%", number("cpu_percent")));
    }
    if tick["resident_bytes"].is_number() {
        third.push(format!("rss {}", bytes(&tick["resident_bytes"])));
    }
    [second, third]
}

/// Parts beside each other, without those for which there is no room.
fn beside(parts: Vec<Span<'static>>, width: usize) -> Line<'static> {
    let mut line = Line::default();
    for part in parts {
        let gap = if line.spans.is_empty() { "" } else { "  " };
        if line.width() + gap.len() + part.width() <= width {
            line.extend([Span::raw(gap), part]);
        }
    }
    line
}

/// The last line: what is wrong, what is asked, or what can be done.
fn foot(state: &State, palette: &Palette, now: Duration, width: usize) -> Line<'static> {
    if state.is_typing {
        return Line::from(format!("filter: {}_   enter keeps it, esc drops it", state.filter));
    }
    if let Some((age, reason)) = state.stale(now) {
        let said = match state.shown.is_null() {
            true => reason.to_owned(),
            false => format!("stale since {}: {reason}", seconds(age.as_secs())),
        };
        return Line::styled(said, palette.bad);
    }
    if let Some(message) = state.message(now) {
        return Line::from(message.to_owned());
    }
    let mut told = Vec::new();
    if !state.filter.is_empty() {
        told.push(format!("filter {}", state.filter));
    }
    if matches!(state.view, View::System | View::Cluster) {
        told.push(format!("by {}", state.sorts()[state.sort].0));
    }
    told.extend(["q quit", "? help", "o sort", "/ filter", "space pause"].map(str::to_owned));
    told.extend((state.view != View::Cluster).then(|| "tab view".to_owned()));
    beside(told.into_iter().map(Span::raw).collect(), width).style(Modifier::DIM)
}

/// A box in the middle with all keys, in two columns.
fn help(frame: &mut Frame<'_>) {
    let cell = |(key, does): &(&str, &str)| format!("{key:>5}  {does:<11}");
    let (left, right) = KEYS.split_at(KEYS.len() / 2);
    let lines: Vec<Line<'_>> = left
        .iter()
        .zip(right)
        .map(|(left, right)| Line::from(format!("{}{}", cell(left), cell(right))))
        .collect();
    let area = frame.area();
    let (width, height) = (38.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let (x, y) = ((area.width - width) / 2, (area.height - height) / 2);
    let place = Rect { x, y, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" keys ")), place);
}

/// A value's text; empty if it is none.
pub fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
