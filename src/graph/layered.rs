//! Places for a drawing of the graph in layers, from top to bottom.
//!
//! The method of Sugiyama, Tagawa and Toda (IEEE Transactions on Systems, Man, and Cybernetics 11, 1981): each node gets a layer below all
//! that it waits for, an edge over several layers gets a bend in each layer between, layers are ordered by the barycentre of
//! their neighbours, and then each layer's places are the least-squares ones for that order.

/// A drawing's numbers: where the middle of each node is, and the points of each edge from its upper to its lower end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Layout {
    pub nodes: Vec<Point>,
    pub edges: Vec<Vec<Point>>,
    pub width: f64,
    pub height: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// Between the middles of two layers.
pub const LAYER: f64 = 84.0;
/// Between two neighbours of a layer.
const GAP: f64 = 22.0;
/// The room that a bend takes.
const BEND: f64 = 4.0;
const MARGIN: f64 = 20.0;
/// How much more a straight line counts between two bends than between two nodes.
const STRAIGHT: f64 = 8.0;
const SWEEPS: usize = 12;

/// A node, or a bend of an edge.
struct Vertex {
    width: f64,
    layer: usize,
    above: Vec<usize>,
    below: Vec<usize>,
    bend: bool,
    x: f64,
}

/// Places nodes of the given widths; an edge goes from a node to a later one of `order`, which holds every node once.
pub fn place(widths: &[f64], edges: &[(usize, usize)], order: &[usize], high: f64) -> Layout {
    let layers = layers(widths.len(), edges, order);
    let mut vertices: Vec<Vertex> = widths
        .iter()
        .zip(&layers)
        .map(|(width, layer)| Vertex {
            width: *width,
            layer: *layer,
            above: Vec::new(),
            below: Vec::new(),
            bend: false,
            x: 0.0,
        })
        .collect();
    let chains: Vec<Vec<usize>> = edges
        .iter()
        .map(|(from, to)| chain(&mut vertices, *from, *to))
        .collect();
    let count = layers.iter().max().map_or(0, |last| last + 1);
    let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
    for node in order.iter().copied().chain(widths.len()..vertices.len()) {
        rows[vertices[node].layer].push(node);
    }
    reduce_crossings(&vertices, &mut rows);
    assign_places(&mut vertices, &rows);
    draw(&vertices, &chains, widths.len(), count, high)
}

/// The longest way from a source; a source itself stands just above the first that reads it.
fn layers(count: usize, edges: &[(usize, usize)], order: &[usize]) -> Vec<usize> {
    let mut below: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut is_source = vec![true; count];
    for (from, to) in edges {
        below[*from].push(*to);
        is_source[*to] = false;
    }
    let mut layer = vec![0; count];
    for node in order {
        for to in &below[*node] {
            layer[*to] = layer[*to].max(layer[*node] + 1);
        }
    }
    for node in order.iter().filter(|node| is_source[**node]) {
        let first = below[*node].iter().map(|to| layer[*to]).min();
        layer[*node] = first.map_or(0, |first| first - 1);
    }
    layer
}

/// Adds the bends of an edge; all its vertices from top to bottom.
fn chain(vertices: &mut Vec<Vertex>, from: usize, to: usize) -> Vec<usize> {
    let mut chain = vec![from];
    for layer in vertices[from].layer + 1..vertices[to].layer {
        chain.push(vertices.len());
        vertices.push(Vertex {
            width: BEND,
            layer,
            above: Vec::new(),
            below: Vec::new(),
            bend: true,
            x: 0.0,
        });
    }
    chain.push(to);
    for pair in chain.windows(2) {
        vertices[pair[0]].below.push(pair[1]);
        vertices[pair[1]].above.push(pair[0]);
    }
    chain
}

/// Orders each layer by the barycentres of its neighbours, downwards and upwards in turn, and keeps the order with the fewest crossings.
fn reduce_crossings(vertices: &[Vertex], rows: &mut [Vec<usize>]) {
    let mut rank = vec![0usize; vertices.len()];
    let number = |rank: &mut Vec<usize>, row: &[usize]| {
        for (place, vertex) in row.iter().enumerate() {
            rank[*vertex] = place;
        }
    };
    for row in rows.iter() {
        number(&mut rank, row);
    }
    let mut best = (crossings(vertices, rows, &rank), rows.to_vec());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        for step in 1..rows.len() {
            let at = if down { step } else { rows.len() - 1 - step };
            let row = &mut rows[at];
            let mut keyed: Vec<(f64, usize)> = row
                .iter()
                .map(|vertex| {
                    let near = if down {
                        &vertices[*vertex].above
                    } else {
                        &vertices[*vertex].below
                    };
                    (
                        mean(near, rank[*vertex] as f64, |to| rank[to] as f64),
                        *vertex,
                    )
                })
                .collect();
            keyed.sort_by(|left, right| left.0.total_cmp(&right.0));
            *row = keyed.into_iter().map(|(_, vertex)| vertex).collect();
            number(&mut rank, row);
        }
        let count = crossings(vertices, rows, &rank);
        if count < best.0 {
            best = (count, rows.to_vec());
        }
    }
    rows.clone_from_slice(&best.1);
}

fn mean(near: &[usize], otherwise: f64, value: impl Fn(usize) -> f64) -> f64 {
    if near.is_empty() {
        return otherwise;
    }
    near.iter().map(|to| value(*to)).sum::<f64>() / near.len() as f64
}

/// Pairs of edges between neighbouring layers that cross: inversions, counted with a Fenwick tree (Barth, Mutzel and Jünger, 2004).
fn crossings(vertices: &[Vertex], rows: &[Vec<usize>], rank: &[usize]) -> usize {
    let mut total = 0;
    for (row, next) in rows.iter().zip(rows.iter().skip(1)) {
        let mut tree = vec![0usize; next.len() + 1];
        let mut seen = 0;
        for vertex in row {
            let mut ends: Vec<usize> = vertices[*vertex].below.iter().map(|to| rank[*to]).collect();
            ends.sort_unstable();
            for end in &ends {
                let mut at = end + 1;
                let mut not_right = 0;
                while at > 0 {
                    not_right += tree[at];
                    at &= at - 1;
                }
                total += seen - not_right;
            }
            for end in &ends {
                let mut at = end + 1;
                while at < tree.len() {
                    tree[at] += 1;
                    at += at & at.wrapping_neg();
                }
            }
            seen += ends.len();
        }
    }
    total
}

/// Gives every vertex its place across, near its neighbours, in the order of its layer.
fn assign_places(vertices: &mut [Vertex], rows: &[Vec<usize>]) {
    for row in rows {
        let middle = vec![(0.0, 1.0); row.len()];
        settle(vertices, row, &middle);
    }
    for sweep in 0..2 * SWEEPS {
        let down = sweep % 2 == 0;
        for step in 0..rows.len() {
            let row = &rows[if down { step } else { rows.len() - 1 - step }];
            let wish: Vec<(f64, f64)> = row
                .iter()
                .map(|vertex| wished(vertices, *vertex, sweep))
                .collect();
            settle(vertices, row, &wish);
        }
    }
}

/// Where a vertex would stand by itself, and how much that counts.
fn wished(vertices: &[Vertex], vertex: usize, sweep: usize) -> (f64, f64) {
    let own = &vertices[vertex];
    // The first sweeps look one way, so that places travel through the drawing; later ones look both ways.
    let near = own
        .above
        .iter()
        .filter(|_| sweep >= SWEEPS || sweep % 2 == 0)
        .chain(
            own.below
                .iter()
                .filter(|_| sweep >= SWEEPS || sweep % 2 != 0),
        );
    let (mut sum, mut weight) = (0.0, 0.0);
    for to in near {
        let share = match (own.bend, vertices[*to].bend) {
            (true, true) => STRAIGHT,
            (false, false) => 1.0,
            _ => 2.0,
        };
        sum += share * vertices[*to].x;
        weight += share;
    }
    if weight == 0.0 {
        (own.x, 0.01)
    } else {
        (sum / weight, weight)
    }
}

/// The places nearest to what is wished (weighted least squares) that keep the order and the distances: pool adjacent violators.
fn settle(vertices: &mut [Vertex], row: &[usize], wish: &[(f64, f64)]) {
    // A block: the sum of weight times place, the weight, how many vertices.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    let mut offset = Vec::with_capacity(row.len());
    let mut at = 0.0;
    for (place, vertex) in row.iter().enumerate() {
        if let Some(before) = place.checked_sub(1).map(|before| row[before]) {
            at += (vertices[before].width + vertices[*vertex].width) / 2.0 + GAP;
        }
        offset.push(at);
        let (x, weight) = wish[place];
        let mut block = ((x - at) * weight, weight, 1);
        while let Some(last) = blocks
            .last()
            .copied()
            .filter(|last| last.0 / last.1 >= block.0 / block.1)
        {
            block = (block.0 + last.0, block.1 + last.1, block.2 + last.2);
            blocks.pop();
        }
        blocks.push(block);
    }
    let mut place = 0;
    for (sum, weight, count) in blocks {
        for _ in 0..count {
            vertices[row[place]].x = sum / weight + offset[place];
            place += 1;
        }
    }
}

fn draw(
    vertices: &[Vertex],
    chains: &[Vec<usize>],
    nodes: usize,
    layers: usize,
    high: f64,
) -> Layout {
    let left = vertices
        .iter()
        .map(|vertex| vertex.x - vertex.width / 2.0)
        .fold(f64::INFINITY, f64::min);
    let right = vertices
        .iter()
        .map(|vertex| vertex.x + vertex.width / 2.0)
        .fold(f64::NEG_INFINITY, f64::max);
    let middle = |vertex: &Vertex| Point {
        x: (vertex.x - left + MARGIN).round(),
        y: MARGIN + high / 2.0 + vertex.layer as f64 * LAYER,
    };
    let edges = chains
        .iter()
        .map(|chain| {
            let mut points = Vec::new();
            for (place, vertex) in chain.iter().enumerate() {
                let at = middle(&vertices[*vertex]);
                if place > 0 {
                    points.push(Point {
                        y: at.y - high / 2.0,
                        ..at
                    });
                }
                if place + 1 < chain.len() {
                    points.push(Point {
                        y: at.y + high / 2.0,
                        ..at
                    });
                }
            }
            points
        })
        .collect();
    Layout {
        nodes: vertices[..nodes].iter().map(middle).collect(),
        edges,
        width: if nodes == 0 {
            0.0
        } else {
            (right - left).round()
        } + 2.0 * MARGIN,
        height: 2.0 * MARGIN + high + layers.saturating_sub(1) as f64 * LAYER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(count: usize, edges: &[(usize, usize)]) -> Layout {
        let order: Vec<usize> = (0..count).collect();
        place(&vec![100.0; count], edges, &order, 30.0)
    }

    #[test]
    fn a_chain_is_a_straight_line() {
        let layout = placed(3, &[(0, 1), (1, 2)]);
        assert!(layout.nodes.iter().all(|node| node.x == layout.nodes[0].x));
        assert_eq!(layout.nodes[2].y - layout.nodes[0].y, 2.0 * LAYER);
    }

    #[test]
    fn no_edge_goes_through_a_node() {
        // The edge over four layers must bend around the nodes of the chain.
        let layout = placed(5, &[(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (1, 4)]);
        for points in &layout.edges {
            for point in &points[1..points.len() - 1] {
                for node in &layout.nodes {
                    let inside =
                        (point.x - node.x).abs() < 50.0 && (point.y - node.y).abs() <= 15.0;
                    let end = (point.x, point.y) == (node.x, node.y);
                    assert!(!inside || end, "{point:?} {node:?}");
                }
            }
        }
    }

    #[test]
    fn a_crossing_that_need_not_be_is_taken_out() {
        let layout = placed(4, &[(0, 3), (1, 2)]);
        let x = |node: usize| layout.nodes[node].x;
        assert_eq!(x(0) < x(1), x(3) < x(2));
        assert_eq!(x(0), x(3));
    }

    #[test]
    fn neighbours_keep_their_distance() {
        let edges: Vec<(usize, usize)> = (1..9).map(|leaf| (0, leaf)).collect();
        let layout = placed(9, &edges);
        let mut xs: Vec<f64> = layout.nodes[1..].iter().map(|node| node.x).collect();
        xs.sort_by(f64::total_cmp);
        assert!(xs
            .windows(2)
            .all(|pair| pair[1] - pair[0] >= 100.0 + GAP - 1.0));
        assert_eq!(layout.nodes[0].x, (xs[0] + xs[7]) / 2.0);
    }

    #[test]
    fn nothing_and_one() {
        assert_eq!(placed(0, &[]).nodes, Vec::new());
        let one = placed(1, &[]);
        assert_eq!((one.width, one.height), (140.0, 70.0));
    }
}
