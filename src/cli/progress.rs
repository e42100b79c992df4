//! How far a long command is, on one line of the terminal that is gone when it ends.

use std::env;
use std::io::{self, BufRead, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::human;
use super::session::Session;

/// What a command works towards.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    Events(u64),
    Time(Duration),
    /// Bytes of what [`Progress::reads`] reads.
    Bytes(u64),
    /// Nobody knows.
    Open,
}

/// A line on standard error, if that is a terminal and nobody wants quiet; else nothing.
pub struct Progress {
    bar: ProgressBar,
    goal: Goal,
    /// Events per second that are aimed at; 0 for none.
    target: u64,
    started: Instant,
    shown: Instant,
    /// The events and the time of the last rate, and that rate.
    rated: (u64, Instant, f64),
}

const REDRAW: Duration = Duration::from_millis(50);
/// How long events are counted for a rate.
const RATE: Duration = Duration::from_millis(500);
/// Thick, with a half at the end: filled, current, to do.
const BAR: &str = "\u{2501}\u{2578} ";

impl Progress {
    pub fn new(session: &Session, name: &str, goal: Goal, target: u64) -> Self {
        let is_dumb = env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let is_shown = !session.is_quiet && !is_dumb && io::stderr().is_terminal();
        let bar = match is_shown {
            true => ProgressBar::with_draw_target(length(goal), ProgressDrawTarget::stderr()),
            false => ProgressBar::hidden(),
        };
        // indicatif asks NO_COLOR and the terminal whether there are colours.
        let template = match goal {
            Goal::Open => "{prefix} {spinner:.cyan} {msg}",
            _ => "{prefix} {bar:20.cyan} {percent} % {msg}  eta {left}",
        };
        let left = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // The line is a courtesy: one that cannot be written is left out.
            let _written = out.write_str(&human::wait(state.eta()));
        };
        let style = ProgressStyle::with_template(template).expect("the template is right");
        bar.set_style(style.progress_chars(BAR).with_key("left", left));
        bar.set_prefix(name.to_owned());
        let started = Instant::now();
        // What takes no time needs no line.
        Self { bar, goal, target, started, shown: started, rated: (0, started, 0.0) }
    }

    /// Tells how many events are done, and some more. May be called for every event.
    pub fn show(&mut self, events: u64, more: impl FnOnce() -> String) {
        if self.bar.is_hidden() {
            return;
        }
        let now = Instant::now();
        if now.duration_since(self.shown) < REDRAW {
            return;
        }
        self.shown = now;
        let text = self.text(events, now);
        self.bar.set_message([text, more()].join("  ").trim_end().to_owned());
        match self.goal {
            Goal::Events(_) => self.bar.set_position(events),
            Goal::Time(_) => self.bar.set_position(now.duration_since(self.started).as_millis() as u64),
            Goal::Bytes(_) | Goal::Open => self.bar.tick(),
        }
    }

    /// The same input, whose bytes are counted while they are read.
    pub fn reads<R: BufRead>(&self, input: R) -> impl BufRead + use<R> {
        self.bar.wrap_read(input)
    }

    fn text(&mut self, events: u64, now: Instant) -> String {
        let (before, at, rate) = self.rated;
        let passed = now.duration_since(at);
        if passed >= if rate > 0.0 { RATE } else { RATE / 10 } {
            self.rated = (events, now, events.saturating_sub(before) as f64 / passed.as_secs_f64());
        }
        let told = human::count(events as f64);
        let far = match self.goal {
            Goal::Events(total) => format!("{told}/{}", human::count(total as f64)),
            Goal::Bytes(_) | Goal::Time(_) | Goal::Open => told,
        };
        let target = match self.target {
            0 => String::new(),
            target => format!(" (target {})", human::count(target as f64)),
        };
        format!("{far}  {}/s{target}", human::count(self.rated.2))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn length(goal: Goal) -> Option<u64> {
    match goal {
        Goal::Events(count) | Goal::Bytes(count) => Some(count),
        Goal::Time(time) => Some(time.as_millis() as u64),
        Goal::Open => None,
    }
}
