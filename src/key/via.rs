//! The way from a reason's root to a stage: outputs, each made from the one before.
//!
//! Stages downstream share the way up to them, so that in a chain of stages all ways together take room for the chain once.

use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Outputs from the root to the nearest one upstream.
#[derive(Clone, Default)]
pub struct Via {
    last: Option<Arc<Step>>,
}

struct Step {
    output: String,
    first: Option<Arc<Step>>,
    before: Option<Arc<Step>>,
    length: usize,
}

/// Of a longer way people are shown the beginning and the end.
const SHOWN: usize = 8;

impl Via {
    /// Goes one output further.
    pub fn push(&mut self, output: String) {
        let before = self.last.take();
        let first = before
            .as_ref()
            .map(|step| step.first.clone().unwrap_or_else(|| step.clone()));
        let length = before.as_ref().map_or(1, |step| step.length + 1);
        self.last = Some(Arc::new(Step {
            output,
            first,
            before,
            length,
        }));
    }

    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    pub fn len(&self) -> usize {
        self.last.as_ref().map_or(0, |step| step.length)
    }

    pub fn first(&self) -> Option<&str> {
        let last = self.last.as_ref()?;
        Some(&last.first.as_ref().unwrap_or(last).output)
    }

    /// From the nearest one to the root.
    fn back(&self) -> impl Iterator<Item = &str> {
        let steps = std::iter::successors(self.last.as_deref(), |step| step.before.as_deref());
        steps.map(|step| step.output.as_str())
    }

    /// From the root on.
    pub fn outputs(&self) -> Vec<&str> {
        let mut outputs: Vec<&str> = self.back().collect();
        outputs.reverse();
        outputs
    }

    /// `a.o → b.o`; the middle of a long way is left out.
    pub fn tell(&self) -> String {
        if self.len() <= SHOWN {
            return self.outputs().join(" → ");
        }
        let mut end: Vec<&str> = self.back().take(SHOWN - 2).collect();
        end.reverse();
        format!(
            "{} → … {} more … → {}",
            self.first().unwrap_or_default(),
            self.len() - end.len() - 1,
            end.join(" → ")
        )
    }
}

impl From<String> for Via {
    fn from(output: String) -> Via {
        let mut via = Via::default();
        via.push(output);
        via
    }
}

impl PartialEq for Via {
    fn eq(&self, other: &Via) -> bool {
        self.len() == other.len() && self.back().eq(other.back())
    }
}

impl std::fmt::Debug for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.outputs()).finish()
    }
}

impl Serialize for Via {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.outputs())
    }
}

/// A way may be as long as a flow is deep: step after step, no deep stack.
impl Drop for Step {
    fn drop(&mut self) {
        let mut next = self.before.take();
        self.first = None;
        while let Some(step) = next.and_then(Arc::into_inner) {
            let mut step = step;
            next = step.before.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(names: &[&str]) -> Via {
        let mut via = Via::default();
        for name in names {
            via.push((*name).to_string());
        }
        via
    }

    #[test]
    fn a_way_is_shared_and_goes_on() {
        let one = way(&["a.o", "b.o"]);
        let mut other = one.clone();
        other.push("c.o".to_string());
        assert_eq!(one.outputs(), ["a.o", "b.o"]);
        assert_eq!(other.outputs(), ["a.o", "b.o", "c.o"]);
        assert_eq!((one.first(), other.first()), (Some("a.o"), Some("a.o")));
        assert_ne!(one, other);
        assert_eq!(other, way(&["a.o", "b.o", "c.o"]));
        let text = serde_json::to_string(&other).expect("JSON");
        assert_eq!(text, r#"["a.o","b.o","c.o"]"#);
        assert_eq!(other.tell(), "a.o → b.o → c.o");
        assert_eq!((Via::default().first(), Via::default().len()), (None, 0));
    }

    #[test]
    fn a_long_way_needs_no_deep_stack_and_little_room_on_a_line() {
        let mut ways = vec![Via::default()];
        for number in 0..200_000 {
            let mut next = ways[number].clone();
            next.push(format!("s{number}.o"));
            ways.push(next);
        }
        let last = ways.pop().expect("a way");
        drop(ways);
        assert_eq!(last.len(), 200_000);
        let told = last.tell();
        assert!(
            told.starts_with("s0.o → … 199993 more … → s199994.o"),
            "{told}"
        );
        assert!(told.ends_with("→ s199999.o"));
    }
}
