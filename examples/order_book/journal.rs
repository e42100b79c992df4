//! A file that takes its final name when it is whole and on the disk, and not before.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

/// Removes the unfinished file when it is dropped before [`PartialFile::commit`].
pub struct PartialFile {
    partial: PathBuf,
    path: PathBuf,
}

impl PartialFile {
    /// The process id in the unfinished name keeps two runs at the same time apart.
    pub fn create(path: PathBuf) -> io::Result<(Self, File)> {
        let partial = path.with_extension(format!("{}.partial", process::id()));
        // A killed process with the same id may have left one behind. `create_new` then refuses
        // whatever else stands there, such as a link that somebody laid in a shared directory.
        let _ = fs::remove_file(&partial);
        let file = File::create_new(&partial)?;
        Ok((Self { partial, path }, file))
    }

    /// Reads the file back, forces it to the disk and gives it its name.
    pub fn commit(self, expected: Checksum) -> io::Result<()> {
        let mut file = File::options().read(true).append(true).open(&self.partial)?;
        let mut found = Checksum::default();
        io::copy(&mut file, &mut found)?;
        if found != expected {
            let fault = format!("the journal is not what was published: {found:?}, {expected:?}");
            return Err(io::Error::other(fault));
        }
        file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        // Now the file is safe, but its name may not be. Some systems do not open directories.
        match File::open(self.path.parent().unwrap_or(Path::new("."))) {
            Ok(directory) => directory.sync_all(),
            Err(_) => Ok(()),
        }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After a commit there is nothing left under this name.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Length and FNV-1a hash of the bytes written to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum {
    pub bytes: u64,
    hash: u64,
}

impl Default for Checksum {
    fn default() -> Self {
        Self { bytes: 0, hash: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Write for Checksum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        for &byte in bytes {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
