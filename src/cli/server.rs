//! `badbatch server`: what it is told.

use argh::{ArgsInfo, FromArgs};

use super::control::Command as Control;
use super::profile::variable;

/// Start a server, or ask one that runs.
///
/// What is not given here comes from the environment, then from the configuration file.
#[derive(FromArgs, ArgsInfo)]
#[argh(
    subcommand,
    name = "server",
    example = "badbatch server\nbadbatch server --bind 0.0.0.0:8080 --data-dir /var/lib/badbatch"
)]
pub struct Arguments {
    /// a YAML or JSON file with settings [env: BADBATCH_CONFIG]
    #[argh(option, short = 'c')]
    config: Option<String>,
    /// where to listen [default: 127.0.0.1:8080] [env: BADBATCH_BIND]; beyond this machine a key is needed
    #[argh(option, short = 'b')]
    bind: Option<String>,
    /// where to keep what must outlive the process [default: nowhere] [env: BADBATCH_DATA_DIR]
    #[argh(option)]
    data_dir: Option<String>,
    /// do not make the disruptor `main`
    #[argh(switch)]
    no_main: bool,
    /// let web pages of this origin use the server; may be given several times
    #[argh(option)]
    cors_origin: Vec<String>,
    /// ask nobody for a key, wherever they are
    #[argh(switch)]
    insecure: bool,
    /// how log lines look: text or json [default: text on a terminal, else json]
    #[argh(option)]
    log: Option<String>,
    /// what is logged: off, error, warn, info, debug or trace [default: info] [env: BADBATCH_LOG]
    #[argh(option)]
    log_level: Option<String>,
    /// join other nodes, or wait for them [env: BADBATCH_CLUSTER]
    #[argh(switch)]
    cluster: bool,
    /// where to listen for other nodes, over UDP and TCP [default: 0.0.0.0:7946] [env: BADBATCH_CLUSTER_BIND]
    #[argh(option)]
    cluster_bind: Option<String>,
    /// where other nodes reach this one [default: as the first seed is reached] [env: BADBATCH_CLUSTER_ADVERTISE]
    #[argh(option)]
    cluster_advertise: Option<String>,
    /// the cluster's name; nodes of another one are not heard [default: badbatch] [env: BADBATCH_CLUSTER_NAME]
    #[argh(option)]
    cluster_name: Option<String>,
    /// this node's name in the cluster [default: the host's, and four characters, kept in the data folder] [env:
    /// BADBATCH_NODE_ID]
    #[argh(option)]
    node_id: Option<String>,
    /// a node to join by, as host:port; may be given several times [env: BADBATCH_SEED]
    #[argh(option)]
    seed: Vec<String>,
    /// what to ask a server that runs, instead of starting one
    #[argh(subcommand)]
    pub command: Option<Control>,
}

impl Arguments {
    /// The flags by the keys of settings.
    pub fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        let options = [
            ("server.bind_addr", "--bind", &self.bind),
            ("server.data_dir", "--data-dir", &self.data_dir),
            ("logging.format", "--log", &self.log),
            ("logging.level", "--log-level", &self.log_level),
            ("cluster.bind_addr", "--cluster-bind", &self.cluster_bind),
            ("cluster.advertise_addr", "--cluster-advertise", &self.cluster_advertise),
            ("cluster.name", "--cluster-name", &self.cluster_name),
            ("cluster.node_id", "--node-id", &self.node_id),
        ];
        let given = options.into_iter().filter_map(|(key, flag, value)| Some((key, flag, value.clone()?)));
        let mut flags: Vec<_> = given.collect();
        if self.no_main {
            flags.push(("server.main", "--no-main", "false".to_owned()));
        }
        if self.cluster {
            flags.push(("cluster.enabled", "--cluster", "true".to_owned()));
        }
        if !self.seed.is_empty() {
            flags.push(("cluster.seed_nodes", "--seed", self.seed.join(",")));
        }
        if self.insecure {
            flags.push(("server.insecure", "--insecure", "true".to_owned()));
        }
        if !self.cors_origin.is_empty() {
            flags.push(("server.cors_origins", "--cors-origin", self.cors_origin.join(",")));
        }
        flags
    }

    pub fn config_path(&self) -> Option<String> {
        self.config.clone().or_else(|| variable("BADBATCH_CONFIG"))
    }
}
