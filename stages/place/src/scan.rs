//! Scan chains follow the placement: the order of the flip-flops in a chain is free, so the chain takes a short way.

use std::collections::BTreeMap;

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_layout::electrical::Electrical;
use nanoflow_layout::Point;

/// A chain: flip-flops (components) from first to last. The first one's scan input comes from outside, the last one's
/// output leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub cells: Vec<usize>,
}

/// Net and place of a terminal.
type TerminalAt = (usize, usize);

struct Links {
    /// Scan input terminal of each scan flip-flop.
    input: BTreeMap<usize, TerminalAt>,
    /// Net that each scan flip-flop's output drives towards the scan input of the next.
    output: BTreeMap<usize, usize>,
}

fn links(design: &Design, electrical: &Electrical) -> Links {
    let mut links = Links {
        input: BTreeMap::new(),
        output: BTreeMap::new(),
    };
    for (net, wire) in design.nets.iter().enumerate() {
        for (place, terminal) in wire.terminals.iter().enumerate() {
            let Terminal::Pin { component, pin } = terminal else {
                continue;
            };
            let cell = design.components[*component].cell.as_str();
            let Some(scan_input) = electrical.scan_input(cell) else {
                continue;
            };
            if pin == scan_input {
                links.input.insert(*component, (net, place));
            } else if pin == "Q" {
                links.output.insert(*component, net);
            }
        }
    }
    links
}

/// Finds all chains by following scan inputs back to outputs.
#[must_use]
pub fn chains(design: &Design, electrical: &Electrical) -> Vec<Chain> {
    let links = links(design, electrical);
    let driver: BTreeMap<usize, usize> = links
        .output
        .iter()
        .map(|(cell, net)| (*net, *cell))
        .collect();
    let mut next: BTreeMap<usize, usize> = BTreeMap::new();
    let mut first = Vec::new();
    for (&cell, &(net, _)) in &links.input {
        match driver.get(&net) {
            Some(&before) if before != cell => {
                next.insert(before, cell);
            }
            _ => first.push(cell),
        }
    }
    let mut chains = Vec::new();
    for cell in first {
        let mut cells = vec![cell];
        while let Some(&following) = cells.last().and_then(|last| next.get(last)) {
            // A ring cannot be entered from its outside, so this ends.
            cells.push(following);
        }
        chains.push(Chain { cells });
    }
    chains
}

/// Puts the flip-flops of a chain into a short order and reconnects their scan inputs. First and last stay where they are in the
/// order. `at` gives each component's place. Returns the length of the chain before and after, in database units.
pub fn reorder(
    design: &mut Design,
    electrical: &Electrical,
    chain: &Chain,
    at: &dyn Fn(usize) -> Point,
) -> (i64, i64) {
    let cells = &chain.cells;
    if cells.len() < 4 {
        return (0, 0);
    }
    let points: Vec<Point> = cells.iter().map(|&cell| at(cell)).collect();
    let order = short_path(&points);
    let length = |order: &[usize]| {
        order
            .windows(2)
            .map(|pair| points[pair[0]].distance(points[pair[1]]))
            .sum::<i64>()
    };
    let before = length(&(0..points.len()).collect::<Vec<_>>());
    let after = length(&order);
    if after >= before {
        return (before, before);
    }
    let links = links(design, electrical);
    // Take all scan inputs but the first one's off their nets, then put each on its new driver's net.
    let mut moved: Vec<(usize, Terminal)> = Vec::new();
    for pair in order.windows(2) {
        let (driver, cell) = (cells[pair[0]], cells[pair[1]]);
        let (Some(&net), Some(&(old, place))) = (links.output.get(&driver), links.input.get(&cell))
        else {
            return (before, before);
        };
        moved.push((net, design.nets[old].terminals[place].clone()));
    }
    for (_, terminal) in &moved {
        let Terminal::Pin { component, .. } = terminal else {
            continue;
        };
        if let Some(&(net, _)) = links.input.get(component) {
            design.nets[net].terminals.retain(|other| other != terminal);
        }
    }
    for (net, terminal) in moved {
        design.nets[net].terminals.push(terminal);
    }
    (before, after)
}

/// A short path through all points from the first to the last: nearest neighbours, then reversals of stretches (2-opt) that
/// shorten it.
fn short_path(points: &[Point]) -> Vec<usize> {
    let last = points.len() - 1;
    let mut left: Vec<usize> = (1..last).collect();
    let mut order = vec![0];
    let mut here = points[0];
    while !left.is_empty() {
        let nearest = (0..left.len())
            .min_by_key(|&index| (points[left[index]].distance(here), left[index]))
            .unwrap_or(0);
        let next = left.swap_remove(nearest);
        here = points[next];
        order.push(next);
    }
    order.push(last);
    let distance = |a: usize, b: usize| points[a].distance(points[b]);
    // Bounded work: chains of ten thousand flip-flops take about a second.
    for _ in 0..20 {
        let mut better = false;
        for i in 0..order.len() - 3 {
            let reach = (i + 2 + 2000).min(order.len() - 1);
            for j in i + 2..reach {
                let (a, b, c, d) = (order[i], order[i + 1], order[j], order[j + 1]);
                if distance(a, c) + distance(b, d) < distance(a, b) + distance(c, d) {
                    order[i + 1..=j].reverse();
                    better = true;
                }
            }
        }
        if !better {
            break;
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_keeps_its_ends_and_gets_short() {
        // A snake over a grid of 10 × 10, given in a scrambled order.
        let points: Vec<Point> = (0..100)
            .map(|index| {
                let k = index * 37 % 100;
                Point::new(k % 10 * 1000, k / 10 * 1000)
            })
            .collect();
        let order = short_path(&points);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        assert_eq!((order[0], order[99]), (0, 99));
        let length: i64 = order
            .windows(2)
            .map(|pair| points[pair[0]].distance(points[pair[1]]))
            .sum();
        assert!(length < 125_000, "{length}");
    }
}
