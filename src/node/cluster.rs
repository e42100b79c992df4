//! A node's place in a cluster: what the settings make of it, and its end.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;

use super::bell::Bell;
use super::cluster_log::ClusterLog;
use super::process::{Node, StartError};
use super::settings::Settings;
use super::store::{Store, StoreError};
use crate::base::clock::Clock;
use crate::cluster::swim::{Member, Metadata, NODE_ID_BYTES_MAX, NodeId, State};
use crate::cluster::{Cluster, ClusterConfig, KeyError, Keyring};
use crate::replication::Replication;
use crate::sys::process::host_name;

/// The metadata that tells where a node's REST interface is.
pub const HTTP: &str = "http";

/// How long the others are given to hear that this node leaves.
const LEAVE_TIME: Duration = Duration::from_secs(5);
/// Between two looks for the addresses behind the names of seeds, while nobody is there.
const SEEK_EVERY: Duration = Duration::from_secs(2);
/// Characters that are put behind the host's name.
const SUFFIX: usize = 4;

/// What a node has of its cluster.
pub(super) struct Membership {
    cluster: Arc<Cluster>,
    /// When the cluster's clock began, in microseconds since 1970.
    started_unix_micros: u64,
    /// What the settings say of the node.
    said: BTreeMap<String, String>,
    told: Mutex<Metadata>,
    has_left: AtomicBool,
    /// When it left, on the cluster's clock.
    left: Mutex<Duration>,
    /// Held while the keys change, so that what is kept is what holds.
    keys: Mutex<()>,
    log: Arc<ClusterLog>,
    /// Those who look for seeds and write the log, with what ends them.
    threads: Mutex<Vec<(Arc<Bell>, JoinHandle<()>)>>,
}

impl Membership {
    /// Joins the cluster of the settings, if they want one.
    pub fn start(
        settings: &Settings,
        store: Option<&Store>,
        clock: &Clock,
    ) -> Result<Option<Self>, StartError> {
        if !settings.is_on("cluster.enabled") {
            return Ok(None);
        }
        let seeds = settings.texts("cluster.seed_nodes");
        let (names, addresses): (Vec<String>, Vec<String>) =
            seeds.into_iter().partition(|seed| seed.parse::<SocketAddr>().is_err());
        let mut addresses: Vec<SocketAddr> =
            addresses.iter().filter_map(|address| address.parse().ok()).collect();
        let resolved: Vec<SocketAddr> = names.iter().flat_map(|name| resolve(name)).collect();
        addresses.extend(&resolved);
        let mut config = config(settings, store, addresses)?;
        let advertised = config.advertise.unwrap_or(config.bind);
        let said = settings.pairs("cluster.metadata");
        let told = metadata(&said, settings.bind_addr(), advertised.ip());
        config.swim.metadata = Arc::clone(&told);
        let cluster = Arc::new(Cluster::start(config)?);
        log::info!(
            target: "cluster", node = cluster.id().as_str(), name = settings.text("cluster.name");
            "listening for other nodes at {}", cluster.address()
        );
        if cluster.keyring().is_empty() && !cluster.address().ip().is_loopback() {
            log::warn!(
                target: "cluster",
                "what nodes say goes in clear, and whoever reaches {} may join; see cluster.enable_encryption",
                cluster.address()
            );
        }
        let log = Arc::new(ClusterLog::default());
        let mut threads = vec![log.start(cluster.watch(), clock.clone())?];
        if !names.is_empty() {
            threads.push(start_seeker(&cluster, names)?);
        }
        let started = clock.unix_micros().saturating_sub(cluster.now().as_micros() as u64);
        Ok(Some(Self {
            cluster,
            started_unix_micros: started,
            said,
            told: Mutex::new(told),
            has_left: AtomicBool::new(false),
            left: Mutex::default(),
            keys: Mutex::default(),
            log,
            threads: Mutex::new(threads),
        }))
    }

    /// Tells the others where REST is.
    fn announce_http(&self, http: SocketAddr) {
        let advertised = self.cluster.advertised().ip();
        let new = metadata(&self.said, http, advertised);
        let mut told = self.told.lock();
        if *told != new {
            *told = new;
            if let Err(error) = self.cluster.change_metadata(&told) {
                log::error!(target: "cluster", "the others are not told where REST is: {error}");
            }
        }
        if http.ip().is_loopback() && !advertised.is_loopback() {
            log::warn!(
                target: "cluster",
                "other nodes reach this one at {advertised}, but its REST interface only on this machine, at {http}; see --bind"
            );
        }
    }

    /// This node, as it tells of itself.
    fn own(&self) -> Member {
        // Relaxed: it is told to clients.
        let has_left = self.has_left.load(Ordering::Relaxed);
        Member {
            id: self.cluster.id().clone(),
            address: self.cluster.advertised(),
            incarnation: self.cluster.incarnation(),
            state: if has_left { State::Left } else { State::Alive },
            metadata: Arc::clone(&self.told.lock()),
            since: *self.left.lock(),
        }
    }

    /// Ends the waiting for events.
    pub fn stop_waiting(&self) {
        self.log.stop_waiting();
    }

    /// Says goodbye, once.
    pub fn leave(&self) {
        // Relaxed: nothing but the flag itself is read by it.
        if self.has_left.swap(true, Ordering::Relaxed) {
            return;
        }
        *self.left.lock() = self.cluster.now();
        // Nobody is looked for any more.
        self.threads.lock().iter().for_each(|(bell, _)| bell.ring());
        match self.cluster.leave(LEAVE_TIME) {
            true => log::info!(target: "cluster", "left"),
            false => log::warn!(target: "cluster", "left, but not everybody may have heard of it"),
        }
        self.end_threads();
    }

    fn end_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock());
        threads.iter().for_each(|(bell, _)| bell.ring());
        for (_, thread) in threads {
            // It does nothing that could panic but by our own fault, which has been printed.
            let _ended = thread.join();
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.end_threads();
    }
}

/// Why the cluster's keys are not changed, or not kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyChangeError {
    /// The keyring stays as it is.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It has changed, but is not kept for the next start.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Node {
    /// The cluster that this node is in, if it is in one.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.membership.as_ref().map(|membership| &membership.cluster)
    }

    /// The copies of disruptors on the nodes of the cluster, if this one is in one.
    pub fn replication(&self) -> Option<&Replication> {
        self.replication.get()
    }

    /// Begins to replicate disruptors, in a cluster.
    pub(super) fn start_replication(self: &Arc<Self>) -> Result<(), StartError> {
        let Some(membership) = &self.membership else { return Ok(()) };
        let node = Arc::downgrade(self);
        let on_change = move || {
            if let Some(node) = node.upgrade() {
                node.keep_disruptors();
            }
        };
        let zone = membership.said.get("zone").cloned();
        let cluster = Arc::clone(&membership.cluster);
        let started = Replication::start(cluster, Arc::clone(self.engine()), zone, on_change);
        let started =
            started.map_err(|error| StartError::System { what: "thread", reason: error.to_string() })?;
        // Nobody else sets it.
        let _is_first = self.replication.set(started);
        Ok(())
    }

    /// Every node of the cluster that is known, this one first; none without a cluster.
    pub fn cluster_members(&self) -> Vec<Member> {
        let Some(membership) = &self.membership else { return Vec::new() };
        [membership.own()].into_iter().chain(membership.cluster.members()).collect()
    }

    /// A time on the cluster's clock in microseconds since 1970.
    pub fn cluster_time(&self, time: Duration) -> u64 {
        self.membership
            .as_ref()
            .map_or(0, |membership| membership.started_unix_micros + time.as_micros() as u64)
    }

    /// What has happened in the cluster since the node started, if it is in one.
    pub fn cluster_log(&self) -> Option<&ClusterLog> {
        self.membership.as_ref().map(|membership| &*membership.log)
    }

    /// Changes the keys of the cluster on this node, and keeps them for the next start. Without a cluster there are none.
    ///
    /// Errors: as the change; or the data folder does not take them, and the change holds until the next start.
    pub fn change_cluster_keys<T>(
        &self,
        change: impl FnOnce(&mut Keyring) -> Result<T, KeyError>,
    ) -> Result<T, KeyChangeError> {
        let membership = self.membership.as_ref().ok_or(KeyError::Clear)?;
        let _alone = membership.keys.lock();
        let changed = membership.cluster.change_keys(change)?;
        let ring = membership.cluster.keyring();
        self.store().map_or(Ok(()), |store| store.keep_cluster_keys(ring.keys()))?;
        Ok(changed)
    }

    /// Whether the node has said goodbye to its cluster.
    pub fn has_left_cluster(&self) -> bool {
        // Relaxed: it is told to clients.
        self.membership.as_ref().is_some_and(|membership| membership.has_left.load(Ordering::Relaxed))
    }

    /// Says goodbye to the cluster, and goes on without it, when others have taken over what has its home here.
    pub fn leave_cluster(&self) {
        self.replication().into_iter().for_each(Replication::hand_over);
        self.membership.iter().for_each(Membership::leave);
    }

    /// Tells the cluster where this node's REST interface is. Whoever serves it does.
    pub fn announce_http(&self, address: SocketAddr) {
        self.membership.iter().for_each(|membership| membership.announce_http(address));
    }
}

fn config(
    settings: &Settings,
    store: Option<&Store>,
    seeds: Vec<SocketAddr>,
) -> Result<ClusterConfig, StartError> {
    let milliseconds = |path: &str| Duration::from_millis(settings.number(path));
    let mut config = ClusterConfig::new(node_id(settings, store)?);
    config.name = settings.text("cluster.name").unwrap_or_default().to_owned();
    config.bind = settings.address("cluster.bind_addr").expect("it has a default");
    config.advertise = settings.address("cluster.advertise_addr").or_else(|| {
        let is_any = config.bind.ip().is_unspecified();
        is_any.then(|| SocketAddr::new(own_address(seeds.first()), config.bind.port()))
    });
    config.seeds = seeds;
    config.keyring = keyring(settings, store)?;
    config.compresses = settings.is_on("cluster.enable_compression");
    config.packet_bytes_max = settings.number("cluster.packet_bytes_max") as usize;
    config.swim.gossip_interval = milliseconds("cluster.gossip_interval_ms");
    config.swim.probe_interval = milliseconds("cluster.probe_interval_ms");
    config.swim.probe_timeout = milliseconds("cluster.probe_timeout_ms");
    config.swim.indirect_probes = settings.number("cluster.indirect_probes") as usize;
    config.swim.suspicion_mult = settings.number("cluster.suspicion_mult") as u32;
    config.swim.fanout = settings.number("cluster.fanout") as usize;
    config.swim.members_max = settings.number("cluster.members_max") as usize;
    config.swim.push_pull_interval = Duration::from_secs(settings.number("cluster.push_pull_interval_secs"));
    Ok(config)
}

/// The keys that were kept when they changed, else the one of the settings.
fn keyring(settings: &Settings, store: Option<&Store>) -> Result<Keyring, StartError> {
    let Some(key) = settings.secret("cluster.encryption_key") else { return Ok(Keyring::none()) };
    let Some(kept) = store.map_or(Ok(None), Store::cluster_keys)? else { return Ok(Keyring::new([key])) };
    if kept != [key] {
        log::warn!(
            target: "cluster",
            "the keys that were changed while the node ran are used, and not cluster.encryption_key; they are in {}",
            store.map(Store::cluster_keys_path).unwrap_or_default().display()
        );
    }
    Ok(Keyring::new(kept))
}

/// The name of the settings, else the one that was kept, else a new one.
fn node_id(settings: &Settings, store: Option<&Store>) -> Result<NodeId, StartError> {
    if let Some(id) = settings.text("cluster.node_id") {
        return Ok(NodeId::new(id).expect("it was checked to be a name"));
    }
    if let Some(id) = store.map_or(Ok(None), Store::node_id)? {
        return Ok(id);
    }
    let id = new_node_id(&host_name())?;
    if let Some(store) = store {
        store.keep_node_id(&id)?;
    }
    Ok(id)
}

/// The host's name, as far as it can be in a node's, and four random characters.
fn new_node_id(host: &str) -> Result<NodeId, StartError> {
    const CHARACTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut random = [0; SUFFIX];
    getrandom::fill(&mut random)
        .map_err(|error| StartError::System { what: "random numbers", reason: error.to_string() })?;
    let suffix: String = random.iter().map(|byte| char::from(CHARACTERS[usize::from(byte % 32)])).collect();
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let host = host.chars().map(|letter| if is_allowed(letter) { letter } else { '-' });
    let host: String = host.take(NODE_ID_BYTES_MAX - SUFFIX - 1).collect();
    Ok(NodeId::new(&format!("{host}-{suffix}")).expect("only what is allowed is in it"))
}

/// The address of this machine by which the other one is reached, or the rest of the world; else loopback.
///
/// Nothing is sent: a datagram socket that is connected knows the route.
fn own_address(other: Option<&SocketAddr>) -> IpAddr {
    // Kept for documentation by RFC 5737, so nobody is there; it takes the default route.
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], 9));
    let other = *other.unwrap_or(&elsewhere);
    let any: SocketAddr = match other {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let local = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(other)?;
        socket.local_addr()
    });
    match local.map(|address| address.ip()) {
        Ok(ip) if !ip.is_unspecified() => ip,
        _ => Ipv4Addr::LOCALHOST.into(),
    }
}

/// The addresses behind a name. There may be none yet, as where machines start together.
fn resolve(name: &str) -> Vec<SocketAddr> {
    match name.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            log::warn!(target: "cluster", "the seed {name} has no address yet: {error}");
            Vec::new()
        }
    }
}

/// Looks for the addresses behind names for as long as nobody is there: they may come, and change.
fn start_seeker(
    cluster: &Arc<Cluster>,
    names: Vec<String>,
) -> Result<(Arc<Bell>, JoinHandle<()>), StartError> {
    let bell = Arc::new(Bell::default());
    let (cluster, own) = (Arc::clone(cluster), Arc::clone(&bell));
    let seek = move || {
        while !own.is_rung_within(SEEK_EVERY) {
            if cluster.members().iter().all(|member| !member.state.is_present()) {
                let addresses = names.iter().filter_map(|name| name.to_socket_addrs().ok()).flatten();
                // Those who do not answer are asked again.
                addresses
                    .filter(|address| *address != cluster.advertised())
                    .for_each(|address| drop(cluster.join(address)));
            }
        }
    };
    let thread = Builder::new().name("cluster-seeds".to_owned()).spawn(seek);
    let thread = thread.map_err(|error| StartError::System { what: "thread", reason: error.to_string() })?;
    Ok((bell, thread))
}

/// What is told of the node: what the settings say and, unless they say that as well, where REST is.
fn metadata(said: &BTreeMap<String, String>, http: SocketAddr, advertised: IpAddr) -> Metadata {
    let mut told = said.clone();
    if http.port() > 0 {
        let ip = if http.ip().is_unspecified() { advertised } else { http.ip() };
        told.entry(HTTP.to_owned()).or_insert_with(|| SocketAddr::new(ip, http.port()).to_string());
    }
    Arc::new(told)
}

#[cfg(test)]
mod tests {
    use super::{new_node_id, own_address};

    #[test]
    fn a_new_name_is_the_hosts_with_four_characters() {
        let id = new_node_id("a host").expect("there is randomness");
        assert!(id.as_str().starts_with("a-host-") && id.as_str().len() == 11, "{id}");
        assert_eq!(new_node_id(&"x".repeat(300)).expect("there is randomness").as_str().len(), 64);
        assert_eq!(new_node_id("").expect("there is randomness").as_str().len(), 5);
    }

    #[test]
    fn loopback_is_reached_from_loopback() {
        assert!(own_address(Some(&([127, 0, 0, 1], 7946).into())).is_loopback());
        assert!(own_address(Some(&"[::1]:7946".parse().expect("an address"))).is_loopback());
        assert!(!own_address(None).is_unspecified());
    }
}
