//! `sandbox:` of the flow and of its stages.

use std::sync::Arc;

use super::super::yaml::Node;
use super::super::{Sandbox, SandboxMode};
use super::{Checker, Fault};

const MODES: [(&str, SandboxMode); 3] = [
    ("enforce", SandboxMode::Enforce),
    ("report", SandboxMode::Report),
    ("off", SandboxMode::Off),
];

impl Checker<'_> {
    /// A mode, or a mapping of `mode` and `read`.
    pub(super) fn sandbox(&mut self, node: &Arc<Node>) -> Sandbox {
        if node.as_mapping().is_none() {
            return Sandbox {
                mode: self.sandbox_mode(node),
                read: Vec::new(),
            };
        }
        let fields = self.fields(node, "'sandbox'", &["mode", "read"]);
        let mode = fields
            .get("mode")
            .and_then(|(_, node)| self.sandbox_mode(node));
        let mut read = Vec::new();
        if let Some((_, node)) = fields.get("read") {
            for (text, span) in self.texts(node, "'read'") {
                let variable = text
                    .strip_prefix('$')
                    .map(|rest| rest.split('/').next().unwrap_or(rest));
                let known = |name: &str| {
                    let flow = &self.flow;
                    flow.env
                        .iter()
                        .chain(&flow.env_volatile)
                        .any(|known| known == name)
                };
                if variable.is_some_and(|name| !known(name)) {
                    self.fault(
                        Fault::new(
                            span,
                            format!("'{text}' begins with a variable that stages do not get"),
                        )
                        .hint("name it in 'env' or 'env-volatile' too"),
                    );
                } else if text.is_empty() || text.contains('\0') {
                    self.fault(Fault::new(span, format!("'{text}' is no path")));
                } else {
                    read.push(text);
                }
            }
        }
        Sandbox { mode, read }
    }

    fn sandbox_mode(&mut self, node: &Node) -> Option<SandboxMode> {
        let text = node.as_text().unwrap_or(node.describe()).to_string();
        let found = MODES.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            self.fault(
                Fault::new(
                    node.span,
                    format!("'sandbox' must be 'enforce', 'report' or 'off', not '{text}'"),
                )
                .suggest(&text, MODES.map(|(word, _)| word)),
            );
        }
        found.map(|(_, mode)| *mode)
    }
}
