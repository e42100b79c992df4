//! What the two processes of a run tell each other, one line each.
//!
//! The parent asks `SCENARIO TAB PEER`, and a child answers a sample, `unsupported`, or `error TEXT`.

use crate::latency::{Latencies, latencies};
use crate::samples::{Figure, Sample};

/// What a child answers.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Sample(Sample),
    /// The peer has no such form.
    Unsupported,
    Error(String),
}

impl Answer {
    pub fn to_line(&self) -> String {
        match self {
            Self::Sample(Sample { scenario, peer, figure, round_trip, foreign }) => {
                let (kind, figure) = match figure {
                    Figure::Nanos(nanos) => ("nanos", nanos.to_string()),
                    Figure::Latency(latencies) => ("latency", latency_line(latencies)),
                    Figure::Late => ("late", String::new()),
                };
                format!("sample\t{scenario}\t{peer}\t{round_trip}\t{foreign}\t{kind}\t{figure}")
            }
            Self::Unsupported => "unsupported".to_owned(),
            Self::Error(text) => format!("error\t{}", text.replace('\n', " ")),
        }
    }

    /// `None` for a line that is no answer.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        match fields[..] {
            ["unsupported"] => Some(Self::Unsupported),
            ["error", text] => Some(Self::Error(text.to_owned())),
            ["sample", scenario, peer, round_trip, foreign, kind, figure] => {
                let figure = match kind {
                    "nanos" => Figure::Nanos(figure.parse().ok()?),
                    "latency" => Figure::Latency(parse_latency(figure)?),
                    "late" => Figure::Late,
                    _ => return None,
                };
                let (round_trip, foreign) = (round_trip.parse().ok()?, foreign.parse().ok()?);
                let (scenario, peer) = (scenario.to_owned(), peer.to_owned());
                Some(Self::Sample(Sample { scenario, peer, figure, round_trip, foreign }))
            }
            _ => None,
        }
    }
}

fn latency_line(latencies: &Latencies) -> String {
    let pairs = latencies.iter_recorded();
    let pairs = pairs.map(|step| format!("{}:{}", step.value_iterated_to(), step.count_at_value()));
    pairs.collect::<Vec<_>>().join(" ")
}

/// Reads `V:C V:C ..`: so many events took so many nanoseconds.
pub fn parse_latency(text: &str) -> Option<Latencies> {
    let mut histogram = latencies();
    for pair in text.split_whitespace() {
        let (value, count) = pair.split_once(':')?;
        histogram.saturating_record_n(value.parse().ok()?, count.parse().ok()?);
    }
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::{Answer, parse_latency};
    use crate::samples::{Figure, Sample};

    #[test]
    fn an_answer_survives_its_line() {
        let sample = |figure| {
            let (scenario, peer) = ("u1-busy".to_owned(), "std mpsc".to_owned());
            Answer::Sample(Sample { scenario, peer, figure, round_trip: 113.5, foreign: 0.01 })
        };
        let latencies = parse_latency("95:3 120000:1").expect("the line is well formed");
        assert_eq!(latencies.len(), 4);
        for answer in [
            sample(Figure::Nanos(1.25)),
            sample(Figure::Latency(latencies)),
            sample(Figure::Late),
            Answer::Unsupported,
            Answer::Error("the events sum to 1 instead of 2".to_owned()),
        ] {
            assert_eq!(Answer::parse(&answer.to_line()), Some(answer));
        }
    }

    #[test]
    fn a_broken_line_is_no_answer() {
        for line in ["", "sample", "sample\ta\tb\tc\td\tnanos\te", "error", "latency 1:2", "nonsense\tx"] {
            assert_eq!(Answer::parse(line), None, "{line}");
        }
        assert_eq!(parse_latency("12"), None);
        assert_eq!(parse_latency("1:x"), None);
    }
}
