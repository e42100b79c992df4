//! Which nodes have the copies: every node that knows the same members chooses the same.
//!
//! Source: rendezvous hashing, Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998.

use std::collections::BTreeSet;

use crate::cluster::swim::NodeId;

/// A node that could have a copy, and the zone that it says it is in.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'c> {
    pub id: &'c NodeId,
    pub zone: Option<&'c str>,
}

/// How much a node is the one for a disruptor; the highest comes first.
pub fn score(disruptor: &str, node: &NodeId) -> u64 {
    // FNV-1a, then the finish of MurmurHash3, so that names that differ in one place lie far apart.
    let bytes = disruptor.bytes().chain([0]).chain(node.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// So many followers for a disruptor whose home is in `home_zone`: first one of each zone that has none yet, then the
/// others, each by its score. A node that names no zone is in one of its own.
pub fn followers(
    disruptor: &str,
    home_zone: Option<&str>,
    candidates: &[Candidate<'_>],
    count: usize,
) -> Vec<NodeId> {
    let mut ordered = candidates.to_vec();
    ordered
        .sort_by_key(|candidate| (std::cmp::Reverse(score(disruptor, candidate.id)), candidate.id.clone()));
    let mut used: BTreeSet<&str> = home_zone.into_iter().collect();
    let (mut near, mut far) = (Vec::new(), Vec::new());
    for candidate in ordered {
        match candidate.zone {
            Some(zone) if !used.insert(zone) => near.push(candidate.id.clone()),
            _ => far.push(candidate.id.clone()),
        }
    }
    far.into_iter().chain(near).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::{Candidate, followers};
    use crate::cluster::swim::NodeId;
    use std::collections::BTreeMap;

    fn nodes(count: usize) -> Vec<NodeId> {
        (0..count).map(|number| NodeId::new(&format!("node-{number}")).expect("a name")).collect()
    }

    fn chosen(disruptor: &str, nodes: &[NodeId], count: usize) -> Vec<NodeId> {
        let candidates: Vec<_> = nodes.iter().map(|id| Candidate { id, zone: None }).collect();
        followers(disruptor, None, &candidates, count)
    }

    #[test]
    fn a_node_that_goes_takes_only_its_own_place_away() {
        let all = nodes(10);
        for disruptor in (0..50).map(|number| format!("d{number}")) {
            let before = chosen(&disruptor, &all, 3);
            for gone in &all {
                let rest: Vec<_> = all.iter().filter(|id| *id != gone).cloned().collect();
                let after = chosen(&disruptor, &rest, 3);
                let stayed = before.iter().filter(|id| after.contains(id)).count();
                assert_eq!(stayed, if before.contains(gone) { 2 } else { 3 });
            }
        }
    }

    #[test]
    fn copies_are_spread_evenly() {
        let all = nodes(8);
        let mut counts: BTreeMap<NodeId, usize> = BTreeMap::new();
        for disruptor in (0..4000).map(|number| format!("d{number}")) {
            chosen(&disruptor, &all, 2).into_iter().for_each(|id| *counts.entry(id).or_default() += 1);
        }
        // 1000 each, give or take four standard deviations.
        assert!(counts.len() == 8 && counts.values().all(|count| (880..1120).contains(count)), "{counts:?}");
    }

    #[test]
    fn zones_that_have_no_copy_come_first() {
        let all = nodes(6);
        let zones = ["a", "a", "a", "b", "b", "c"];
        let candidates: Vec<_> =
            all.iter().zip(zones).map(|(id, zone)| Candidate { id, zone: Some(zone) }).collect();
        let zone_of = |id: &NodeId| zones[all.iter().position(|other| other == id).expect("one of them")];
        for disruptor in (0..50).map(|number| format!("d{number}")) {
            let chosen = followers(&disruptor, Some("a"), &candidates, 3);
            let mut zones: Vec<_> = chosen.iter().map(zone_of).collect();
            zones[..2].sort_unstable();
            assert_eq!(zones[..2], ["b", "c"]);
            assert_eq!(followers(&disruptor, Some("a"), &candidates, 9).len(), 6);
        }
    }
}
