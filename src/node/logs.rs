//! Log lines, as text for people or as JSON for programs.

use std::io::Write;
use std::time::SystemTime;

use log::kv::{Key, Value as LogValue, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use parking_lot::Mutex;

use crate::engine::write_json_string;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level, target, message, then names and values.
    Text,
    /// One JSON object.
    Json,
}

/// Writes the program's log to one place, a line at a time.
pub struct Logs {
    format: LogFormat,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Logs {
    /// Makes this the program's log.
    ///
    /// Errors: the program has one already.
    pub fn install(format: LogFormat, out: Box<dyn Write + Send>) -> Result<(), log::SetLoggerError> {
        log::set_boxed_logger(Box::new(Self { format, out: Mutex::new(out) }))
    }

    /// Sets the least important level that is written: `off`, `error`, `warn`, `info`, `debug` or `trace`.
    pub fn set_level(level: &str) {
        log::set_max_level(level.parse().unwrap_or(LevelFilter::Info));
    }

    fn line(&self, record: &Record<'_>) -> Vec<u8> {
        let time = humantime::format_rfc3339_micros(SystemTime::now());
        let message = record.args().to_string();
        let mut line = Vec::with_capacity(256);
        match self.format {
            LogFormat::Json => {
                let level = record.level().as_str().to_lowercase();
                // Writing to a vector does not fail, here and below.
                let _written = write!(line, "{{\"time\":\"{time}\",\"level\":\"{level}\",\"target\":");
                write_json_string(&mut line, record.target());
                line.extend_from_slice(b",\"message\":");
                write_json_string(&mut line, &message);
            }
            LogFormat::Text => {
                let _written =
                    write!(line, "{time} {:5} {:6} {}", record.level(), record.target(), plain(&message));
            }
        }
        let mut pairs = Pairs { format: self.format, line: &mut line };
        let _visited = record.key_values().visit(&mut pairs);
        line.extend_from_slice(if self.format == LogFormat::Json { b"}\n" } else { b"\n" });
        line
    }
}

impl Log for Logs {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = self.line(record);
            // A log that cannot be written has nowhere to say so.
            let _written = self.out.lock().write_all(&line);
        }
    }

    fn flush(&self) {
        let _flushed = self.out.lock().flush();
    }
}

struct Pairs<'l> {
    format: LogFormat,
    line: &'l mut Vec<u8>,
}

impl<'kvs> VisitSource<'kvs> for Pairs<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: LogValue<'kvs>) -> Result<(), log::kv::Error> {
        match self.format {
            LogFormat::Text => {
                let _written = write!(self.line, " {key}={}", plain(&value.to_string()));
            }
            LogFormat::Json => {
                self.line.push(b',');
                write_json_string(self.line, key.as_str());
                self.line.push(b':');
                match (value.to_u64(), value.to_f64(), value.to_bool()) {
                    (Some(number), ..) => drop(write!(self.line, "{number}")),
                    (_, Some(number), _) if number.is_finite() => drop(write!(self.line, "{number}")),
                    (.., Some(switch)) => drop(write!(self.line, "{switch}")),
                    _ => write_json_string(self.line, &value.to_string()),
                }
            }
        }
        Ok(())
    }
}

/// A text that stays on its line and does nothing to a terminal.
fn plain(text: &str) -> String {
    let escape = |character: char| match character {
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    if text.chars().any(char::is_control) { text.chars().map(escape).collect() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::{LogFormat, Logs};
    use log::{Level, Record};
    use parking_lot::Mutex;

    fn line(format: LogFormat) -> String {
        let logs = Logs { format, out: Mutex::new(Box::new(std::io::sink())) };
        let pairs: [(&str, log::kv::Value<'_>); 2] = [("count", 5.into()), ("name", "a\"b".into())];
        let record = Record::builder()
            .level(Level::Warn)
            .target("http")
            .args(format_args!("two\nlines \u{1b}[31m"))
            .key_values(&pairs)
            .build();
        String::from_utf8(logs.line(&record)).expect("it is text")
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        let text = line(LogFormat::Text);
        let (_, rest) = text.split_once(' ').expect("it has a time");
        assert_eq!(rest, "WARN  http   two\\nlines \\u{1b}[31m count=5 name=a\"b\n");
        let json = line(LogFormat::Json);
        let seen: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
        assert_eq!(
            (&seen["level"], &seen["count"], &seen["name"]),
            (&"warn".into(), &5.into(), &"a\"b".into())
        );
        assert_eq!(json.lines().count(), 1);
    }
}
