//! The figures as Markdown.

use std::fmt::Write;

use crate::rounds::LAP_MAX;
use crate::samples::{Figure, Kind, Samples};
use crate::scenario::Scenario;
use crate::stats::{Spread, Verdict, ratio};

/// In place of a figure.
const NO_SUCH_FORM: &str = "-";
pub const PERCENTILES: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 100.0];

/// One row per scenario, one column per peer: the median, the least and the most nanoseconds per event.
pub fn nanos(samples: &Samples, scenarios: &[&Scenario], peers: &[&str]) -> String {
    let cell = |scenario: &Scenario, peer: &str| {
        Spread::of(&samples.nanos(Kind::Clean, scenario.name, peer)).map_or_else(
            || absent(samples, scenario.name, peer),
            |Spread { median, min, max, .. }| format!("{median:.2} ({min:.2} to {max:.2})"),
        )
    };
    table("ns per event", scenarios, peers, cell)
}

/// The same scenarios: how many times as long as ours the peers take, and what that proves.
pub fn ratios(samples: &Samples, kind: Kind, scenarios: &[&Scenario], peers: &[&str]) -> String {
    let ours = peers[0];
    let cell = |scenario: &Scenario, peer: &str| {
        let [peer, ours] = [peer, ours].map(|name| samples.nanos(kind, scenario.name, name));
        ratio(&peer, &ours).map_or_else(
            || NO_SUCH_FORM.to_owned(),
            |(ratio, low, high)| format!("{ratio:.2} ({low:.2} to {high:.2}), {}", Verdict::of(&ours, &peer)),
        )
    };
    table("peer / ours", scenarios, &peers[1..], cell)
}

/// One row per scenario and peer, one column per percentile: the median over the samples.
pub fn latencies(samples: &Samples, scenarios: &[&Scenario], peers: &[&str]) -> String {
    let mut text =
        "| scenario | peer | p50 | p90 | p99 | p99.9 | max |\n|---|---|---|---|---|---|---|\n".to_owned();
    for scenario in scenarios {
        for peer in peers {
            let values = PERCENTILES.map(|percentile| {
                let values = samples.percentiles(Kind::Clean, scenario.name, peer, percentile);
                Spread::of(&values).map(|spread| format!("{:.0}", spread.median))
            });
            let absent = absent(samples, scenario.name, peer);
            if absent != NO_SUCH_FORM {
                let values = values.map(|value| value.unwrap_or_else(|| absent.clone())).join(" | ");
                writeln!(text, "| {} | {peer} | {values} |", scenario.name).expect("text takes text");
            }
        }
    }
    text
}

/// Why a cell has no figure.
fn absent(samples: &Samples, scenario: &str, peer: &str) -> String {
    match samples.of(scenario, peer).last().map(|sample| &sample.figure) {
        None => NO_SUCH_FORM.to_owned(),
        Some(Figure::Late) => format!("> {} s", LAP_MAX.as_secs()),
        Some(_) => "none clean".to_owned(),
    }
}

fn table(
    corner: &str,
    rows: &[&Scenario],
    columns: &[&str],
    cell: impl Fn(&Scenario, &str) -> String,
) -> String {
    let mut text = format!("| {corner} | {} |\n|---|{}\n", columns.join(" | "), "---|".repeat(columns.len()));
    for row in rows {
        let cells: Vec<_> = columns.iter().map(|column| cell(row, column)).collect();
        writeln!(text, "| {} | {} |", row.name, cells.join(" | ")).expect("text takes text");
    }
    text
}
