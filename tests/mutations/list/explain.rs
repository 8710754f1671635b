//! What is told.

use super::Mutation;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "missing-programs-not-foretold",
        guarantee: "status and dry run foretell a missing program",
        changes: &[(
            "src/exec/plan.rs",
            "None => match missing_program(project, stage, &resolved) {",
            "None => match missing_program(project, stage, &resolved).filter(|_| false) {",
        )],
        tests: &["contract::a_missing_program_is_foretold"],
    },
    Mutation {
        name: "held-back-not-foretold",
        guarantee: "a dry run tells what a gate holds back",
        changes: &[(
            "src/cli/run.rs",
            "_ if held.contains(id) => \"skipped\",",
            "_ if held.contains(id) && order.is_empty() => \"skipped\",",
        )],
        tests: &[
            "contract::a_dry_run_tells_what_a_gate_holds_back",
            "property::incremental_is_clean_and_as_predicted",
        ],
    },
    Mutation {
        name: "journal-kept-in-memory",
        guarantee: "what goes on is seen from another terminal",
        changes: &[(
            "src/events/journal.rs",
            "                _ => self.file.flush(),",
            "                _ => Ok(()),",
        )],
        tests: &[
            "signals::signals_leave_no_child",
            "explain::a_run_is_seen_from_another_terminal",
        ],
    },
    Mutation {
        name: "cached-stages-not-in-the-journal",
        guarantee: "the journal tells of every stage",
        changes: &[(
            "src/events/journal.rs",
            "        if let Err(error) = self.file.write_all(lines) {",
            "        if let Err(error) = self.file.write_all(&lines[..0]) {",
        )],
        tests: &["content::garbage_is_what_no_kept_run_reaches"],
    },
    Mutation {
        name: "dead-run-still-running",
        guarantee: "`running` ends with its process",
        changes: &[("src/store/lock.rs", ".ok()??;", ".ok()?.unwrap_or(wanted);")],
        tests: &["signals::signals_leave_no_child"],
    },
    Mutation {
        name: "unchanged-parts-of-the-file-trusted",
        guarantee: "a look at the last run sees every change",
        changes: &[(
            "src/exec/snapshot/look.rs",
            "            if !flags.trusted || now != Some(identity) {",
            "            if !flags.trusted || now.map(|now| now.size) != Some(identity.size) {",
        )],
        tests: &["glance::each_change_is_seen"],
    },
    Mutation {
        name: "variables-not-looked-at",
        guarantee: "a look at the last run sees variables",
        changes: &[(
            "src/exec/snapshot/look.rs",
            "        && head.env.iter().all(|(name, value)| {",
            "        && head.env.iter().take(0).all(|(name, value)| {",
        )],
        tests: &["glance::each_change_is_seen"],
    },
    Mutation {
        name: "folders-not-looked-into",
        guarantee: "a look at the last run sees what is new in a folder",
        changes: &[(
            "src/exec/snapshot/look.rs",
            "        if hidden || content.is_none_or(|content| content.digest != folder.digest) {",
            "        if hidden || content.is_none() {",
        )],
        tests: &["glance::each_change_is_seen"],
    },
];
