//! A machine's description in any shape: it must be refused, or make a machine on which threads can be
//! placed.
//!
//! `cargo +nightly fuzz run topology fuzz/corpus/topology tests/topology -- -max_total_time=180` starts from
//! the trees of the tests; the first folder, which must be there, gets what is found.

#![no_main]

use badbatch::base::cpu_set::CpuSet;
use badbatch::sys::placement::Placement;
use badbatch::sys::topology::{Limits, Topology, Tree};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(cpus) = text.parse::<CpuSet>() {
        assert_eq!(cpus.to_string().parse(), Ok(cpus));
    }
    let Ok(tree) = text.parse::<Tree>() else { return };
    assert_eq!(tree.to_string().parse().as_ref(), Ok(&tree));
    let topology = Topology::from_tree(&tree, &Limits::default());
    assert!(!topology.usable().is_empty() && topology.nodes().next().is_some());
    let threads = ["one", "two", "three"].map(Into::into);
    for placement in [Placement::Compact, Placement::Spread] {
        let plan = placement.plan(&topology, &threads, &CpuSet::new());
        assert_eq!(plan.seats().len(), 4);
        assert!(!plan.explain().is_empty() && !topology.to_string().is_empty());
    }
});
