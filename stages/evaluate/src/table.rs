//! Stage `evaluate-table`: the variants of a model side by side, as Markdown.
//!
//! Inputs: reports of stages evaluate and export under the names that the rows shall have, such as `fp32: evaluate-fp32.report`.
//! Output: `table`.

use std::fmt::Write as _;

use nanoflow_model::report::Report;
use nanoflow_sdk::{Context, Stage, StageError};
use serde::{Deserialize, Serialize};

/// The stage has no parameters.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

/// The stage.
pub struct EvaluateTable;

impl Stage for EvaluateTable {
    fn id(&self) -> &'static str {
        "evaluate-table"
    }

    fn about(&self) -> &'static str {
        "the variants of a model in one table: size and perplexity"
    }

    fn run(&self, ctx: &mut Context) -> Result<(), StageError> {
        let _: Params = ctx.params()?;
        let names: Vec<String> = ctx.request().inputs.keys().cloned().collect();
        if names.is_empty() {
            return Err(StageError::input("there is nothing to compare")
                .hint("add inputs such as 'fp32: evaluate-fp32.report' in flow.yaml"));
        }
        let mut rows = Vec::new();
        for name in names {
            let report = Report::load(ctx.input(&name)?)?;
            rows.push((name, report));
        }
        // The largest file first; equal ones by name.
        rows.sort_by(|(left, a), (right, b)| {
            let size = |report: &Report| std::cmp::Reverse(report.size.file_bytes);
            size(a).cmp(&size(b)).then(left.cmp(right))
        });
        let path = ctx.output("table")?;
        std::fs::write(path, table(&rows)).map_err(|error| StageError::io(path, &error))?;
        ctx.metric("variants", rows.len() as f64, "variants");
        Ok(())
    }
}

fn table(rows: &[(String, Report)]) -> String {
    let mut text = String::from(
        "| variant | parameters | non-embedding | MB | perplexity (95 %) | bits per byte | against its reference |\n|---|---|---|---|---|---|---|\n",
    );
    for (name, report) in rows {
        let interval = report
            .perplexity_interval
            .map(|(low, high)| format!(" ({low:.3}–{high:.3})"))
            .unwrap_or_default();
        let against = report
            .comparison
            .map(|comparison| {
                let interval = comparison
                    .interval_percent
                    .map(|(low, high)| format!(" ({low:+.2} to {high:+.2})"))
                    .unwrap_or_default();
                format!("{:+.2} %{interval}", comparison.increase_percent)
            })
            .unwrap_or_else(|| "–".into());
        let _ = writeln!(
            text,
            "| {name} | {} | {} | {:.3} | {:.3}{interval} | {:.3} | {against} |",
            report.size.parameters,
            report.size.non_embedding_parameters,
            report.size.file_bytes as f64 / 1e6,
            report.perplexity,
            report.bits_per_byte,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use nanoflow_model::evaluate::{Document, Evaluation};
    use nanoflow_model::report::Size;

    #[test]
    fn rows_tell_size_interval_and_increase() {
        let evaluation = |nats: [f64; 2]| Evaluation {
            tokens: 20,
            nats: nats.iter().sum(),
            bytes: 40,
            documents: nats
                .iter()
                .map(|&nats| Document { tokens: 10, nats })
                .collect(),
        };
        let size = Size {
            parameters: 100,
            non_embedding_parameters: 60,
            file_bytes: 2_000_000,
        };
        let first = Report::new("fp32", size.clone(), &evaluation([10.0, 12.0]), None);
        let second = Report::new("w8a8", size, &evaluation([11.0, 13.0]), Some(&first));
        let text = table(&[("a".into(), first), ("b".into(), second)]);
        // Loss 1.1; deviations ±1 of two documents: error √(2·2/1) / 20 = 0.1.
        let row = "| a | 100 | 60 | 2.000 | 3.004 (2.469–3.655) | 0.793 | – |";
        assert!(text.contains(row), "{text}");
        // Both documents are worse by 0.1 nats a token: e^0.1 - 1, without any spread.
        assert!(text.contains("| +10.52 % (+10.52 to +10.52) |"), "{text}");
    }
}
