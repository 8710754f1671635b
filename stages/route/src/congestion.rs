//! A picture of how full the squares of the global grid are.

use std::fmt::Write as _;

use nanoflow_layout::global::{GlobalRouter, Square, Way};

/// Fill of a square, in tenths of its room, up to this.
const MOST: usize = 12;
/// Colours from nearly empty to more than full.
const COLOURS: [&str; MOST + 1] = [
    "#ffffff", "#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#41ab5d",
    "#addd8e", "#fee08b", "#fdae61", "#f46d43", "#a50026",
];

/// Wires that want to cross the fuller of a square's two edges, by what may cross.
fn fill(router: &GlobalRouter, square: Square) -> f32 {
    let grid = router.grid();
    let part = |way: Way| {
        let edge = grid.edge(square, way);
        if grid.ends(edge).is_none() || router.wanted(edge) <= 0.0 {
            return 0.0;
        }
        router.wanted(edge) / grid.room[edge as usize].max(0.1)
    };
    part(Way::Right).max(part(Way::Up))
}

/// The map as SVG, one unit for each µm, y upwards as in the layout.
#[must_use]
pub fn svg(router: &GlobalRouter) -> String {
    let grid = router.grid();
    let um = |length: i32| f64::from(length) / 1000.0;
    let (width, height) = (um(grid.size.0), um(grid.size.1));
    let (all_x, all_y) = (width * grid.columns as f64, height * grid.rows as f64);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.2} {:.2}\" font-family=\"sans-serif\">",
        all_x + 60.0,
        all_y.max(200.0)
    );
    let _ = writeln!(
        text,
        "<title>Wires that want to cross each square, by what may cross</title>"
    );
    let _ = writeln!(text, "<rect width=\"{all_x:.2}\" height=\"{all_y:.2}\" fill=\"{}\" stroke=\"#888\" stroke-width=\"0.3\"/>", COLOURS[0]);
    for row in 0..grid.rows {
        let tenths: Vec<usize> = (0..grid.columns)
            .map(|column| ((fill(router, grid.square(column, row)) * 10.0) as usize).min(MOST))
            .collect();
        let y = all_y - (row + 1) as f64 * height;
        let mut column = 0;
        for run in tenths.chunk_by(|a, b| a == b) {
            if let Some(&tenth) = run.first().filter(|tenth| **tenth > 0) {
                let _ = writeln!(
                    text,
                    "<rect x=\"{:.2}\" y=\"{y:.2}\" width=\"{:.2}\" height=\"{height:.2}\" fill=\"{}\"/>",
                    column as f64 * width,
                    run.len() as f64 * width,
                    COLOURS[tenth]
                );
            }
            column += run.len();
        }
    }
    for (tenth, colour) in COLOURS.iter().enumerate() {
        let y = 10.0 + (MOST - tenth) as f64 * 13.0;
        let (x, more) = (all_x + 6.0, if tenth == MOST { "more" } else { "" });
        let _ = writeln!(
            text,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"12\" height=\"12\" fill=\"{colour}\" stroke=\"#888\" stroke-width=\"0.3\"/>\
             <text x=\"{:.2}\" y=\"{:.2}\" font-size=\"8\">{}% {more}</text>",
            x + 16.0,
            y + 9.0,
            tenth * 10
        );
    }
    text.push_str("</svg>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanoflow_layout::global::{Grid, Schedule};
    use nanoflow_layout::Rect;

    #[test]
    fn full_squares_are_red_and_empty_ones_are_not_drawn() {
        let mut grid = Grid::new(Rect::new(0, 0, 8000, 1000), (1000, 1000));
        grid.room.fill(1.0);
        let mut router = GlobalRouter::new(grid, vec![vec![1, 6]; 2], Schedule::default());
        router.run();
        let text = svg(&router);
        // Columns 1 to 5 in one run, twice as many wires as may cross.
        let full = "<rect x=\"1.00\" y=\"0.00\" width=\"5.00\" height=\"1.00\" fill=\"#a50026\"/>";
        assert!(text.contains(full), "{text}");
        let drawn = |line: &&str| line.contains("height=\"1.00\"") && !line.contains("stroke");
        assert_eq!(text.lines().filter(drawn).count(), 1, "{text}");
    }
}
