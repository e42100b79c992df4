//! Which of a machine's CPUs a program may use.

use std::fs;
use std::io;

use crate::base::cpu_set::CpuSet;
use crate::sys::cgroup;

/// The CPUs that a program is limited to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Those of its control group, beyond which the kernel binds no thread; `None` if that does not tell.
    pub group: Option<CpuSet>,
    /// Those that its main thread may run on: what it was started with, as by `taskset`, unless it has
    /// bound itself since.
    pub affinity: Option<CpuSet>,
}

impl Limits {
    /// Those of this program, as they are now.
    ///
    /// Errors: `Unsupported` outside Linux; the system's.
    pub fn detect() -> io::Result<Self> {
        let affinity = crate::sys::affinity::of_process()?;
        Ok(Self { group: group(), affinity: Some(affinity) })
    }
}

/// The CPUs of this program's control group, or of the next one around it that tells.
fn group() -> Option<CpuSet> {
    let names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"];
    let folders = cgroup::folders("cpuset");
    let files = folders.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    let mut lists = files.filter_map(|file| fs::read_to_string(file).ok()?.parse().ok());
    lists.find(|cpus: &CpuSet| !cpus.is_empty())
}
