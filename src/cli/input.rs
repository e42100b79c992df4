//! Data in arguments: as it is, from a file (`@file`), or from standard input (`@-`).

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;

use super::exit::Failure;

/// What stands behind `@`, to be read line by line.
pub fn open(path: &str) -> Result<Box<dyn BufRead>, Failure> {
    match path.strip_prefix('@').unwrap_or(path) {
        "-" => Ok(Box::new(io::stdin().lock())),
        path => match File::open(path) {
            Ok(file) => Ok(Box::new(BufReader::new(file))),
            Err(error) => Err(Failure::usage(format!("{path}: {error}"))),
        },
    }
}

/// The bytes behind `@`, if that is a file.
pub fn length(path: &str) -> Option<u64> {
    let path = path.strip_prefix('@').unwrap_or(path);
    let about = fs::metadata(path).ok().filter(|about| path != "-" && about.is_file());
    about.map(|about| about.len())
}

/// An argument's text, wherever it is.
pub fn text(argument: &str) -> Result<String, Failure> {
    if !argument.starts_with('@') {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    open(argument)?
        .read_to_string(&mut text)
        .map_err(|error| Failure::usage(format!("{argument}: {error}")))?;
    Ok(text)
}

/// An argument that is JSON.
pub fn json(name: &str, argument: &str) -> Result<Value, Failure> {
    serde_json::from_str(&text(argument)?).map_err(|error| {
        Failure::usage(format!(
            "{name} is not JSON: {error} (a text needs its own quotation marks: '\"text\"')"
        ))
    })
}
