//! The loss curve as CSV and as a picture.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// One look at both parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub step: u64,
    pub train_loss: f64,
    pub validation_loss: f64,
    /// Learning rate of the next step.
    pub rate: f32,
}

/// All losses of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Loss of each step's batch, in nats.
    pub losses: Vec<f32>,
    pub points: Vec<Point>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const MARGIN: f64 = 48.0;

impl Curve {
    /// `step,batch_loss,train_loss,validation_loss,learning_rate`; the last three only at steps with an evaluation.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut text = String::from("step,batch_loss,train_loss,validation_loss,learning_rate\n");
        let mut points = self.points.iter().peekable();
        for step in 0..=self.losses.len() as u64 {
            let batch = self
                .losses
                .get(step as usize)
                .map(|loss| format!("{loss:.6}"))
                .unwrap_or_default();
            let line = match points.next_if(|point| point.step == step) {
                Some(point) => {
                    format!(
                        "{step},{batch},{:.6},{:.6},{:e}",
                        point.train_loss, point.validation_loss, point.rate
                    )
                }
                None if batch.is_empty() => continue,
                None => format!("{step},{batch},,,"),
            };
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    /// Batch losses (averaged to at most 360 points), training and validation loss over steps.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let steps = self.losses.len().max(1) as f64;
        let bucket = self.losses.len().div_ceil(360).max(1);
        let batches: Vec<(f64, f64)> = self
            .losses
            .chunks(bucket)
            .enumerate()
            .map(|(index, part)| {
                let mean =
                    part.iter().map(|&loss| f64::from(loss)).sum::<f64>() / part.len() as f64;
                ((index * bucket) as f64 + part.len() as f64 / 2.0, mean)
            })
            .collect();
        let train: Vec<_> = self
            .points
            .iter()
            .map(|point| (point.step as f64, point.train_loss))
            .collect();
        let validation: Vec<_> = self
            .points
            .iter()
            .map(|point| (point.step as f64, point.validation_loss))
            .collect();
        let all = batches
            .iter()
            .chain(&train)
            .chain(&validation)
            .map(|point| point.1);
        let (low, high) = all.fold((f64::MAX, f64::MIN), |(low, high), loss| {
            (low.min(loss), high.max(loss))
        });
        let (low, high) = if low < high {
            (low.floor(), high.ceil())
        } else {
            (0.0, 1.0)
        };
        let place = |(step, loss): (f64, f64)| {
            let x = MARGIN + step / steps * (WIDTH - 2.0 * MARGIN);
            let y = HEIGHT - MARGIN - (loss - low) / (high - low) * (HEIGHT - 2.0 * MARGIN);
            (x, y)
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        grid(&mut svg, steps, low, high, place);
        for (series, colour, name, row) in [
            (&batches, "#bbbbbb", "batch", 0.0),
            (&train, "#1f77b4", "training", 1.0),
            (&validation, "#d62728", "validation", 2.0),
        ] {
            let points: Vec<String> = series
                .iter()
                .map(|&point| place(point))
                .map(|(x, y)| format!("{x:.1},{y:.1}"))
                .collect();
            let (x, y) = (WIDTH - 2.5 * MARGIN, MARGIN + 16.0 * row);
            let _ = writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
                points.join(" ")
            );
            let _ = writeln!(
                svg,
                "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{name}</text>"
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn grid(
    svg: &mut String,
    steps: f64,
    low: f64,
    high: f64,
    place: impl Fn((f64, f64)) -> (f64, f64),
) {
    let (left, right) = (MARGIN, WIDTH - MARGIN);
    let mut loss = low;
    while loss <= high + 1e-9 {
        let (_, y) = place((0.0, loss));
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#eeeeee\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{loss}</text>",
            left - 6.0,
            y + 4.0
        );
        loss += 1.0;
    }
    for quarter in 0..=4 {
        let step = (steps * f64::from(quarter) / 4.0).round();
        let (x, _) = place((step, low));
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{step}</text>",
            HEIGHT - MARGIN + 18.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{left}\" y=\"{}\">loss (nats a token) over steps</text>",
        MARGIN - 16.0
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_has_a_line_for_each_step_and_the_last_look() {
        let point = |step| Point {
            step,
            train_loss: 2.0,
            validation_loss: 2.5,
            rate: 0.001,
        };
        let curve = Curve {
            losses: vec![3.0, 2.5],
            points: vec![point(0), point(2)],
        };
        assert_eq!(
            curve.to_csv(),
            "step,batch_loss,train_loss,validation_loss,learning_rate\n0,3.000000,2.000000,2.500000,1e-3\n1,2.500000,,,\n2,,2.000000,2.500000,1e-3\n"
        );
        assert!(curve.to_svg().contains("<polyline"));
    }
}
