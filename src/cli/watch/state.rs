//! What a watch on a terminal is at a moment, and what keys make of it. Knows neither terminal nor server.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::sample::list;

/// What is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    System,
    Disruptor,
    Errors,
    /// It stays as long as the watch: there is no other view of a cluster.
    Cluster,
}

/// What a key asks of the world outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    Quit,
    Interrupt,
    /// The interval has changed.
    Pace,
    /// Write what is shown to a file.
    Snapshot,
}

/// What rows are sorted by: a word for people, and the member.
const SORTS: [(&str, &str); 8] = [
    ("name", "name"),
    ("state", "status"),
    ("ring", "fill"),
    ("in", "in_per_second"),
    ("out", "out_per_second"),
    ("lag", "lag"),
    ("p99", "p99_latency_micros"),
    ("errors", "errors"),
];
/// The same for nodes of a cluster.
const NODE_SORTS: [(&str, &str); 3] = [("name", "name"), ("state", "status"), ("time", "seconds")];
/// What `+` and `-` step through, in milliseconds.
const INTERVALS: [u64; 9] = [100, 250, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000];
/// Ticks that sparklines show at most.
const HISTORY_MAX: usize = 60;
const FILTER_MAX: usize = 64;
/// How long a message stays.
const MESSAGE: Duration = Duration::from_secs(5);
/// How long past its time an answer may be before it is missed.
const GRACE: Duration = Duration::from_secs(2);

/// What came in and went out per second, tick by tick.
pub type Rates = VecDeque<(f64, f64)>;

/// Everything that the picture is made of. Times are since the start of the watch.
pub struct State {
    pub view: View,
    /// A place in [`sorts`](Self::sorts).
    pub sort: usize,
    pub filter: String,
    pub is_typing: bool,
    pub is_paused: bool,
    pub is_raw: bool,
    pub shows_totals: bool,
    pub shows_help: bool,
    pub interval: Duration,
    /// The tick that is shown; null before there is one.
    pub shown: Value,
    /// Whether the last attempt to get a tick failed, and why.
    trouble: Option<String>,
    answered_at: Duration,
    /// By a disruptor's identity; all together under the empty text.
    history: BTreeMap<String, Rates>,
    selected: Option<String>,
    message: Option<(String, Duration)>,
}

impl State {
    pub fn new(view: View, interval: Duration) -> Self {
        Self {
            view,
            sort: 0,
            filter: String::new(),
            is_typing: false,
            is_paused: false,
            is_raw: false,
            shows_totals: false,
            shows_help: false,
            interval,
            shown: Value::Null,
            trouble: None,
            answered_at: Duration::ZERO,
            history: BTreeMap::new(),
            selected: None,
            message: None,
        }
    }

    /// Takes a new tick. While the picture is paused it is only a sign of life.
    pub fn answered(&mut self, tick: &Value, now: Duration) {
        self.answered_at = now;
        if self.trouble.take().is_some() {
            self.say("the server answers again".to_owned(), now);
        }
        if self.is_paused {
            return;
        }
        let disruptors = list(&tick["disruptors"]);
        self.history.retain(|id, _| id.is_empty() || disruptors.iter().any(|one| one["id"] == id.as_str()));
        let all = std::iter::once(("", tick));
        for (id, one) in all.chain(disruptors.iter().filter_map(|one| Some((one["id"].as_str()?, one)))) {
            let (Some(input), output) = (one["in_per_second"].as_f64(), one["out_per_second"].as_f64())
            else {
                continue;
            };
            let rates = self.history.entry(id.to_owned()).or_default();
            if rates.len() == HISTORY_MAX {
                rates.pop_front();
            }
            rates.push_back((input, output.unwrap_or(0.0)));
        }
        self.shown = tick.clone();
    }

    /// Takes the news that there is no new tick.
    pub fn failed(&mut self, reason: String) {
        self.trouble = Some(reason);
    }

    /// Shows a line for a while.
    pub fn say(&mut self, message: String, now: Duration) {
        self.message = Some((message, now + MESSAGE));
    }

    /// The line that is shown at the moment.
    pub fn message(&self, now: Duration) -> Option<&str> {
        self.message.as_ref().filter(|(_, until)| now < *until).map(|(message, _)| message.as_str())
    }

    /// How old the picture is, and why, if nothing new comes.
    pub fn stale(&self, now: Duration) -> Option<(Duration, &str)> {
        let age = now.saturating_sub(self.answered_at);
        match &self.trouble {
            Some(reason) => Some((age, reason)),
            None if age > self.interval + GRACE => Some((age, "waiting for an answer")),
            None => None,
        }
    }

    /// The rates of a disruptor, or of all together under the empty text.
    pub fn rates(&self, id: &str) -> Option<&Rates> {
        self.history.get(id)
    }

    /// What the rows of this view can be sorted by.
    pub fn sorts(&self) -> &'static [(&'static str, &'static str)] {
        if self.view == View::Cluster { &NODE_SORTS } else { &SORTS }
    }

    /// The disruptors or nodes that the filter lets through, in order.
    pub fn rows(&self) -> Vec<&Value> {
        let wanted = self.filter.to_lowercase();
        let name = |row: &Value| row["name"].as_str().unwrap_or_default().to_lowercase();
        let all = if self.view == View::Cluster { "members" } else { "disruptors" };
        let mut rows: Vec<&Value> =
            list(&self.shown[all]).iter().filter(|row| name(row).contains(&wanted)).collect();
        let (_, member) = self.sorts()[self.sort];
        // Words from a to z, numbers from the largest on; what is equal stays in the order of names.
        rows.sort_by(|a, b| match (a[member].as_f64(), b[member].as_f64()) {
            (None, None) => a[member].as_str().cmp(&b[member].as_str()),
            (a, b) => b.unwrap_or(-1.0).partial_cmp(&a.unwrap_or(-1.0)).unwrap_or(Ordering::Equal),
        });
        rows
    }

    /// Where the selected row is among [`rows`](Self::rows).
    pub fn selected(&self, rows: &[&Value]) -> usize {
        let name = self.selected.as_deref();
        rows.iter().position(|row| name.is_some() && row["name"].as_str() == name).unwrap_or(0)
    }

    /// Does what a key is for.
    pub fn key(&mut self, key: KeyEvent) -> Action {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control => Action::Interrupt,
            KeyCode::Char(_) if is_control => Action::Nothing,
            code if self.is_typing => self.typed(code),
            // Any key puts the help away; some do their work as well.
            KeyCode::Char('?') | KeyCode::Esc | KeyCode::Enter if self.shows_help => {
                self.shows_help = false;
                Action::Nothing
            }
            code => {
                self.shows_help = false;
                self.pressed(code)
            }
        }
    }

    fn typed(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Char(character) if self.filter.len() < FILTER_MAX => self.filter.push(character),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        Action::Nothing
    }

    fn pressed(&mut self, code: KeyCode) -> Action {
        match code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char('?') => self.shows_help = true,
            KeyCode::Char('o') => self.sort = (self.sort + 1) % self.sorts().len(),
            KeyCode::Char(' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('/') => {
                self.is_typing = true;
                self.look_at(View::System);
            }
            KeyCode::Tab => self.look_at(match self.view {
                View::System => View::Disruptor,
                View::Disruptor => View::Errors,
                View::Errors | View::Cluster => View::System,
            }),
            KeyCode::Enter => self.look_at(View::Disruptor),
            KeyCode::Esc if !matches!(self.view, View::System | View::Cluster) => self.look_at(View::System),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.select(-1),
            KeyCode::Down | KeyCode::Char('j') => self.select(1),
            KeyCode::Char('r') => self.is_raw = !self.is_raw,
            KeyCode::Char('t') => self.shows_totals = !self.shows_totals,
            KeyCode::Char('e') if self.view == View::Errors => self.look_at(View::System),
            KeyCode::Char('e') => self.look_at(View::Errors),
            KeyCode::Char('w') => return Action::Snapshot,
            KeyCode::Char('+' | '=') => return self.pace(true),
            KeyCode::Char('-') => return self.pace(false),
            _ => {}
        }
        Action::Nothing
    }

    fn look_at(&mut self, view: View) {
        if self.view != View::Cluster {
            self.view = view;
        }
    }

    fn select(&mut self, step: isize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let place = self.selected(&rows).saturating_add_signed(step).min(last);
        self.selected = rows.get(place).and_then(|row| row["name"].as_str()).map(str::to_owned);
    }

    fn pace(&mut self, is_longer: bool) -> Action {
        let steps = INTERVALS.map(Duration::from_millis);
        let step = match is_longer {
            true => steps.into_iter().find(|step| *step > self.interval),
            false => steps.into_iter().rev().find(|step| *step < self.interval),
        };
        let Some(step) = step else { return Action::Nothing };
        self.interval = step;
        Action::Pace
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::cluster::tests::second_tick as cluster_tick;
    use super::super::sample::tests::second_tick;
    use super::{Action, GRACE, HISTORY_MAX, MESSAGE, SORTS, State, View};
    use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use serde_json::json;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    pub fn state() -> State {
        let mut state = State::new(View::System, SECOND);
        state.answered(&second_tick(), Duration::ZERO);
        state
    }

    /// Presses keys, of which `~` is Escape, `^` Enter, `<` Backspace and `>` Tab.
    pub fn press(state: &mut State, keys: &str) -> Action {
        let code = |key| match key {
            '~' => KeyCode::Esc,
            '^' => KeyCode::Enter,
            '<' => KeyCode::Backspace,
            '>' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        keys.chars().map(|key| state.key(KeyEvent::from(code(key)))).last().expect("there is a key")
    }

    fn names(state: &State) -> Vec<&str> {
        state.rows().iter().filter_map(|row| row["name"].as_str()).collect()
    }

    #[test]
    fn keys_end_the_watch_or_change_its_pace() {
        let mut state = state();
        assert_eq!(press(&mut state, "q"), Action::Quit);
        assert_eq!(press(&mut state, "w"), Action::Snapshot);
        assert_eq!(press(&mut state, "x"), Action::Nothing);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.key(interrupt), Action::Interrupt);
        press(&mut state, "/");
        assert_eq!(state.key(interrupt), Action::Interrupt);
        press(&mut state, "~");
        assert_eq!((press(&mut state, "+"), state.interval), (Action::Pace, 2 * SECOND));
        assert_eq!((press(&mut state, "---"), state.interval), (Action::Pace, SECOND / 4));
        assert_eq!((press(&mut state, "---"), state.interval), (Action::Nothing, SECOND / 10));
        state.interval = SECOND * 7;
        press(&mut state, "+");
        assert_eq!(state.interval, SECOND * 10);
    }

    #[test]
    fn rows_are_sorted_filtered_and_selected() {
        let mut state = state();
        assert_eq!(names(&state), ["main", "orders"]);
        press(&mut state, "oo");
        assert_eq!((SORTS[state.sort].0, names(&state)), ("ring", vec!["orders", "main"]));
        assert_eq!(state.selected(&state.rows()), 0);
        press(&mut state, "jj");
        assert_eq!(state.selected(&state.rows()), 1);
        press(&mut state, "oooooo");
        assert_eq!(
            (SORTS[state.sort].0, state.selected(&state.rows())),
            ("name", 0),
            "main is still selected"
        );
        press(&mut state, "/ORQ<");
        assert_eq!((names(&state), state.is_typing), (vec!["orders"], true));
        press(&mut state, "^q");
        assert_eq!((state.is_typing, state.filter.as_str()), (false, "OR"));
        press(&mut state, "~");
        assert_eq!(names(&state).len(), 2);
        press(&mut state, "/nothing^jk");
        assert_eq!((names(&state).len(), state.selected(&state.rows())), (0, 0));
        press(&mut state, "/~");
        assert_eq!(state.filter, "");
        press(&mut state, &format!("/{}", "x".repeat(1000)));
        assert_eq!(state.filter.len(), 64);
    }

    #[test]
    fn views_and_switches() {
        let mut state = state();
        let mut view = |keys: &str| {
            press(&mut state, keys);
            state.view
        };
        assert_eq!([view(">"), view(">"), view(">")], [View::Disruptor, View::Errors, View::System]);
        assert_eq!([view("^"), view("~"), view("e"), view("e")].map(|view| view as u8), [1, 0, 2, 0]);
        press(&mut state, "rt?");
        assert!(state.is_raw && state.shows_totals && state.shows_help);
        assert_eq!(press(&mut state, "~"), Action::Nothing);
        assert!(!state.shows_help);
        press(&mut state, "?r");
        assert!(!state.shows_help && !state.is_raw);
    }

    #[test]
    fn a_cluster_has_one_view_and_its_own_order() {
        let mut state = State::new(View::Cluster, SECOND);
        state.answered(&cluster_tick(), Duration::ZERO);
        assert_eq!(names(&state), ["a", "b", "c"]);
        press(&mut state, "oo");
        assert_eq!((state.sorts()[state.sort].0, names(&state)), ("time", vec!["c", "a", "b"]));
        press(&mut state, ">^e~");
        assert_eq!(state.view, View::Cluster);
        press(&mut state, "/b^");
        assert_eq!((state.view, names(&state)), (View::Cluster, vec!["b"]));
        press(&mut state, "~o");
        assert_eq!((state.sort, names(&state).len()), (0, 3));
    }

    #[test]
    fn a_paused_picture_stays_and_then_catches_up() {
        let mut state = state();
        press(&mut state, " ");
        let mut newer = second_tick();
        newer["published"] = json!(9999);
        state.answered(&newer, SECOND);
        assert_eq!(state.shown, second_tick());
        assert_eq!(state.stale(2 * SECOND), None);
        press(&mut state, " ");
        state.answered(&newer, SECOND);
        assert_eq!(state.shown, newer);
    }

    #[test]
    fn what_is_stale_is_told_until_an_answer_comes() {
        let mut state = state();
        assert_eq!(state.stale(SECOND), None);
        let late = SECOND + GRACE + SECOND;
        assert_eq!(state.stale(late), Some((late, "waiting for an answer")));
        state.failed("cannot reach it".to_owned());
        assert_eq!(state.stale(3 * SECOND), Some((3 * SECOND, "cannot reach it")));
        assert_eq!(state.shown, second_tick());
        state.answered(&second_tick(), 5 * SECOND);
        assert_eq!(state.stale(5 * SECOND), None);
        assert_eq!(state.message(6 * SECOND), Some("the server answers again"));
        assert_eq!(state.message(5 * SECOND + MESSAGE), None);
    }

    #[test]
    fn sparklines_remember_so_many_ticks_of_what_is_there() {
        let mut state = state();
        (0..100).for_each(|_| state.answered(&second_tick(), SECOND));
        assert_eq!(
            state.rates("").map(|rates| (rates.len(), rates[0])),
            Some((HISTORY_MAX, (8000.0, 8000.0)))
        );
        assert!(state.rates("2").is_some());
        let mut without = second_tick();
        without["disruptors"].as_array_mut().expect("it is a list").pop();
        state.answered(&without, SECOND);
        assert!(state.rates("1").is_some() && state.rates("2").is_none());
    }
}
