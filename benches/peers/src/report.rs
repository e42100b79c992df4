//! What a run leaves behind: the Markdown, the samples, and two charts.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::charts;
use crate::samples::{Figure, Kind, Measure, Samples};
use crate::scenario::Scenario;
use crate::tables::{PERCENTILES, Tables};

pub struct Report<'r> {
    /// About the machine and the versions, as a list.
    pub facts: String,
    pub samples: &'r Samples,
    pub scenarios: &'r [Scenario],
    pub peers: &'r [&'r str],
}

impl Report<'_> {
    /// Writes all files into `folder`, which need not exist.
    pub fn write(&self, folder: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("report.md"), self.markdown())?;
        fs::write(folder.join("samples.csv"), self.csv())?;
        let flows = self.tables(|scenario| !scenario.is_latency());
        charts::ratios(&folder.join("ratios.svg"), self.samples, &flows.scenarios, self.peers)?;
        let latencies = self.tables(Scenario::is_latency);
        charts::latencies(&folder.join("latency.svg"), self.samples, &latencies.scenarios, self.peers)?;
        Ok(())
    }

    pub fn markdown(&self) -> String {
        let mut parts = vec![format!("# badbatch beside its peers\n\n{}", self.facts)];
        parts[0].push_str(&format!("- {}\n", self.samples.conditions()));
        let flows = self.tables(|scenario| !scenario.is_latency() && !scenario.is_size);
        if !flows.scenarios.is_empty() {
            parts.push("## Throughput".to_owned());
            parts.extend([flows.nanos(), flows.ratios(Measure::Nanos)]);
            parts.extend(flows.far());
            parts.push(flows.batches());
        }
        let latencies = self.tables(Scenario::is_latency);
        if !latencies.scenarios.is_empty() {
            parts.push("## Latency".to_owned());
            parts.push(latencies.latencies());
            parts.extend([50.0, 99.0].map(|percent| latencies.ratios(Measure::Percentile(percent))));
        }
        let sizes = self.tables(|scenario| scenario.is_size);
        if !sizes.scenarios.is_empty() {
            let peers: Vec<_> =
                self.peers.iter().copied().filter(|peer| sizes.scenarios[0].includes(peer)).collect();
            parts.push("## Sizes".to_owned());
            parts.push(Tables { peers: &peers, ..sizes }.sizes());
        }
        parts.push(
            "Figures are medians (least to most) of the clean samples. A ratio above 1 means that ours took less; \
             behind it stands its 95 % interval. Ours is called faster or slower where the medians differ by more \
             than 15 % and the middle halves do not overlap, and a question mark says that there are too few \
             samples to be sure."
                .to_owned(),
        );
        parts.push(self.scenarios.iter().map(|scenario| format!("- {scenario}\n")).collect());
        parts.join("\n\n").replace("\n\n\n", "\n\n")
    }

    /// One line per sample.
    fn csv(&self) -> String {
        let names = PERCENTILES.map(|(name, _)| name).join(",");
        let mut text = format!("scenario,peer,process,kind,round_trip_ns,foreign,ns_per_event,{names}\n");
        let near = self.samples.near();
        for sample in self.samples.iter() {
            let kind = match self.samples.kind(sample, near) {
                Some(Kind::Clean) => "clean",
                Some(Kind::Far) => "far",
                None if sample.figure == Figure::Late => "late",
                None => "disturbed",
            };
            let figures = match &sample.figure {
                Figure::Nanos(nanos) => format!("{nanos:.3},,,,,"),
                Figure::Latency(latencies) => PERCENTILES
                    .iter()
                    .map(|&(_, percent)| format!(",{}", latencies.value_at_percentile(percent)))
                    .collect(),
                Figure::Late => ",,,,,".to_owned(),
            };
            text.push_str(&format!(
                "{},\"{}\",{},{kind},{:.1},{:.3},{figures}\n",
                sample.scenario, sample.peer, sample.process, sample.round_trip, sample.foreign
            ));
        }
        text
    }

    fn tables(&self, is_meant: impl Fn(&Scenario) -> bool) -> Tables<'_> {
        let scenarios = self.scenarios.iter().filter(|scenario| is_meant(scenario)).collect();
        Tables { samples: self.samples, scenarios, peers: self.peers }
    }
}
