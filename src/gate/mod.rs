//! Metrics and the gates on them. Pure.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::flow::Gate;
pub use crate::flow::{Metric, Metrics};

/// Reads `metrics.json`. Numbers that JSON does not know (`NaN`, `Infinity`, `1e999`) are kept as text, so that they fail their
/// gate and no other.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_metrics(text: &str) -> Result<Metrics, String> {
    let value: Json = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(first) => {
            serde_json::from_str(&quote_non_numbers(text)).map_err(|_| first.to_string())?
        }
    };
    let Json::Object(entries) = value else {
        return Err(
            "it must be an object like {\"name\": {\"value\": 1.5, \"unit\": \"ns\"}}".to_string(),
        );
    };
    let mut metrics = Metrics::new();
    for (name, entry) in entries {
        let metric = match entry {
            Json::Object(mut fields) => {
                let value = fields.remove("value").unwrap_or(Json::Null);
                let unit = fields
                    .remove("unit")
                    .and_then(|unit| unit.as_str().map(str::to_string));
                Metric { value, unit }
            }
            value => Metric { value, unit: None },
        };
        metrics.insert(name, metric);
    }
    Ok(metrics)
}

/// Puts quotes around words that are no JSON values, outside strings.
fn quote_non_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let closes = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            let length = end.map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        } else if c.is_alphanumeric() || matches!(c, '-' | '+' | '.') {
            let length = rest
                .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '+' | '.')))
                .unwrap_or(rest.len());
            let word = &rest[..length];
            if serde_json::from_str::<Json>(word).is_ok() {
                out.push_str(word);
            } else {
                out.push_str(&Json::from(word).to_string());
            }
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// A gate that does not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedGate {
    pub metric: String,
    /// What was measured; null if nothing was.
    pub value: Json,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    #[serde(rename = "continue")]
    pub continues: bool,
}

impl FailedGate {
    /// The gate in words, made from the comparison itself.
    pub fn tell(&self) -> String {
        let unit = self
            .unit
            .as_ref()
            .map(|unit| format!(" {unit}"))
            .unwrap_or_default();
        let mut limits = Vec::new();
        if let Some(min) = self.min {
            limits.push(format!("≥ {min}{unit}"));
        }
        if let Some(max) = self.max {
            limits.push(format!("≤ {max}{unit}"));
        }
        let limits = limits.join(" and ");
        match &self.value {
            Json::Null => format!("metric '{}' is missing; it must be {limits}", self.metric),
            Json::Number(value) => format!(
                "metric '{}' is {value}{unit}; it must be {limits}",
                self.metric
            ),
            value => format!(
                "metric '{}' is {value}, which is no finite number; it must be {limits}",
                self.metric
            ),
        }
    }
}

/// Judges all gates of a stage; a metric that is missing or no finite number fails its gate.
pub fn judge(gates: &[Gate], metrics: &Metrics) -> Vec<FailedGate> {
    gates
        .iter()
        .filter(|gate| {
            let value = metrics
                .get(&gate.metric)
                .and_then(|metric| metric.value.as_f64())
                .filter(|v| v.is_finite());
            let Some(value) = value else { return true };
            gate.min.is_some_and(|min| value < min) || gate.max.is_some_and(|max| value > max)
        })
        .map(|gate| {
            let metric = metrics.get(&gate.metric);
            FailedGate {
                metric: gate.metric.clone(),
                value: metric.map_or(Json::Null, |metric| metric.value.clone()),
                unit: metric.and_then(|metric| metric.unit.clone()),
                min: gate.min,
                max: gate.max,
                continues: gate.continue_on_fail,
            }
        })
        .collect()
}
