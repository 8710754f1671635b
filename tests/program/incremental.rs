//! Random flows and random edits: what an incremental run leaves is what a clean build makes, and what `status` said before is
//! what ran.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::common::Flow;

/// A stage that joins some sources and some earlier stages' outputs.
#[derive(Debug, Clone)]
struct Stage {
    sources: Vec<usize>,
    stages: Vec<usize>,
    param: u8,
    /// Writes a constant whatever it reads, so that a change stops here.
    constant: bool,
}

#[derive(Debug, Clone)]
enum Edit {
    Source(usize, u8),
    Param(usize, u8),
    Constant(usize),
    Touch(usize),
    SpoilArtifact(usize),
}

const SOURCES: usize = 3;

fn stages() -> impl Strategy<Value = Vec<Stage>> {
    let stage = (
        prop::collection::vec(0..SOURCES, 0..3),
        prop::collection::vec(0..100usize, 0..3),
        0..3u8,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(sources, stages, param, constant)| Stage {
            sources,
            stages,
            param,
            constant,
        });
    prop::collection::vec(stage, 1..6)
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => (0..SOURCES, 0..3u8).prop_map(|(source, value)| Edit::Source(source, value)),
        2 => (0..100usize, 0..3u8).prop_map(|(stage, value)| Edit::Param(stage, value)),
        1 => (0..100usize).prop_map(Edit::Constant),
        1 => (0..SOURCES).prop_map(Edit::Touch),
        1 => (0..100usize).prop_map(Edit::SpoilArtifact),
    ];
    prop::collection::vec(edit, 1..4)
}

fn text(stages: &[Stage]) -> String {
    let mut text = String::from("version: 1\nstages:\n");
    for (number, stage) in stages.iter().enumerate() {
        let mut inputs: Vec<String> = stage
            .sources
            .iter()
            .enumerate()
            .map(|(n, source)| format!("s{n}: src/{source}"))
            .collect();
        let earlier = stage
            .stages
            .iter()
            .filter(|_| number > 0)
            .map(|other| other % number.max(1));
        inputs.extend(
            earlier
                .enumerate()
                .map(|(n, other)| format!("i{n}: n{other}.o")),
        );
        let names: Vec<String> = inputs
            .iter()
            .map(|input| format!("{{{{ inputs.{} }}}}", input.split(':').next().unwrap_or("")))
            .collect();
        let command = match stage.constant {
            true => "echo constant".to_string(),
            false => format!(
                "{{ echo {{{{ params.p }}}}; cat {} /dev/null; }}",
                names.join(" ")
            ),
        };
        text.push_str(&format!(
            "  n{number}: {{ run: \"{command} > {{{{ outputs.o }}}}\", params: {{ p: {} }}, inputs: {{ {} }}, outputs: {{ o: o }} }}\n",
            stage.param,
            inputs.join(", ")
        ));
    }
    text
}

fn artifacts(flow: &Flow, count: usize) -> BTreeMap<usize, String> {
    (0..count)
        .map(|number| (number, flow.read(&format!("artifacts/n{number}/o"))))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("NANOFLOW_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(4), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_clean(mut stages in stages(), rounds in prop::collection::vec(edits(), 1..4)) {
        let mut sources = [0u8; SOURCES];
        let flow = Flow::new(&text(&stages));
        for (number, value) in sources.iter().enumerate() {
            flow.write(&format!("src/{number}"), format!("source {value}\n"));
        }
        flow.expect(0, &["run"]);
        for edits in rounds {
            for edit in edits {
                match edit {
                    Edit::Source(source, value) => sources[source] = value,
                    Edit::Param(stage, value) => { let at = stage % stages.len(); stages[at].param = value; }
                    Edit::Constant(stage) => { let at = stage % stages.len(); stages[at].constant ^= true; }
                    Edit::Touch(source) => flow.write(&format!("src/{source}"), flow.read(&format!("src/{source}"))),
                    Edit::SpoilArtifact(stage) => flow.write(&format!("artifacts/n{}/o", stage % stages.len()), "spoilt"),
                }
            }
            for (number, value) in sources.iter().enumerate() {
                flow.write(&format!("src/{number}"), format!("source {value}\n"));
            }
            flow.write("flow.yaml", text(&stages));
            let before = flow.states();
            let outcomes = flow.outcomes(&[]);
            for (number, _) in stages.iter().enumerate() {
                let fresh = before.contains(&format!("n{number}=fresh"));
                let executed = outcomes.contains(&format!("n{number}=executed"));
                prop_assert!(!(fresh && executed), "n{number} was fresh and ran: {before:?} {outcomes:?}");
            }
            let clean = Flow::new(&text(&stages));
            for (number, value) in sources.iter().enumerate() {
                clean.write(&format!("src/{number}"), format!("source {value}\n"));
            }
            clean.expect(0, &["run"]);
            prop_assert_eq!(artifacts(&flow, stages.len()), artifacts(&clean, stages.len()));
            let again = flow.outcomes(&[]);
            prop_assert!(again.iter().all(|outcome| outcome.ends_with("=cached")), "{:?}", again);
        }
    }
}
