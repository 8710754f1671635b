//! Reasons in words.

use serde_json::Value as Json;

use crate::key::{Reason, ReasonKind};

use super::StageState;

/// A measured value for people: at most six digits that count, and none that are only zeros behind the point.
pub fn measured(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_string(),
        Json::String(text) => text.clone(),
        Json::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |value| {
                let decimals = 5.0 - value.abs().max(1e-9).log10().floor();
                let text = format!("{value:.*}", decimals.clamp(0.0, 12.0) as usize);
                match text.contains('.') {
                    true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
                    false => text,
                }
            })
        }
        other => other.to_string(),
    }
}

/// A value as it fits into a sentence.
fn short(value: &Json) -> String {
    match value {
        Json::Null => "nothing".to_string(),
        Json::String(text) if text.starts_with("b3:") => text.chars().take(15).collect(),
        Json::String(text) if text.chars().count() > 100 => {
            format!("{}…", text.chars().take(100).collect::<String>())
        }
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One plain sentence about a stage: what would happen to it and, first of all, why.
pub fn headline(stage: &str, state: StageState, reasons: &[Reason]) -> String {
    let Some(first) = reasons.first() else {
        return format!("{stage} is fresh: its result for today's content is known");
    };
    let more = match reasons.len() - 1 {
        0 => String::new(),
        1 => ", and for one more reason".to_string(),
        more => format!(", and for {more} more reasons"),
    };
    let cause = cause(stage, first);
    match state {
        StageState::Running => format!("{stage} is running because {cause}{more}"),
        StageState::ToolMissing => format!("{stage} cannot run: {cause}{more}"),
        StageState::Blocked => {
            format!("{stage} is held back by a stage before it; it would run because {cause}{more}")
        }
        _ => format!("{stage} would run because {cause}{more}"),
    }
}

/// What happened, as people say it. `stage` is the one that is asked about.
pub fn cause(stage: &str, reason: &Reason) -> String {
    let owner = reason
        .via
        .first()
        .and_then(|via| via.split_once('.'))
        .map_or(stage, |(owner, _)| owner);
    let subject = &reason.subject;
    let from_to = || format!("from {} to {}", short(&reason.old), short(&reason.new));
    match reason.kind {
        ReasonKind::NeverRan if !reason.new.is_null() => {
            format!("{subject} must be made again: {}", short(&reason.new))
        }
        ReasonKind::NeverRan if subject == stage => "it never ran".to_string(),
        ReasonKind::NeverRan => format!("{subject} never ran"),
        ReasonKind::InputChanged | ReasonKind::InputAdded | ReasonKind::InputRemoved => {
            let what = match (&reason.path, reason.via.first()) {
                (Some(path), _) => format!("the file {path}"),
                (None, Some(via)) => via.to_string(),
                (None, None) => subject.clone(),
            };
            match reason.kind {
                ReasonKind::InputAdded => format!("{what} is new"),
                ReasonKind::InputRemoved => format!("{what} is gone"),
                _ if reason.path.is_none() && reason.via.is_empty() => what,
                _ => format!("{what} changed"),
            }
        }
        ReasonKind::ParamChanged => {
            let whose = if subject.starts_with("flow.") {
                String::new()
            } else {
                format!(" of {owner}")
            };
            format!("the parameter {subject}{whose} went {}", from_to())
        }
        ReasonKind::CommandChanged => format!("the command of {owner} changed"),
        ReasonKind::PluginChanged => match &reason.path {
            Some(path) => format!("the file {path} changed"),
            None => format!("the plugin {subject} changed"),
        },
        ReasonKind::ToolChanged if reason.new.is_null() => {
            format!("the tool {subject} is missing")
        }
        ReasonKind::ToolChanged => format!("the tool {subject} went {}", from_to()),
        ReasonKind::EnvChanged => format!("the variable {subject} went {}", from_to()),
        ReasonKind::OutputsChanged => {
            format!("what {owner} declares as its output {subject} changed")
        }
        ReasonKind::Invalidated if subject == stage => "it was invalidated".to_string(),
        ReasonKind::Invalidated => format!("{subject} was invalidated"),
        ReasonKind::FailedLastTime if subject == stage => {
            format!("it failed last time: {}", short(&reason.new))
        }
        ReasonKind::FailedLastTime => {
            format!("{subject} failed last time: {}", short(&reason.new))
        }
        ReasonKind::UpstreamWillRun => format!("{subject} will run before it"),
    }
}

/// A reason in full: its kind and subject, then old and new value and the way from the root, each on a line of its own.
pub fn details(reason: &Reason) -> String {
    let whole = |value: &Json| match value {
        Json::Null => "-".to_string(),
        Json::String(text) => text.replace('\n', "\n         "),
        other => other.to_string(),
    };
    let path = reason
        .path
        .as_ref()
        .map(|path| format!(" ({path})"))
        .unwrap_or_default();
    let mut text = format!("  {}: {}{path}\n", reason.kind.word(), reason.subject);
    if !reason.old.is_null() || !reason.new.is_null() {
        text.push_str(&format!(
            "    old  {}\n    new  {}\n",
            whole(&reason.old),
            whole(&reason.new)
        ));
    }
    if !reason.via.is_empty() {
        text.push_str(&format!("    via  {}\n", reason.via.outputs().join(" → ")));
    }
    text
}

/// A reason in one line, with where it came through.
pub fn tell(reason: &Reason) -> String {
    let change = format!("{} → {}", short(&reason.old), short(&reason.new));
    let path = reason
        .path
        .as_ref()
        .map(|path| format!(" ({path})"))
        .unwrap_or_default();
    let subject = &reason.subject;
    let text = match reason.kind {
        ReasonKind::NeverRan if !reason.new.is_null() => {
            format!("'{subject}' must be made again: {}", short(&reason.new))
        }
        ReasonKind::NeverRan => format!("'{subject}' never ran"),
        ReasonKind::InputChanged => format!("input '{subject}'{path} changed: {change}"),
        ReasonKind::InputAdded => format!("input '{subject}'{path} is new"),
        ReasonKind::InputRemoved => format!("input '{subject}'{path} is gone"),
        ReasonKind::ParamChanged => format!("parameter '{subject}' changed: {change}"),
        ReasonKind::CommandChanged => format!("the command changed: {change}"),
        ReasonKind::PluginChanged => format!("'{subject}'{path} changed: {change}"),
        ReasonKind::ToolChanged if reason.new.is_null() => {
            format!("the tool '{subject}' is missing")
        }
        ReasonKind::ToolChanged => format!("the tool '{subject}' changed: {change}"),
        ReasonKind::EnvChanged => format!("variable '{subject}' changed: {change}"),
        ReasonKind::OutputsChanged => format!("output '{subject}' changed: {change}"),
        ReasonKind::Invalidated => format!("'{subject}' was invalidated"),
        ReasonKind::FailedLastTime => {
            format!("'{subject}' failed last time: {}", short(&reason.new))
        }
        ReasonKind::UpstreamWillRun => format!("'{subject}' will run before it"),
    };
    if reason.via.is_empty() || reason.kind == ReasonKind::UpstreamWillRun {
        text
    } else {
        format!("{text}, via {}", reason.via.tell())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn measured_values_are_short() {
        let shown: Vec<String> = [
            json!(114.0),
            json!(331.840_000_000_000_03),
            json!(0.507_117_344_258_828_2),
            json!(-0.000_012_345_678),
            json!(123_456_789.5),
            json!(12),
            json!(0.0),
            json!("inf"),
            json!(null),
        ]
        .iter()
        .map(measured)
        .collect();
        assert_eq!(
            shown,
            [
                "114",
                "331.84",
                "0.507117",
                "-0.0000123457",
                "123456790",
                "12",
                "0",
                "inf",
                "nothing"
            ]
        );
    }
}
