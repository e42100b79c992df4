//! Events in a file, one JSON object per line, renamed when it has grown.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Refusal, Sink};
use crate::engine::{Event, write_event};

pub struct FileSink {
    path: PathBuf,
    rotate_bytes: u64,
    keep: u32,
    file: Option<File>,
    /// Bytes in the file, without what is pending.
    length: u64,
    /// Lines that are not in the file yet.
    pending: Vec<u8>,
}

/// Pending bytes that are written without waiting for the batch's end.
const PENDING_BYTES_MAX: usize = 1 << 20;

impl FileSink {
    pub fn new(path: PathBuf, rotate_bytes: u64, keep: u32) -> Self {
        Self { path, rotate_bytes, keep, file: None, length: 0, pending: Vec::new() }
    }

    fn open_file(&mut self) -> Result<(), Refusal> {
        if self.file.is_none() {
            let opened = OpenOptions::new().create(true).append(true).open(&self.path);
            let opened = opened.and_then(|file| Ok((file.metadata()?.len(), file)));
            let (length, file) = opened.map_err(|error| self.refusal(&error))?;
            self.length = length;
            self.file = Some(file);
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Refusal> {
        self.file = None;
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.keep).rev().filter(|number| numbered(*number).exists()) {
            fs::rename(numbered(number), numbered(number + 1)).map_err(|error| self.refusal(&error))?;
        }
        let aside = match self.keep {
            0 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, numbered(1)),
        };
        aside.map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &std::io::Error) -> Refusal {
        Refusal::again(format!("{}: {error}", self.path.display()))
    }
}

impl Sink for FileSink {
    fn open(&mut self) -> Result<(), Refusal> {
        if let Some(folder) = self.path.parent().filter(|folder| *folder != Path::new("")) {
            fs::create_dir_all(folder).map_err(|error| self.refusal(&error))?;
        }
        self.open_file()
    }

    fn take(&mut self, sequence: u64, event: &Event) -> Result<(), Refusal> {
        if self.pending.len() > PENDING_BYTES_MAX {
            self.hand_over()?;
        }
        write_event(&mut self.pending, sequence, event);
        self.pending.push(b'\n');
        Ok(())
    }

    fn hand_over(&mut self) -> Result<(), Refusal> {
        while !self.pending.is_empty() {
            self.open_file()?;
            if self.length > 0 && self.length + self.pending.len() as u64 > self.rotate_bytes {
                self.rotate()?;
                continue;
            }
            // What a failed attempt has written is not written again.
            let mut file = self.file.as_ref().expect("it was just opened");
            match file.write(&self.pending) {
                Ok(0) => return Err(self.refusal(&std::io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    self.length += written as u64;
                    self.pending.drain(..written);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The file may have been moved away, or its disk unmounted: look for it again.
                    self.file = None;
                    return Err(self.refusal(&error));
                }
            }
        }
        Ok(())
    }
}
