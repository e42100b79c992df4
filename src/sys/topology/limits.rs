//! Which of a machine's CPUs a program may use.

use std::fs;
use std::io;
use std::path::Path;

use crate::base::cpu_set::CpuSet;

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

/// The CPUs of this program's control group, by version 2 or version 1 of `cgroups(7)`.
fn group() -> Option<CpuSet> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let roots = [("", "/sys/fs/cgroup"), ("cpuset", "/sys/fs/cgroup/cpuset")];
    roots.iter().find_map(|(controller, root)| {
        let path = membership(&memberships, controller)?;
        from_folder(Path::new(root), path)
    })
}

/// The group's path for this controller, from lines of the form `number:controllers:path`. Version 2 has
/// one line, without controllers.
fn membership<'m>(memberships: &'m str, controller: &str) -> Option<&'m str> {
    memberships.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// From the group's folder, or the next one above it that tells. In a container the path may be that of
/// the host, so that only the root is there.
fn from_folder(root: &Path, path: &str) -> Option<CpuSet> {
    let folder = root.join(path.trim_start_matches('/'));
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(root));
    let names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"];
    let files = folders.flat_map(|folder| names.map(|name| folder.join(name)));
    let mut lists = files.filter_map(|file| fs::read_to_string(file).ok()?.parse().ok());
    lists.find(|cpus: &CpuSet| !cpus.is_empty())
}

#[cfg(test)]
mod tests {
    use super::membership;

    #[test]
    fn a_group_is_found_in_both_versions() {
        let check = |memberships, controller, path| {
            assert_eq!(membership(memberships, controller), path, "{controller} in {memberships}");
        };
        check("0::/user.slice\n", "", Some("/user.slice"));
        check("0::/user.slice\n", "cpuset", None);
        check("3:cpu,cpuset:/docker/1:2\n2:memory:/m\n", "cpuset", Some("/docker/1:2"));
        check("nonsense\n", "", None);
    }
}
