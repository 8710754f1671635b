//! The route of one net on the lattice.

use nanoflow_layout::{Point, Rect};

use crate::lattice::Node;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// All nodes with metal of the net, sorted.
    pub nodes: Vec<Node>,
    /// Steps between neighbouring nodes; a step between layers is a via.
    pub edges: Vec<(Node, Node)>,
    /// Contacts to pins on li1.
    pub contacts: Vec<Contact>,
    /// Nodes of met1 that carry the pad of a contact or via, sorted.
    pub pads: Vec<Node>,
    /// Nodes of met1 where those pads let no other net have one, sorted; a node that two pads forbid stands twice.
    pub forbidden_pads: Vec<Node>,
    /// Metal that joins a node to a port off the lattice.
    pub links: Vec<(usize, Rect)>,
    /// For each terminal a node that it is joined to.
    pub terminal_nodes: Vec<Node>,
}

/// An mcon near a node of met1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    pub node: Node,
    pub at: Point,
}
