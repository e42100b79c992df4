//! What the two processes of a run tell each other, one line each.
//!
//! The parent asks for one lap, and the child answers what it has measured.

use crate::batches::Counts;
use crate::latency::{Latencies, latencies};
use crate::samples::{Figure, Sample};

/// What a parent asks for.
#[derive(Debug, PartialEq)]
pub enum Request<'r> {
    /// A sample of a scenario with a peer.
    Measure { scenario: &'r str, peer: &'r str },
    /// The sizes of the batches of a scenario with a peer.
    Batches { scenario: &'r str, peer: &'r str },
}

impl<'r> Request<'r> {
    pub fn to_line(&self) -> String {
        match self {
            Self::Measure { scenario, peer } => format!("measure\t{scenario}\t{peer}"),
            Self::Batches { scenario, peer } => format!("batches\t{scenario}\t{peer}"),
        }
    }

    /// `None` for a line that is no request.
    pub fn parse(line: &'r str) -> Option<Self> {
        let fields: Vec<_> = line.split('\t').collect();
        match fields[..] {
            ["measure", scenario, peer] => Some(Self::Measure { scenario, peer }),
            ["batches", scenario, peer] => Some(Self::Batches { scenario, peer }),
            _ => None,
        }
    }
}

/// What a child answers.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Sample(Sample),
    Batches(Counts),
    /// The peer has no such form.
    Unsupported,
    Error(String),
}

impl Answer {
    pub fn to_line(&self) -> String {
        match self {
            Self::Sample(Sample { scenario, peer, process, figure, round_trip, foreign }) => {
                let (kind, figure) = match figure {
                    Figure::Nanos(nanos) => ("nanos", nanos.to_string()),
                    Figure::Latency(latencies) => ("latency", latency_line(latencies)),
                    Figure::Late => ("late", String::new()),
                };
                format!("sample\t{scenario}\t{peer}\t{process}\t{round_trip}\t{foreign}\t{kind}\t{figure}")
            }
            Self::Batches(counts) => {
                format!("batches\t{}", counts.map(|count| count.to_string()).join(" "))
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
            ["batches", counts] => {
                let counts: Vec<_> = counts.split(' ').map_while(|count| count.parse().ok()).collect();
                Counts::try_from(counts).ok().map(Self::Batches)
            }
            ["sample", scenario, peer, process, round_trip, foreign, kind, figure] => {
                let figure = match kind {
                    "nanos" => Figure::Nanos(figure.parse().ok()?),
                    "latency" => Figure::Latency(parse_latency(figure)?),
                    "late" => Figure::Late,
                    _ => return None,
                };
                let process = process.parse().ok()?;
                let (round_trip, foreign) = (round_trip.parse().ok()?, foreign.parse().ok()?);
                let (scenario, peer) = (scenario.to_owned(), peer.to_owned());
                Some(Self::Sample(Sample { scenario, peer, process, figure, round_trip, foreign }))
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
    use super::{Answer, Request, parse_latency};
    use crate::samples::{Figure, Sample};

    #[test]
    fn an_answer_survives_its_line() {
        let sample = |figure| {
            let (scenario, peer) = ("u1-busy".to_owned(), "std-mpsc".to_owned());
            Answer::Sample(Sample { scenario, peer, process: 2, figure, round_trip: 113.5, foreign: 0.01 })
        };
        let latencies = parse_latency("95:3 120000:1").expect("the line is well formed");
        assert_eq!(latencies.len(), 4);
        for answer in [
            sample(Figure::Nanos(1.25)),
            sample(Figure::Latency(latencies)),
            sample(Figure::Late),
            Answer::Batches([7; 32]),
            Answer::Unsupported,
            Answer::Error("the events sum to 1 instead of 2".to_owned()),
        ] {
            assert_eq!(Answer::parse(&answer.to_line()), Some(answer));
        }
    }

    #[test]
    fn a_request_survives_its_line() {
        let (scenario, peer) = ("u1-busy", "std-mpsc");
        for request in [Request::Measure { scenario, peer }, Request::Batches { scenario, peer }] {
            assert_eq!(Request::parse(&request.to_line()), Some(request));
        }
        assert_eq!(Request::parse("measure\tu1-busy"), None);
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
