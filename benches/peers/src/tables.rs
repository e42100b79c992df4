//! The figures as Markdown.

use crate::batches::shares;
use crate::peers::bare;
use crate::rounds::LAP_MAX;
use crate::samples::{Kind, Measure, Samples};
use crate::scenario::Scenario;
use crate::stats::{CLEAN_MIN, Spread, Verdict, ratio};

pub const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// In place of a figure.
const NO_SUCH_FORM: &str = "-";
/// Of ours and of a peer's, as many as their ratio takes.
const FAR_MIN: usize = 3;

/// What a table is about: some rows, some columns, and what was measured. The first peer is ours.
pub struct Tables<'t> {
    pub samples: &'t Samples,
    pub scenarios: Vec<&'t Scenario>,
    pub peers: &'t [&'t str],
}

impl Tables<'_> {
    /// By scenario and peer, the median and the ends of the nanoseconds per event. The peers' best is bold.
    pub fn nanos(&self) -> String {
        let cell = |scenario: &Scenario, peer: &str| {
            let values = self.samples.values(Kind::Clean, Measure::Nanos, &scenario.name, peer);
            Spread::of(&values).map_or_else(
                || self.absent(scenario, peer),
                |Spread { median, min, max, .. }| {
                    let mark = if self.best(scenario, Measure::Nanos) == Some(peer) { "**" } else { "" };
                    format!("{mark}{median:.2}{mark} ({min:.2} to {max:.2})")
                },
            )
        };
        let marked = |scenario: &Scenario| {
            let crowd = if scenario.is_oversubscribed() { " (oversubscribed)" } else { "" };
            format!("{}{crowd}", scenario.name)
        };
        let rows = self.scenarios.iter().map(|scenario| {
            let cells = self.peers.iter().map(|peer| cell(scenario, peer));
            [marked(scenario)].into_iter().chain(cells).collect()
        });
        table(&header("ns per event", self.peers), rows)
    }

    /// By scenario and peer, how many times as much as ours the peer's median is, and what may be said of
    /// ours; then ours beside the best peer.
    pub fn ratios(&self, measure: Measure) -> String {
        let rows = self.scenarios.iter().map(|scenario| {
            let cells = self.peers[1..].iter().map(|peer| self.ratio(Kind::Clean, measure, scenario, peer));
            let cells = cells.map(|cell| cell.unwrap_or_else(|| NO_SUCH_FORM.to_owned()));
            let best = self.best(scenario, measure).and_then(|best| {
                let [ours, theirs] = self.pair(Kind::Clean, measure, scenario, best);
                Some(format!("{} ({best})", verdict(&ours, &theirs)?))
            });
            let best = best.unwrap_or_else(|| NO_SUCH_FORM.to_owned());
            [scenario.name.clone()].into_iter().chain(cells).chain([best]).collect()
        });
        let title = match measure {
            Measure::Nanos => "peer / ours".to_owned(),
            Measure::Percentile(percent) => format!("peer / ours, p{percent}"),
        };
        let mut header = header(&title, &self.peers[1..]);
        header.push("ours beside the best".to_owned());
        table(&header, rows)
    }

    /// The same of samples from CPUs that were far apart, where there are some.
    pub fn far(&self) -> Option<String> {
        let cell = |scenario: &Scenario, peer: &str| {
            let enough = [self.peers[0], peer].into_iter().all(|peer| {
                self.samples.values(Kind::Far, Measure::Nanos, &scenario.name, peer).len() >= FAR_MIN
            });
            self.ratio(Kind::Far, Measure::Nanos, scenario, peer).filter(|_| enough)
        };
        let rows: Vec<Vec<_>> = self
            .scenarios
            .iter()
            .filter_map(|scenario| {
                let cells: Vec<_> = self.peers[1..].iter().map(|peer| cell(scenario, peer)).collect();
                cells.iter().any(Option::is_some).then(|| {
                    let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| NO_SUCH_FORM.to_owned()));
                    [scenario.name.clone()].into_iter().chain(cells).collect()
                })
            })
            .collect();
        (!rows.is_empty())
            .then(|| table(&header("peer / ours, far cores", &self.peers[1..]), rows.into_iter()))
    }

    /// By scenario and peer, percentiles in nanoseconds: of each, the median over the samples.
    pub fn latencies(&self) -> String {
        let row = |scenario: &Scenario, peer: &str| {
            let cells = PERCENTILES.iter().map(|&(_, percent)| {
                let measure = Measure::Percentile(percent);
                let values = self.samples.values(Kind::Clean, measure, &scenario.name, peer);
                Spread::of(&values)
                    .map_or_else(|| self.absent(scenario, peer), |spread| format!("{:.0}", spread.median))
            });
            [scenario.name.clone(), peer.to_owned()].into_iter().chain(cells).collect()
        };
        let rows = self.scenarios.iter().flat_map(|scenario| {
            let peers = self.peers.iter().filter(|peer| self.absent(scenario, peer) != NO_SUCH_FORM);
            peers.map(|peer| row(scenario, peer)).collect::<Vec<_>>()
        });
        let columns: Vec<_> = ["peer"].into_iter().chain(PERCENTILES.map(|(name, _)| name)).collect();
        table(&header("latency, ns", &columns), rows)
    }

    /// By scenario, the time of each peer, and of ours against that of the best other.
    pub fn sizes(&self) -> String {
        let median = |scenario: &Scenario, peer: &str| {
            let values = self.samples.values(Kind::Clean, Measure::Nanos, &scenario.name, peer);
            Spread::of(&values).map(|spread| spread.median)
        };
        let rows = self.scenarios.iter().map(|scenario| {
            let cells = self.peers.iter().map(|peer| {
                median(scenario, peer)
                    .map_or_else(|| self.absent(scenario, peer), |nanos| format!("{nanos:.2}"))
            });
            let best = self.best(scenario, Measure::Nanos).and_then(|best| {
                Some(format!("{:.2} ({best})", median(scenario, self.peers[0])? / median(scenario, best)?))
            });
            let best = best.unwrap_or_else(|| NO_SUCH_FORM.to_owned());
            [scenario.name.clone()].into_iter().chain(cells).chain([best]).collect()
        });
        let mut header = header("ns per event", self.peers);
        header.push("ours / best peer".to_owned());
        table(&header, rows)
    }

    /// By scenario, the sizes of our consumers' batches.
    pub fn batches(&self) -> String {
        let batches = self.samples.batches.iter();
        let rows = batches.map(|(scenario, counts)| vec![scenario.clone(), shares(counts)]);
        table(&["our batches".to_owned(), "of so many events each".to_owned()], rows)
    }

    fn ratio(&self, kind: Kind, measure: Measure, scenario: &Scenario, peer: &str) -> Option<String> {
        let [ours, theirs] = self.pair(kind, measure, scenario, peer);
        let (ratio, low, high) = ratio(&theirs, &ours)?;
        Some(format!("{ratio:.2} ({low:.2} to {high:.2}) {}", verdict(&ours, &theirs)?))
    }

    /// The samples of ours and of the peer.
    fn pair(&self, kind: Kind, measure: Measure, scenario: &Scenario, peer: &str) -> [Vec<f64>; 2] {
        [self.peers[0], peer].map(|peer| self.samples.values(kind, measure, &scenario.name, peer))
    }

    /// The peer beside ours with the least median; the mark to measure all by is none.
    fn best(&self, scenario: &Scenario, measure: Measure) -> Option<&str> {
        let peers = self.peers[1..].iter().filter(|&&peer| peer != bare::NAME);
        let medians = peers.filter_map(|&peer| {
            let values = self.samples.values(Kind::Clean, measure, &scenario.name, peer);
            Some((Spread::of(&values)?.median, peer))
        });
        medians.min_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, peer)| peer)
    }

    /// Why a cell has no figure.
    fn absent(&self, scenario: &Scenario, peer: &str) -> String {
        if self.samples.is_late(&scenario.name, peer) {
            format!("> {} s", LAP_MAX.as_secs())
        } else if self.samples.of(&scenario.name, peer).next().is_some() {
            "none clean".to_owned()
        } else {
            NO_SUCH_FORM.to_owned()
        }
    }
}

/// With a question mark, if there are too few samples to say so; `None` if there are none.
fn verdict(ours: &[f64], theirs: &[f64]) -> Option<String> {
    let count = ours.len().min(theirs.len());
    let doubt = if count < CLEAN_MIN { "?" } else { "" };
    (count > 0).then(|| format!("{}{doubt}", Verdict::of(ours, theirs)))
}

fn header(corner: &str, columns: &[&str]) -> Vec<String> {
    [corner].iter().chain(columns).map(|&cell| cell.to_owned()).collect()
}

fn table(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule = format!("|{}\n", "---|".repeat(header.len()));
    [line(header), rule].into_iter().chain(rows.map(|row| line(&row))).collect()
}
