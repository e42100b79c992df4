//! A watch on a terminal, which is left as it was found: after a key, a signal, an error or a panic.

use std::fs::File;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use serde_json::Value;

use super::super::exit::Failure;
use super::super::output::print;
use super::super::session::Session;
use super::asker::{Asker, Reading};
use super::sample::Subject;
use super::screen::{Palette, draw};
use super::state::{Action, State, View};
use super::{Plan, told};
use crate::sys::signals::{Signal, Signals};

/// How long keys are waited for before it is seen whether there is something else.
const LOOK: Duration = Duration::from_millis(50);
/// At least this often the picture is drawn, since it says how old it is.
const REDRAW: Duration = Duration::from_millis(500);

/// The alternate screen, in raw mode.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                ratatui::restore();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A panic has restored it before its message, which a second time would put the cursor back upon.
        if !thread::panicking() {
            // A terminal that is gone needs no mending.
            let _restored = ratatui::try_restore();
        }
    }
}

/// Watches until it is told to end.
pub fn run(plan: &Plan, session: &Session) -> Result<(), Failure> {
    let first = Reading::of(plan.subject.ask(&session.client));
    // What is wrong from the start is told before there is a picture.
    match &first.answer {
        Err(error) if !(plan.is_until_healthy && error.is_transient()) => return Err(session.failed(error)),
        _ => {}
    }
    let mut watched = Watched::new(plan, session.client.endpoint());
    if watched.is_enough(first) {
        return Ok(print(&told(&plan.subject, &watched.last))?);
    }
    // Before a thread starts, so that none of them is interrupted. SIGHUP ends the program at once: it comes when the
    // terminal is gone, and then there is nothing to restore, and crossterm would read its end for ever.
    let signals = Signals::hold_back_only(&[Signal::Interrupt, Signal::Terminate])?;
    let asker = Asker::start(session.client.clone().attempts(1), plan.subject.clone(), plan.interval)?;
    let mut screen = Screen::open()?;
    let end = watched.show(&signals, &asker, &mut screen.0);
    drop(screen);
    match end? {
        End::Asked => Ok(()),
        End::Healthy => Ok(print(&told(&plan.subject, &watched.last))?),
        End::Counted => plan.end(&watched.last),
        End::Signalled(signal) => Err(Failure::ended_by(signal, "")),
    }
}

/// Why the picture is not shown any longer.
enum End {
    /// By a key.
    Asked,
    /// What was waited for has come.
    Healthy,
    /// There were as many ticks as were wanted.
    Counted,
    Signalled(Signal),
}

/// The picture, and what it is made from.
struct Watched<'p> {
    plan: &'p Plan,
    endpoint: &'p str,
    state: State,
    palette: Palette,
    started: Instant,
    last: Value,
    last_at: Option<Instant>,
}

impl<'p> Watched<'p> {
    fn new(plan: &'p Plan, endpoint: &'p str) -> Self {
        let view = match plan.subject {
            Subject::System => View::System,
            Subject::Disruptor(_) => View::Disruptor,
            Subject::Cluster => View::Cluster,
        };
        Self {
            plan,
            endpoint,
            state: State::new(view, plan.interval),
            palette: Palette::new(console::colors_enabled()),
            started: Instant::now(),
            last: Value::Null,
            last_at: None,
        }
    }

    fn show(&mut self, signals: &Signals, asker: &Asker, terminal: &mut DefaultTerminal) -> io::Result<End> {
        let mut left = self.plan.ticks.unwrap_or(u64::MAX);
        loop {
            terminal.draw(|frame| draw(frame, &self.state, &self.palette, self.started.elapsed()))?;
            let drawn = Instant::now();
            let mut is_changed = false;
            while !is_changed && drawn.elapsed() < REDRAW {
                if event::poll(LOOK)? {
                    is_changed = true;
                    if let Some(end) = self.answer_keys(asker)? {
                        return Ok(end);
                    }
                }
                if let Some(reading) = asker.reading() {
                    is_changed = true;
                    left -= 1;
                    if self.is_enough(reading) {
                        return Ok(End::Healthy);
                    }
                    if left == 0 {
                        return Ok(End::Counted);
                    }
                }
                if let Some(signal) = signals.pending()? {
                    return Ok(End::Signalled(signal));
                }
            }
        }
    }

    /// Does what keys are for that have been pressed.
    fn answer_keys(&mut self, asker: &Asker) -> io::Result<Option<End>> {
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            match self.state.key(key) {
                Action::Nothing => {}
                Action::Quit => return Ok(Some(End::Asked)),
                Action::Interrupt => return Ok(Some(End::Signalled(Signal::Interrupt))),
                Action::Pace => asker.pace(self.state.interval),
                Action::Snapshot => {
                    let said = snapshot(&self.state.shown);
                    let said = said.unwrap_or_else(|error| format!("not written: {error}"));
                    self.state.say(said, self.started.elapsed());
                }
            }
        }
        Ok(None)
    }

    /// Takes what has come; true if that is what was waited for.
    fn is_enough(&mut self, reading: Reading) -> bool {
        match reading.answer {
            Ok(answer) => {
                let before = self.last_at.map(|at| (&self.last, reading.at.saturating_duration_since(at)));
                self.last = self.plan.subject.tick(self.endpoint, &answer, before);
                self.last_at = Some(reading.at);
                self.state.answered(&self.last, self.started.elapsed());
                self.plan.is_reached(&self.last)
            }
            Err(error) => {
                self.state.failed(error.to_string());
                false
            }
        }
    }
}

/// Writes a tick to a new file in the working directory, and tells its name.
fn snapshot(tick: &Value) -> io::Result<String> {
    let Some(time) = tick["timestamp"].as_str() else {
        return Err(io::Error::other("there is nothing to write yet"));
    };
    let time: String = time.chars().filter(|part| part.is_ascii_alphanumeric() || *part == '.').collect();
    let name = format!("badbatch-{time}.json");
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
    let mut file = File::create_new(&name).map_err(told)?;
    writeln!(file, "{tick:#}").map_err(told)?;
    Ok(format!("written to {name}"))
}
