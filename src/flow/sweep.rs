//! A sweep file → the points to run and what to compare them by. Pure.
//!
//! ```yaml
//! targets: [evaluate-pruned]                                # as after `nanoflow run`; all stages if none is given
//! grid: { prune.ratio: [0.1, 0.2], train.steps: [300, 600] }  # every combination
//! points: [{ prune.ratio: 0.5 }]                            # and these
//! objectives: [{ stage: evaluate-pruned, metric: perplexity, goal: min }]
//! ```

use std::sync::Arc;

use super::fault::{Fault, Span};
use super::yaml::{Kind, Node};

/// More points than that are a slip.
const MOST_POINTS: usize = 10_000;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sweep {
    pub targets: Vec<String>,
    pub points: Vec<Point>,
    pub objectives: Vec<Objective>,
}

/// `stage.param` and its value in YAML, in the order of the file; what `--set` takes.
pub type Point = Vec<(String, String)>;

/// A metric to be small or large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    pub stage: String,
    pub metric: String,
    pub goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    Min,
    Max,
}

/// Reads a sweep file; it is usable only when no fault was added.
pub fn parse(text: &str, faults: &mut Vec<Fault>) -> Sweep {
    let mut sweep = Sweep::default();
    let Some(root) = super::yaml::parse(text, faults) else {
        if faults.is_empty() {
            faults.push(Fault::new(Span::START, "the file is empty"));
        }
        return sweep;
    };
    let Some(entries) = root.as_mapping() else {
        faults.push(Fault::new(root.span, "a sweep must be a mapping"));
        return sweep;
    };
    for (key, node) in entries {
        match key.text.as_str() {
            "targets" => sweep.targets = words(node, faults),
            "grid" => sweep.points.extend(grid(node, faults)),
            "points" => sweep.points.extend(
                items(node, "'points'", faults)
                    .iter()
                    .map(|node| point(node, faults)),
            ),
            "objectives" => sweep.objectives.extend(
                items(node, "'objectives'", faults)
                    .iter()
                    .filter_map(|node| objective(node, faults)),
            ),
            word => faults.push(
                Fault::new(key.span, format!("unknown key '{word}' in the sweep"))
                    .suggest(word, ["targets", "grid", "points", "objectives"]),
            ),
        }
    }
    if faults.is_empty() && sweep.points.is_empty() {
        faults.push(
            Fault::new(root.span, "the sweep has no points")
                .hint("give 'grid' or 'points', such as grid: { stage.param: [1, 2] }"),
        );
    }
    sweep
}

fn items<'n>(node: &'n Node, what: &str, faults: &mut Vec<Fault>) -> &'n [Arc<Node>] {
    match &node.kind {
        Kind::Sequence(items) => items,
        _ => {
            faults.push(Fault::new(node.span, format!("{what} must be a list")));
            &[]
        }
    }
}

fn words(node: &Node, faults: &mut Vec<Fault>) -> Vec<String> {
    let text = |node: &Node, faults: &mut Vec<Fault>| {
        let text = node.as_text().map(str::to_string);
        if text.is_none() {
            faults.push(Fault::new(node.span, "a target must be text"));
        }
        text
    };
    match &node.kind {
        Kind::Sequence(items) => items.iter().filter_map(|item| text(item, faults)).collect(),
        _ => text(node, faults).into_iter().collect(),
    }
}

/// A value as `--set` reads it again.
fn value(node: &Node) -> String {
    node.to_json().to_string()
}

fn name(text: &str, span: Span, faults: &mut Vec<Fault>) {
    let good = text
        .split_once('.')
        .is_some_and(|(stage, param)| !stage.is_empty() && !param.is_empty());
    if !good {
        faults.push(
            Fault::new(span, format!("'{text}' is not stage.param"))
                .hint("such as train.steps, or flow.seed for one of the flow's own parameters"),
        );
    }
}

fn point(node: &Node, faults: &mut Vec<Fault>) -> Point {
    let Some(entries) = node.as_mapping() else {
        faults.push(Fault::new(
            node.span,
            "a point must be a mapping like { stage.param: 1 }",
        ));
        return Point::new();
    };
    entries
        .iter()
        .map(|(key, node)| {
            name(&key.text, key.span, faults);
            (key.text.clone(), value(node))
        })
        .collect()
}

/// Every combination; the last parameter changes fastest.
fn grid(node: &Node, faults: &mut Vec<Fault>) -> Vec<Point> {
    let Some(entries) = node.as_mapping() else {
        faults.push(Fault::new(
            node.span,
            "'grid' must be a mapping like { stage.param: [1, 2] }",
        ));
        return Vec::new();
    };
    let mut points = vec![Point::new()];
    for (key, node) in entries {
        name(&key.text, key.span, faults);
        let values = items(node, &format!("the values of '{}'", key.text), faults);
        if points.len().saturating_mul(values.len()) > MOST_POINTS {
            faults.push(Fault::new(
                key.span,
                format!("more than {MOST_POINTS} points are no sweep"),
            ));
            return Vec::new();
        }
        points = points
            .into_iter()
            .flat_map(|point| {
                values.iter().map(move |node| {
                    let mut point = point.clone();
                    point.push((key.text.clone(), value(node)));
                    point
                })
            })
            .collect();
    }
    points.retain(|point| !point.is_empty());
    points
}

fn objective(node: &Node, faults: &mut Vec<Fault>) -> Option<Objective> {
    let before = faults.len();
    let (mut stage, mut metric, mut goal) = (None, None, None);
    for (key, node) in node.as_mapping().unwrap_or_default() {
        let text = node.as_text().map(str::to_string);
        match key.text.as_str() {
            "stage" => stage = text,
            "metric" => metric = text,
            "goal" => {
                goal = match text.as_deref() {
                    Some("min") => Some(Goal::Min),
                    Some("max") => Some(Goal::Max),
                    _ => {
                        faults.push(Fault::new(node.span, "'goal' must be 'min' or 'max'"));
                        None
                    }
                }
            }
            word => faults.push(
                Fault::new(key.span, format!("unknown key '{word}' in an objective"))
                    .suggest(word, ["stage", "metric", "goal"]),
            ),
        }
    }
    match (stage, metric, goal) {
        (Some(stage), Some(metric), Some(goal)) => Some(Objective {
            stage,
            metric,
            goal,
        }),
        _ => {
            if faults.len() == before {
                faults.push(
                    Fault::new(node.span, "an objective needs 'stage', 'metric' and 'goal'")
                        .hint("such as { stage: sta, metric: setup_wns_ns, goal: max }"),
                );
            }
            None
        }
    }
}

/// Which of the points no other one is better than: none is at least as good in all and better in one. A point without a value
/// for some objective is never among them.
pub fn front(objectives: &[Objective], values: &[Vec<Option<f64>>]) -> Vec<bool> {
    let costs: Vec<Option<Vec<f64>>> = values
        .iter()
        .map(|point| {
            objectives
                .iter()
                .zip(point)
                .map(|(objective, value)| {
                    let value = value.filter(|value| value.is_finite())?;
                    Some(match objective.goal {
                        Goal::Min => value,
                        Goal::Max => -value,
                    })
                })
                .collect()
        })
        .collect();
    let beats = |a: &[f64], b: &[f64]| {
        a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
    };
    costs
        .iter()
        .map(|own| {
            own.as_ref().is_some_and(|own| {
                !objectives.is_empty() && !costs.iter().flatten().any(|other| beats(other, own))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Sweep, Vec<String>> {
        let mut faults = Vec::new();
        let sweep = parse(text, &mut faults);
        if faults.is_empty() {
            Ok(sweep)
        } else {
            Err(faults
                .iter()
                .map(|fault| format!("{}: {}", fault.span.line, fault.message))
                .collect())
        }
    }

    #[test]
    fn a_grid_is_every_combination() {
        let sweep = read("targets: e\ngrid: { a.x: [1, two], b.y: [true, 0.5] }\npoints: [{ a.x: 9 }]\nobjectives: [{ stage: e, metric: m, goal: max }]\n").expect("sweep");
        let shown: Vec<String> = sweep
            .points
            .iter()
            .map(|point| {
                let words: Vec<String> = point
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                words.join(" ")
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a.x=1 b.y=true",
                "a.x=1 b.y=0.5",
                "a.x=\"two\" b.y=true",
                "a.x=\"two\" b.y=0.5",
                "a.x=9"
            ]
        );
        assert_eq!(sweep.targets, ["e"]);
        assert_eq!(sweep.objectives[0].goal, Goal::Max);
    }

    #[test]
    fn faults_have_their_place() {
        assert_eq!(
            read("targets: [a]\ngird: { a.x: [1] }\n").expect_err("faults"),
            ["2: unknown key 'gird' in the sweep"]
        );
        assert_eq!(
            read("grid: { x: [1] }\nobjectives: [{ stage: a }]\n").expect_err("faults"),
            [
                "1: 'x' is not stage.param",
                "2: an objective needs 'stage', 'metric' and 'goal'"
            ]
        );
        assert_eq!(
            read("targets: [a]\n").expect_err("faults"),
            ["1: the sweep has no points"]
        );
        assert_eq!(read("").expect_err("faults"), ["1: the file is empty"]);
    }

    #[test]
    fn the_front_has_what_nothing_beats() {
        let objective = |goal| Objective {
            stage: "s".to_string(),
            metric: "m".to_string(),
            goal,
        };
        let values = [
            vec![Some(1.0), Some(10.0)],
            vec![Some(2.0), Some(20.0)],
            vec![Some(2.0), Some(10.0)],
            vec![Some(0.5), None],
            vec![Some(1.0), Some(10.0)],
        ];
        let objectives = [objective(Goal::Min), objective(Goal::Max)];
        assert_eq!(
            front(&objectives, &values),
            [true, true, false, false, true]
        );
        assert_eq!(front(&[], &[vec![], vec![]]), [false, false]);
    }
}
