//! The command line.

/// What a run should do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args {
    /// Fewer rounds of fewer events: a trend, no proof.
    pub is_quick: bool,
    /// Measure for a parent.
    pub is_child: bool,
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
  --only SCENARIO[,..]      these scenarios, by name (u1-busy) or family (u1, pingpong)
  --peers PEER[,..]         these peers; badbatch always runs
  --help                    this text
";

impl Args {
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut list = || {
                let list = words
                    .next()
                    .ok_or_else(|| format!("{word} needs names behind it, with commas between"))?;
                Ok::<_, String>(list.split(',').map(str::to_owned).collect())
            };
            match &word[..] {
                "--quick" => args.is_quick = true,
                CHILD => args.is_child = true,
                "--help" | "-h" => args.wants_help = true,
                "--only" => args.only = list()?,
                "--peers" => args.peers = list()?,
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
    }

    #[test]
    fn what_is_unknown_or_incomplete_is_refused() {
        assert_eq!(parse("--quik"), Err("--quik is no argument; --help lists them".to_owned()));
        assert_eq!(parse("--only"), Err("--only needs names behind it, with commas between".to_owned()));
    }
}
