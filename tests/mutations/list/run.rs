//! What a run does: gates, failures, exit codes, order.

use super::Mutation;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "gates-judged-only-after-a-run",
        guarantee: "gates are judged at every run, cached or not",
        changes: &[
            ("src/exec/schedule/ends.rs", "        let failed = judge(&stage.gates, &action.metrics);\n        let mut passes = true;", "        let failed = match outcome {\n            Outcome::Cached => Vec::new(),\n            _ => judge(&stage.gates, &action.metrics),\n        };\n        let mut passes = true;"),
        ],
        tests: &["results::gates_are_judged_at_every_run"],
    },
    Mutation {
        name: "missing-metrics-pass",
        guarantee: "a metric that is missing or no finite number fails its gate",
        changes: &[("src/gate/mod.rs", "let Some(value) = value else { return true };", "let Some(value) = value else { return false };")],
        tests: &["results::gates_are_judged_at_every_run"],
    },
    Mutation {
        name: "failed-gate-holds-nothing-back",
        guarantee: "a failed gate holds back what depends on the stage",
        changes: &[
            ("src/exec/schedule/ends.rs", "            passes &= gate.continues;", "            passes |= gate.continues;"),
        ],
        tests: &["results::gates_are_judged_at_every_run"],
    },
    Mutation {
        name: "on-fail-continue-ignored",
        guarantee: "`on-fail: continue` holds nothing back",
        changes: &[
            ("src/exec/schedule/ends.rs", "            passes &= gate.continues;", "            passes &= gate.continues && gate.metric.is_empty();"),
        ],
        tests: &["results::gates_are_judged_at_every_run"],
    },
    Mutation {
        name: "failed-gate-exits-0",
        guarantee: "a failed gate ends in exit code 3",
        changes: &[
            ("src/exec/schedule/mod.rs", "            None if self.gates_failed > 0 => 3,", "            None if self.gates_failed > 1_000 => 3,"),
        ],
        tests: &["results::gates_are_judged_at_every_run", "contract::of_several_exit_codes_the_first_that_applies"],
    },
    Mutation {
        name: "failed-stage-exits-0",
        guarantee: "a failed stage ends in exit code 1",
        changes: &[
            ("src/exec/schedule/mod.rs", "            None if self.stage_failed => 1,", "            None if self.stage_failed => 0,"),
        ],
        tests: &["results::failures_are_told_and_never_kept", "contract::of_several_exit_codes_the_first_that_applies"],
    },
    Mutation {
        name: "failure-before-missing-program",
        guarantee: "of several exit codes 4 comes before 1",
        changes: &[
            ("src/exec/schedule/mod.rs", "            None if self.tool_missing => 4,\n            None if self.stage_failed => 1,", "            None if self.stage_failed => 1,\n            None if self.tool_missing => 4,"),
        ],
        tests: &["contract::of_several_exit_codes_the_first_that_applies"],
    },
    Mutation {
        name: "gate-before-failure",
        guarantee: "of several exit codes 1 comes before 3",
        changes: &[
            ("src/exec/schedule/mod.rs", "            None if self.tool_missing => 4,", "            None if self.gates_failed > 0 => 3,\n            None if self.tool_missing => 4,"),
        ],
        tests: &["contract::of_several_exit_codes_the_first_that_applies"],
    },
    Mutation {
        name: "no-room-exits-1",
        guarantee: "a cache that cannot be used ends in exit code 5",
        changes: &[
            ("src/cli/error.rs", "            CliError::Locked(_) | CliError::Store(_) | CliError::Run(_) => 5,", "            CliError::Locked(_) => 5,\n            CliError::Store(_) | CliError::Run(_) => 1,"),
        ],
        tests: &["disk::a_full_disk_leaves_nothing_wrong", "disk::a_read_only_cache_is_said_and_still_read"],
    },
    Mutation {
        name: "stops-although-told-to-go-on",
        guarantee: "`-k` goes on with what does not depend on a failure",
        changes: &[
            ("src/exec/schedule/ends.rs", "        if !self.options.keep_going {", "        if !self.options.keep_going || self.report.failed > 0 {"),
        ],
        tests: &["contract::without_k_nothing_starts_after_a_failure"],
    },
    Mutation {
        name: "goes-on-although-not-told-to",
        guarantee: "without `-k` nothing starts after a failure",
        changes: &[
            ("src/exec/schedule/ends.rs", "        if !self.options.keep_going {", "        if !self.options.keep_going && self.report.failed > 1_000 {"),
        ],
        tests: &["contract::without_k_nothing_starts_after_a_failure"],
    },
    Mutation {
        name: "force-forgotten",
        guarantee: "`--force` runs what is up to date",
        changes: &[
            ("src/exec/schedule/settle.rs", "let again = invalidated || self.options.forced.contains(&id) || self.remade.contains(&id);", "let again = invalidated || self.remade.contains(&id);"),
        ],
        tests: &["results::forced_and_invalidated_stages_run_again"],
    },
    Mutation {
        name: "invalidation-forgotten",
        guarantee: "an invalidated stage runs",
        changes: &[("src/exec/schedule/settle.rs", "let again = invalidated || ", "let again = ")],
        tests: &["results::forced_and_invalidated_stages_run_again"],
    },
    Mutation {
        name: "one-key-runs-twice",
        guarantee: "two stages with one key run once",
        changes: &[("src/exec/schedule/settle.rs", "if let Some(sharing) = self.sharing.get_mut(&resolved.key) {", "if let Some(sharing) = self.sharing.get_mut(&resolved.key).filter(|_| false) {")],
        tests: &["results::two_stages_with_one_key_run_once"],
    },
    Mutation {
        name: "second-result-not-compared",
        guarantee: "`--twice` compares the bytes",
        changes: &[
            ("src/exec/attempt.rs", "            if content.digest != record.digest {", "            if content.bytes != record.bytes {"),
        ],
        tests: &["results::twice_finds_what_is_not_reproducible"],
    },
    Mutation {
        name: "difference-of-twice-exits-0",
        guarantee: "`--twice` with a difference ends in exit code 1",
        changes: &[
            ("src/exec/schedule/twice.rs", "                    for (output, place) in differences {\n                        self.report.stage_failed = true;", "                    for (output, place) in differences {"),
        ],
        tests: &["results::twice_finds_what_is_not_reproducible"],
    },
    Mutation {
        name: "processors-not-counted",
        guarantee: "`-j` and `cpu` bound what runs side by side",
        changes: &[
            ("src/exec/resources.rs", "        self.cpu_used.saturating_add(want.cpu.unwrap_or(1)) <= self.cpu && memory && licenses", "        memory && licenses"),
        ],
        tests: &["programs::tokens_decide_what_runs_side_by_side", "exec::resources::tests::a_stage_that_asks_for_too_much_runs_alone"],
    },
    Mutation {
        name: "licences-not-counted",
        guarantee: "`limits` bound what runs side by side",
        changes: &[
            ("src/exec/resources.rs", "<= self.cpu && memory && licenses", "<= self.cpu && memory"),
        ],
        tests: &["programs::tokens_decide_what_runs_side_by_side", "exec::resources::tests::memory_and_licences_have_limits_of_their_own"],
    },
    Mutation {
        name: "memory-not-counted",
        guarantee: "memory bounds what runs side by side",
        changes: &[
            ("src/exec/resources.rs", "<= self.cpu && memory && licenses", "<= self.cpu && licenses"),
        ],
        tests: &["programs::tokens_decide_what_runs_side_by_side", "exec::resources::tests::memory_and_licences_have_limits_of_their_own"],
    },
    Mutation {
        name: "times-of-past-runs-not-used",
        guarantee: "the longest way to the end goes first",
        changes: &[
            ("src/exec/schedule/priority.rs", "        let own = past.get(id).map_or(average, |past| past.seconds);", "        let own = average;"),
        ],
        tests: &["explain::what_took_long_goes_first_next_time"],
    },
    Mutation {
        name: "checkpoint-thrown-away",
        guarantee: "an interrupted try is gone on with",
        changes: &[
            ("src/exec/work.rs", "    if stage.checkpoint {\n        let folder = checkpoint_folder(&project.store, &resolved.key.0);", "    if stage.checkpoint {\n        let folder = checkpoint_folder(&project.store, &resolved.key.0);\n        let _ = remove_all(&folder);"),
        ],
        tests: &["programs::a_checkpoint_is_found_by_the_next_try"],
    },
    Mutation {
        name: "checkpoint-kept-after-the-result",
        guarantee: "a good result makes its checkpoint needless",
        changes: &[
            ("src/exec/schedule/mod.rs", "            if self.project.flow.stage(id).checkpoint {", "            if self.project.flow.stage(id).checkpoint && self.options.jobs > 1_000 {"),
        ],
        tests: &["programs::a_checkpoint_is_found_by_the_next_try"],
    },
    Mutation {
        name: "kind-of-failure-forgotten",
        guarantee: "`result.json` names the kind of failure",
        changes: &[
            ("src/exec/attempt.rs", "    let told = work::told_failure(work).filter(|_| !counts || !enforced);", "    let told = work::told_failure(work).filter(|_| false);"),
        ],
        tests: &["programs::a_plugin_in_python"],
    },
];
