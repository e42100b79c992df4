//! The command line.

use std::path::PathBuf;

/// What a run should do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// Fewer rounds of fewer events: a trend, no proof.
    pub is_quick: bool,
    /// Measure for a parent, as the process of this number.
    pub child: Option<usize>,
    /// The second set, which varies sizes.
    pub sizes: bool,
    /// Both sets.
    pub all: bool,
    /// Where the report goes.
    pub out: Option<PathBuf>,
    pub wants_help: bool,
    /// Scenarios by name or family; all if there are none.
    pub only: Vec<String>,
    /// Peers beside ours; all if there are none.
    pub peers: Vec<String>,
}

/// The hidden argument of a measuring process.
pub const CHILD: &str = "--child";

pub const HELP: &str = "\
Measures badbatch beside its peers.

  --quick                   three rounds with fewer events: a trend, no proof
  --sizes                   the second set instead: events, rings, producers and consumers of several sizes
  --all                     both sets
  --only SCENARIO[,..]      these scenarios, by name (u1-busy) or family (u1, pingpong)
  --peers PEER[,..]         these peers, by name (disruptor-hint) or family (disruptor); badbatch always runs
  --out DIR                 where report.md, samples.csv, ratios.svg and latency.svg go (default:
                            peers-report in the target folder)
  --help                    this text
";

impl Args {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value behind it"));
            match &word[..] {
                "--quick" => args.is_quick = true,
                CHILD => args.child = Some(value()?.parse().map_err(|_| format!("{word} needs a number"))?),
                "--sizes" => args.sizes = true,
                "--all" => args.all = true,
                "--out" => args.out = Some(PathBuf::from(value()?)),
                "--help" | "-h" => args.wants_help = true,
                "--only" => args.only = names(&value()?),
                "--peers" => args.peers = names(&value()?),
                _ => return Err(format!("{word} is no argument; --help lists them")),
            }
        }
        Ok(args)
    }

    /// Of each process.
    pub fn rounds(&self) -> usize {
        if self.is_quick { 1 } else { 5 }
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::Args;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_come_in_any_order() {
        let [only, peers] = ["u1,mp1", "rtrb"].map(|list| list.split(',').map(str::to_owned).collect());
        let expected = Args { is_quick: true, only, peers, ..Args::default() };
        assert_eq!(parse("--only u1,mp1 --quick --peers rtrb"), Ok(expected.clone()));
        assert_eq!(parse("--peers rtrb --quick --only u1,mp1"), Ok(expected));
        assert_eq!(parse(""), Ok(Args::default()));
        assert_eq!(
            parse("--sizes --out a/b").map(|args| (args.sizes, args.out)),
            Ok((true, Some("a/b".into())))
        );
    }

    #[test]
    fn what_is_unknown_or_incomplete_is_refused() {
        assert_eq!(parse("--quik"), Err("--quik is no argument; --help lists them".to_owned()));
        assert_eq!(parse("--only"), Err("--only needs a value behind it".to_owned()));
    }
}
