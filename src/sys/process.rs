//! What this process uses, and how many files it may have open.
//!
//! Invariants, by letter, for the unsafe code below:
//! - (A) The system calls fill in a local struct of plain numbers, for which all zeros is a value.

#![allow(unsafe_code, reason = "resource limits and usage have no safe wrapper in std")]

use std::fs;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

/// What the process uses at a moment. What the system does not tell is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Memory that is really there, in bytes.
    pub resident_bytes: u64,
    /// Time on CPUs since the start, in user and kernel mode.
    pub cpu: Duration,
    /// Threads.
    pub threads: u64,
    /// Open files and sockets.
    pub open_files: u64,
}

/// Reads what the process uses now. Allocates; for a metrics page, not for a fast path.
pub fn usage() -> Usage {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    Usage {
        resident_bytes: 1024 * field("VmRSS:"),
        cpu: cpu_time(),
        threads: field("Threads:"),
        // The handle that reads the folder is in it.
        open_files: fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1) as u64),
    }
}

/// The machine's name; empty where the system does not tell.
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// The machine's memory in bytes: all of it, and what could be had. 0 where the system does not tell.
pub fn machine_memory() -> (u64, u64) {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name));
        let kib = line
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|number| number.parse::<u64>().ok());
        1024 * kib.unwrap_or(0)
    };
    (field("MemTotal:"), field("MemAvailable:"))
}

/// Raises the limit of open files as far as the system lets the program, and returns it.
///
/// Errors: the operating system's; the limit is then as it was.
pub fn raise_open_files_limit() -> io::Result<u64> {
    // SAFETY: (A).
    let mut limit: libc::rlimit = unsafe { mem::zeroed() };
    // SAFETY: (A).
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        // SAFETY: (A); the call only reads.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    Ok(limit.rlim_cur as u64)
}

/// When a process of this machine started, in the kernel's ticks since the boot: with its number, its name. `None` if it
/// has ended, or the system does not tell.
pub fn start_ticks(process: u32) -> Option<u64> {
    start_in_stat(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
}

/// From `/proc/PID/stat`, where the program's name is in parentheses and may hold any character.
fn start_in_stat(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    // What has ended is there until its parent has heard of it.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A file that this process holds until this is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: fs::File,
}

/// Makes a file that only one process can hold.
///
/// Errors: [`io::ErrorKind::WouldBlock`] if another process holds it; else the operating system's.
pub fn lock_file(path: &Path) -> io::Result<FileLock> {
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    // SAFETY: the call takes a descriptor, which is open, and numbers.
    match unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } {
        0 => Ok(FileLock { _file: file }),
        _ => Err(io::Error::last_os_error()),
    }
}

fn cpu_time() -> Duration {
    // SAFETY: (A).
    let mut usage: libc::rusage = unsafe { mem::zeroed() };
    // SAFETY: (A).
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) } != 0 {
        return Duration::ZERO;
    }
    let duration = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::{machine_memory, start_in_stat, start_ticks, usage};

    #[test]
    fn a_process_uses_something_of_what_there_is() {
        let used = usage();
        let (total, available) = machine_memory();
        assert!(used.resident_bytes > 0 && used.resident_bytes < total && available <= total, "{used:?}");
        assert!(used.threads >= 1 && used.open_files >= 3, "{used:?}");
    }

    #[test]
    fn a_process_is_known_by_when_it_started() {
        let stat = |state: &str| {
            format!("42 (a) b) {state} 1 42 42 0 -1 4194560 136 0 0 0 0 1 0 0 20 0 1 0 8814236 2953216 487")
        };
        assert_eq!(start_in_stat(&stat("S")), Some(8_814_236));
        assert_eq!(start_in_stat(&stat("Z")), None);
        assert_eq!(start_in_stat("42 (a) S 1"), None);
        assert!(start_ticks(std::process::id()).is_some());
        // Above what the kernel numbers processes with.
        assert_eq!(start_ticks(u32::MAX), None);
    }
}
