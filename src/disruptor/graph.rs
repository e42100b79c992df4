//! Who follows whom: the consumers of a disruptor as a directed acyclic graph.
//!
//! A consumer can only follow what was added before it, so the graph has no cycles by construction.

use std::fmt::Write as _;
use std::sync::Arc;

use super::error::GraphError;
use super::gate::Gate;
use super::stage::Access;

/// A consumer of one disruptor. Another disruptor refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConsumerId {
    pub(super) brand: u64,
    pub(super) node: usize,
}

/// One consumer: its place in the graph, and the gates of its threads.
pub(crate) struct Node {
    pub(crate) name: Arc<str>,
    pub(crate) access: Access,
    pub(crate) follows: Vec<usize>,
    pub(crate) gates: Vec<Arc<Gate>>,
}

impl Node {
    pub(crate) fn has_left(&self) -> bool {
        self.gates.iter().all(|gate| gate.has_left())
    }
}

/// Two consumers that might have the same event at the same time.
pub(crate) struct Conflict {
    pub(crate) exclusive: Arc<str>,
    pub(crate) other: Arc<str>,
}

#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
}

impl Graph {
    /// The node of `id`, if it belongs to the disruptor with this brand and has not left.
    pub(crate) fn find(&self, id: ConsumerId, brand: u64) -> Result<usize, GraphError> {
        if id.brand != brand {
            return Err(GraphError::ForeignId { id: id.node });
        }
        let node = &self.nodes[id.node];
        if node.has_left() {
            return Err(GraphError::Left { name: Arc::clone(&node.name) });
        }
        Ok(id.node)
    }

    /// The nodes that still take part.
    pub(crate) fn live(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&node| !self.nodes[node].has_left())
    }

    /// The gates that a follower of `nodes` must not overrun.
    pub(crate) fn gates_of(&self, nodes: &[usize]) -> Arc<[Arc<Gate>]> {
        nodes.iter().flat_map(|&node| &self.nodes[node].gates).map(Arc::clone).collect()
    }

    /// A node that still takes part and follows `node` directly.
    pub(crate) fn follower_of(&self, node: usize) -> Option<&Node> {
        self.live().map(|other| &self.nodes[other]).find(|other| other.follows.contains(&node))
    }

    /// An exclusive consumer and one that is neither before nor after it, if there are such two.
    pub(crate) fn conflict(&self) -> Option<Conflict> {
        let before: Vec<Vec<bool>> = self.ancestors();
        let live: Vec<usize> = self.live().collect();
        for &exclusive in live.iter().filter(|&&node| self.nodes[node].access == Access::Exclusive) {
            let other = live
                .iter()
                .find(|&&other| other != exclusive && !before[other][exclusive] && !before[exclusive][other]);
            if let Some(&other) = other {
                let name = |node: usize| Arc::clone(&self.nodes[node].name);
                return Some(Conflict { exclusive: name(exclusive), other: name(other) });
            }
        }
        None
    }

    /// By node, which nodes come before it, directly or not.
    fn ancestors(&self) -> Vec<Vec<bool>> {
        let mut before: Vec<Vec<bool>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let mut own = vec![false; self.nodes.len()];
            for &followed in &node.follows {
                own[followed] = true;
                own.iter_mut().zip(&before[followed]).for_each(|(own, inherited)| *own |= inherited);
            }
            before.push(own);
        }
        before
    }

    /// The graph in the DOT language of Graphviz; exclusive consumers are boxes.
    pub(crate) fn to_dot(&self) -> String {
        let quoted = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
        let mut dot =
            String::from("digraph disruptor {\n  rankdir=LR;\n  ring [label=\"ring\", shape=cylinder];\n");
        for node in self.live() {
            let Node { name, access, follows, gates } = &self.nodes[node];
            let shape = if *access == Access::Exclusive { "box" } else { "ellipse" };
            let threads = if gates.len() > 1 { format!(" x{}", gates.len()) } else { String::new() };
            // Writing to a string cannot fail.
            let _ = writeln!(dot, "  n{node} [label=\"{}{threads}\", shape={shape}];", quoted(name));
            if follows.is_empty() {
                let _ = writeln!(dot, "  ring -> n{node};");
            }
            for followed in follows {
                let _ = writeln!(dot, "  n{followed} -> n{node};");
            }
        }
        dot.push_str("}\n");
        dot
    }
}
