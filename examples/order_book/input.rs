//! A message file and its order-book file as the steps of a replay.
//!
//! The files are read whole before the start, so that the figures tell of the stages and not of
//! the disk.

use std::error::Error;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::book::Book;
use super::lobster::{Top, parse_row};

/// What the publisher puts into an event.
pub struct Step {
    /// A message as it stands in the file, line end included.
    pub line: Vec<u8>,
    /// What the top of the book must be after it, where that is known.
    pub reference: Option<Top>,
}

/// What is wrong with an input file, and where.
#[derive(Debug)]
pub struct InputError {
    pub path: PathBuf,
    /// Counted from 1. A file that cannot be read lacks its first line.
    pub line: u64,
    pub fault: String,
}

/// The book to start from, if there is an order-book file, and the steps. Where one file is shorter
/// an error follows the last step, since a message before it may be what went wrong.
pub type Input = (Option<Book>, Vec<Result<Step, InputError>>);

/// Reads the files. Row `k` of an order-book file is the book after message `k`: the first row
/// becomes the book to start from, and the others are what to compare with.
pub fn load(messages: &Path, book: Option<&Path>) -> Result<Input, InputError> {
    let text = read(messages)?;
    let mut steps: Vec<_> =
        lines(&text).map(|line| Ok(Step { line: line.to_vec(), reference: None })).collect();
    let Some(book) = book else {
        return Ok((None, steps));
    };
    let mut rows: Vec<Vec<Top>> = Vec::new();
    for (number, line) in (1..).zip(lines(&read(book)?)) {
        let row = parse_row(line).map_err(|fault| error(book, number, fault))?;
        let (depth, expected) = (row.len(), rows.first().unwrap_or(&row).len());
        if depth != expected {
            let fault = format!("{depth} levels, where the first row has {expected}");
            return Err(error(book, number, fault));
        }
        rows.push(row);
    }
    for (step, row) in steps.iter_mut().flatten().zip(&rows).skip(1) {
        step.reference = Some(row[0]);
    }
    if rows.len() != steps.len() {
        let (short, long) = if rows.len() < steps.len() { (book, messages) } else { (messages, book) };
        let fault = format!("the file ends here, but {} goes on", long.display());
        steps.truncate(rows.len());
        steps.push(Err(error(short, steps.len() as u64 + 1, fault)));
    }
    Ok((Some(Book::from_row(&rows[0])), steps))
}

fn read(path: &Path) -> Result<Vec<u8>, InputError> {
    match fs::read(path) {
        Ok(bytes) if bytes.is_empty() => Err(error(path, 1, "the file is empty".into())),
        Ok(bytes) => Ok(bytes),
        Err(cause) => Err(error(path, 1, format!("cannot read: {cause}"))),
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&byte| byte == b'\n')
}

fn error(path: &Path, line: u64, fault: String) -> InputError {
    InputError { path: path.to_owned(), line, fault }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.fault)
    }
}

impl Error for InputError {}
