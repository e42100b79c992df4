//! What a control group, such as a container's, leaves to this program: `cgroups(7)`, version 2 or version 1.

use std::fs;
use std::path::{Path, PathBuf};

/// How many CPUs' time the program gets; `None` if that is not limited, or the system does not tell.
pub fn cpus() -> Option<f64> {
    let share = |folder: &PathBuf| {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let both = || Some(format!("{} {}", read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?));
        share(&read("cpu.max").or_else(both)?)
    };
    folders("cpu").iter().filter_map(share).min_by(f64::total_cmp)
}

/// The bytes of memory that the program could still have; `None` if they are not limited, or the system does not tell.
pub fn memory_left() -> Option<u64> {
    let left = |folder: &PathBuf| {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let limit = read("memory.max").or_else(|| read("memory.limit_in_bytes"))?;
        let used = read("memory.current").or_else(|| read("memory.usage_in_bytes"))?;
        left(&limit, &used, &read("memory.stat").unwrap_or_default())
    };
    folders("memory").iter().filter_map(left).min()
}

/// The folders of the group that has this controller, and of those around it, the nearest first. In a container the
/// path may be that of the host, so that only the root is there.
pub(super) fn folders(controller: &str) -> Vec<PathBuf> {
    let memberships = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let roots = [("", "/sys/fs/cgroup".to_owned()), (controller, format!("/sys/fs/cgroup/{controller}"))];
    let above = |(controller, root): &(&str, String)| {
        let path = membership(&memberships, controller).map(|path| path.trim_start_matches('/'));
        let folder = path.map(|path| Path::new(root).join(path));
        let folders = folder.iter().flat_map(|folder| folder.ancestors());
        folders.take_while(|folder| folder.starts_with(root)).map(Path::to_owned).collect::<Vec<_>>()
    };
    roots.iter().flat_map(above).collect()
}

/// The group's path for this controller, from lines of the form `number:controllers:path`. Version 2 has
/// one line, without controllers.
fn membership<'m>(memberships: &'m str, controller: &str) -> Option<&'m str> {
    memberships.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// From `quota period`, in microseconds; `max` or -1 is no limit.
fn share(quota_and_period: &str) -> Option<f64> {
    let (quota, period) = quota_and_period.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// Files in the page cache that nobody has used for a while give way.
fn left(limit: &str, used: &str, stat: &str) -> Option<u64> {
    let (limit, used) = (limit.trim().parse::<u64>().ok()?, used.trim().parse::<u64>().ok()?);
    let idle = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let idle = idle("total_inactive_file ").or_else(|| idle("inactive_file ")).unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(idle)))
}

#[cfg(test)]
mod tests {
    use super::{left, membership, share};

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

    #[test]
    fn a_share_of_the_cpus_is_read_in_both_versions() {
        let check = |text, expected| assert_eq!(share(text), expected, "{text}");
        check("150000 100000\n", Some(1.5));
        check("max 100000\n", None);
        check("-1 100000\n", None);
        check("100000 0", None);
        check("100000", None);
        check("", None);
    }

    #[test]
    fn memory_that_gives_way_is_left() {
        let stat = "anon 300\nfile 500\ninactive_file 100\n";
        assert_eq!(left("1000\n", "700\n", stat), Some(400));
        assert_eq!(left("1000\n", "700\n", "inactive_file 1\ntotal_inactive_file 200\n"), Some(500));
        assert_eq!(left("600\n", "700\n", ""), Some(0));
        assert_eq!(left("max\n", "700\n", stat), None);
    }
}
