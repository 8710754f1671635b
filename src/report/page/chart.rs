//! Small pictures in a page.

use std::fmt::Write as _;

/// A line through the values, the last one marked; nothing for fewer than two.
pub fn line(values: &[f64]) -> String {
    const WIDTH: f64 = 140.0;
    const HEIGHT: f64 = 28.0;
    const EDGE: f64 = 3.0;
    let values: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    let (Some(last), true) = (values.last(), values.len() > 1) else {
        return String::new();
    };
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = high - low;
    let x = |place: usize| EDGE + (WIDTH - 2.0 * EDGE) * place as f64 / (values.len() - 1) as f64;
    let y = |value: f64| {
        let share = if span > 0.0 {
            (value - low) / span
        } else {
            0.5
        };
        HEIGHT - EDGE - (HEIGHT - 2.0 * EDGE) * share
    };
    let mut points = String::new();
    for (place, value) in values.iter().enumerate() {
        let _ = write!(points, "{:.1},{:.1} ", x(place), y(*value));
    }
    format!(
        "<svg class=\"line\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{} values from {low} to {high}\">\
         <polyline points=\"{}\"/><circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\"/></svg>",
        values.len(),
        points.trim_end(),
        x(values.len() - 1),
        y(*last)
    )
}

/// A bar as long as the value's share of the largest.
pub fn bar(value: f64, largest: f64) -> String {
    let share = if largest > 0.0 { value / largest } else { 0.0 };
    format!(
        "<span class=\"bar\" style=\"width:{:.1}px\"></span>",
        (share * 120.0).clamp(0.0, 120.0)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_edge_to_edge() {
        let drawn = line(&[1.0, 3.0, 2.0]);
        assert!(
            drawn.contains("points=\"3.0,25.0 70.0,3.0 137.0,14.0\""),
            "{drawn}"
        );
        assert!(drawn.contains("3 values from 1 to 3"), "{drawn}");
        assert_eq!(line(&[1.0]), "");
        assert_eq!(line(&[1.0, f64::NAN]), "");
        assert!(line(&[5.0, 5.0]).contains("3.0,14.0 137.0,14.0"));
    }

    #[test]
    fn a_bar_is_a_share() {
        assert!(bar(1.0, 4.0).contains("width:30.0px"));
        assert!(bar(0.0, 0.0).contains("width:0.0px"));
    }
}
