//! Events as JSON lines on standard output.

use std::io::Write;

use super::{Event, Sink};

pub struct JsonLines;

impl Sink for JsonLines {
    fn event(&mut self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            let mut out = std::io::stdout().lock();
            // A reader that went away does not stop the run.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }

    fn cached(&mut self, lines: &[u8], _count: usize) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(lines).and_then(|()| out.flush());
    }
}
