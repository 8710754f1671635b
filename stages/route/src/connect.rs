//! Are all terminals of a net one piece? Told from the drawn shapes and the cells' pins alone, not from the search.

use nanoflow_layout::Rect;

use crate::access::covered;
use crate::cells::CellLayer;
use crate::problem::{Layer, Problem, Shape, Terminal};
use crate::union_find::UnionFind;
use crate::wiring::Wiring;

/// A net whose terminals hang on several pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub net: usize,
    /// Two terminals that are not joined.
    pub terminals: (usize, usize),
}

/// Nets with terminals that are not joined.
#[must_use]
pub fn opens(problem: &Problem, wirings: &[Wiring]) -> Vec<Open> {
    (0..problem.nets.len())
        .filter_map(|net| open(problem, net, wirings.get(net)?))
        .collect()
}

fn open(problem: &Problem, net: usize, wiring: &Wiring) -> Option<Open> {
    let terminals = &problem.nets[net].terminals;
    if terminals.len() < 2 {
        return None;
    }
    let mut shapes = wiring.shapes(&problem.rules, net as i32);
    shapes.sort_unstable_by_key(|shape| (shape.rect, shape.layer));
    // Terminals stand behind the shapes in the sets.
    let mut sets = UnionFind::new(shapes.len() + terminals.len());
    for (i, a) in shapes.iter().enumerate() {
        for (j, b) in shapes
            .iter()
            .enumerate()
            .skip(i + 1)
            .take_while(|(_, b)| b.rect.x0 <= a.rect.x1)
        {
            if conducts(a.layer, b.layer) && a.rect.touches(&b.rect) {
                sets.join(i, j);
            }
        }
    }
    for (t, terminal) in terminals.iter().enumerate() {
        for (i, shape) in shapes.iter().enumerate() {
            if reaches(problem, terminal, shape) {
                sets.join(i, shapes.len() + t);
            }
        }
    }
    let first = sets.find(shapes.len());
    let apart = (1..terminals.len()).find(|&t| sets.find(shapes.len() + t) != first)?;
    Some(Open {
        net,
        terminals: (0, apart),
    })
}

/// Metal `k` conducts to itself and to the cuts below and above it.
fn conducts(a: Layer, b: Layer) -> bool {
    match (a, b) {
        (Layer::Metal(a), Layer::Metal(b)) => a == b,
        (Layer::Metal(metal), Layer::Cut(cut)) | (Layer::Cut(cut), Layer::Metal(metal)) => {
            cut == metal || cut == metal + 1
        }
        (Layer::Cut(a), Layer::Cut(b)) => a == b,
    }
}

/// A contact that stands on the pin's li1, or metal that overlaps the pin's or port's metal.
fn reaches(problem: &Problem, terminal: &Terminal, shape: &Shape) -> bool {
    match terminal {
        Terminal::Port { shapes, .. } => shapes
            .iter()
            .any(|(metal, rect)| shape.layer == Layer::Metal(*metal) && rect.overlaps(&shape.rect)),
        Terminal::Pin { instance, pin } => {
            let (layer, whole) = match shape.layer {
                Layer::Cut(0) => (CellLayer::LocalInterconnect, true),
                Layer::Metal(k) => (CellLayer::Metal(k), false),
                Layer::Cut(_) => return false,
            };
            let (master, transform) = (problem.master(*instance), problem.transform(*instance));
            let outline = transform
                .rect(Rect::new(0, 0, master.width, master.height))
                .grow(500);
            if !outline.touches(&shape.rect) {
                return false;
            }
            let of_pin: Vec<Rect> = master
                .on(layer)
                .filter(|s| s.pin == Some(*pin))
                .map(|s| transform.rect(s.rect))
                .collect();
            if whole {
                covered(shape.rect, &of_pin)
            } else {
                of_pin.iter().any(|rect| rect.overlaps(&shape.rect))
            }
        }
    }
}
