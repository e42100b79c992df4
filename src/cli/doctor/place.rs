//! Checks of where a server would live: its configuration, its address, its data folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::check::Check;
use super::server::{Answer, probe};
use crate::cli::human;
use crate::cli::profile::variable;
use crate::cli::serve;

use crate::client::Client;

/// What a server that is started here would be told, besides by its flags.
pub struct Place {
    config: Check,
    bind: String,
    data_dir: Option<String>,
}

impl Place {
    /// Reads the configuration file, if there is one.
    pub fn find(config: Option<&str>) -> Self {
        let path = config.map(str::to_owned).or_else(|| variable("BADBATCH_CONFIG"));
        let (config, settings) = read(path.as_deref());
        let setting = |name: &str| settings[name].as_str().map(str::to_owned);
        let bind = variable("BADBATCH_BIND").or_else(|| setting("bind_addr"));
        Self {
            config,
            bind: bind.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            data_dir: variable("BADBATCH_DATA_DIR").or_else(|| setting("data_dir")),
        }
    }

    pub fn checks(self) -> Vec<Check> {
        vec![self.config, address(&self.bind), disk(self.data_dir.as_deref())]
    }
}

fn read(path: Option<&str>) -> (Check, Value) {
    const NAME: &str = "config";
    let Some(path) = path else {
        return (Check::ok(NAME, "no file is given: the defaults hold"), Value::Null);
    };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let advice = "name another one: --config or BADBATCH_CONFIG";
            return (Check::failed(NAME, format!("{path}: {error}"), advice), Value::Null);
        }
    };
    if !serve::IS_HERE {
        let advice = "this program is built without the server, which knows the settings";
        return (Check::note(NAME, format!("{path}: not checked"), advice), Value::Null);
    }
    match serve::check(&text) {
        Ok(settings) => {
            let count = settings["disruptors"].as_array().map_or(0, Vec::len);
            let found = format!("{path}: {count} disruptors");
            let notices = settings["notices"].as_array().into_iter().flatten();
            let notices: Vec<_> = notices.filter_map(Value::as_str).collect();
            let check = match notices.is_empty() {
                true => Check::ok(NAME, found),
                false => Check::note(NAME, found, notices.join("; ")),
            };
            (check, settings)
        }
        Err(errors) => {
            let advice = format!("mend it, then try: badbatch config validate {path}");
            (Check::failed(NAME, format!("{path}: {}", errors.join("; ")), advice), Value::Null)
        }
    }
}

/// Whether a server can listen there.
fn address(bind: &str) -> Check {
    const NAME: &str = "port";
    let Ok(address) = bind.parse::<SocketAddr>() else {
        return Check::failed(
            NAME,
            format!("`{bind}` is not an address"),
            "write one such as 127.0.0.1:8080",
        );
    };
    let error = match TcpListener::bind(address) {
        Ok(_) => return Check::ok(NAME, format!("{address} is free")),
        Err(error) => error,
    };
    let next = SocketAddr::new(address.ip(), address.port().saturating_add(1));
    let advice = format!("take another one: badbatch server --bind {next}");
    if error.kind() != io::ErrorKind::AddrInUse {
        return Check::warning(NAME, format!("{address}: {error}"), advice);
    }
    // What is bound to every address is reached at this one.
    let reached = match address.ip().is_unspecified() {
        true => SocketAddr::new([127, 0, 0, 1].into(), address.port()),
        false => address,
    };
    let answer = Client::new(&format!("http://{reached}")).map(|client| probe(&super::impatient(client)));
    match answer {
        Ok(Answer::Badbatch(health)) => {
            let version = health["version"].as_str().unwrap_or_default();
            Check::ok(NAME, format!("{address} is taken by badbatch {version}"))
        }
        _ => Check::warning(NAME, format!("{address} is taken by another program"), advice),
    }
}

/// How long it takes until what was written is on the disk.
fn disk(data_dir: Option<&str>) -> Check {
    const NAME: &str = "disk";
    const SLOW: Duration = Duration::from_millis(20);
    let wanted = Path::new(data_dir.unwrap_or("."));
    // The server makes its folder when it starts.
    let there =
        wanted.ancestors().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    let folder = there.into_iter().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let shown = folder.display();
    let times = match fsync_times(&folder) {
        Ok(times) => times,
        Err(error) if data_dir.is_some() => {
            let advice =
                "the server cannot keep anything there: give it the right to write, or another --data-dir";
            return Check::failed(NAME, format!("{shown}: {error}"), advice);
        }
        Err(error) => {
            let advice = "nothing to mend unless a server is to keep its data here";
            return Check::note(NAME, format!("{shown}: {error}"), advice);
        }
    };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let kind = filesystem(&mounts, &folder).unwrap_or("unknown file system");
    let (half, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!(
        "fsync p50 {}, max {} of {}; {shown}, {kind}",
        human::span(half),
        human::span(worst),
        times.len()
    );
    if matches!(kind, "tmpfs" | "ramfs") && data_dir.is_some() {
        return Check::warning(NAME, found, "what is kept there is gone with the machine's next start");
    }
    if half > SLOW {
        let advice = "answers that are kept for idempotency and new keys wait for it: take a local SSD";
        return Check::warning(NAME, found, advice);
    }
    Check::ok(NAME, found)
}

/// A file that is gone in the end.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.0);
    }
}

/// Writes and syncs a little, a few times, for half a second at most. The times come sorted.
fn fsync_times(folder: &Path) -> io::Result<Vec<Duration>> {
    const ROUNDS: usize = 20;
    const LONG_ENOUGH: Duration = Duration::from_millis(500);
    let path = folder.join(format!(".badbatch-doctor-{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    let _scratch = Scratch(path);
    let started = Instant::now();
    let mut times = Vec::new();
    while times.len() < ROUNDS && (times.is_empty() || started.elapsed() < LONG_ENOUGH) {
        let before = Instant::now();
        file.write_all(&[b'.'; 512])?;
        file.sync_data()?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

/// From `/proc/self/mounts`: what is mounted, where, and of which kind. The last one of the deepest ones counts.
fn filesystem<'m>(mounts: &'m str, path: &Path) -> Option<&'m str> {
    let mounted = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let at = PathBuf::from(fields.next()?.replace("\\040", " "));
        path.starts_with(&at).then_some((at.components().count(), fields.next()?))
    });
    mounted.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::filesystem;
    use std::path::Path;

    #[test]
    fn a_folder_s_file_system_is_the_deepest_mount_s() {
        let mounts = "/dev/vda / ext4 rw,relatime 0 0\ntmpfs /run tmpfs rw 0 0\n\
                      /dev/sdb /mnt/my\\040disk xfs rw 0 0\nodd\nover /run/x overlay rw 0 0\n";
        let check = |path: &str, kind| assert_eq!(filesystem(mounts, Path::new(path)), kind, "{path}");
        check("/home", Some("ext4"));
        check("/run/y", Some("tmpfs"));
        check("/run/x/y", Some("overlay"));
        check("/runs", Some("ext4"));
        check("/mnt/my disk/a", Some("xfs"));
        assert_eq!(filesystem("", Path::new("/")), None);
    }
}
