//! Content, never time; what goes into a result.

use super::Mutation;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "time-stamps-trusted",
        guarantee: "content decides, not times: the stat cache asks for more than size and modification time",
        changes: &[
            ("src/store/stat.rs", "            inode: found.ino(),", "            inode: 0,"),
            ("src/store/stat.rs", "            ctime_ns: nanoseconds(found.ctime(), found.ctime_nsec()),", "            ctime_ns: 0,"),
            ("src/store/stat.rs", "            inode: found.st_ino as u64,", "            inode: 0,"),
            ("src/store/stat.rs", "            ctime_ns: nanoseconds(found.st_ctime as i64, found.st_ctime_nsec as i64),", "            ctime_ns: 0,"),
        ],
        tests: &["content::a_change_that_keeps_size_and_time_is_seen"],
    },
    Mutation {
        name: "racy-looks-trusted",
        guarantee: "a look right after a change is not trusted",
        changes: &[("src/store/stat.rs", "newest.saturating_add(grain) < self.look_ns", "newest.saturating_add(grain) > 0")],
        tests: &["content::a_look_right_after_a_change_is_not_trusted"],
    },
    Mutation {
        name: "zeros-of-a-cut-file-hashed",
        guarantee: "a file that is cut short while it is hashed is an error",
        changes: &[("src/store/mapped.rs", "(whole && !cut).then_some(found)", "(whole || cut || length > 0).then_some(found)")],
        tests: &["store::mapped::tests::what_is_cut_meanwhile_is_nothing", "store::mapped::tests::zeros_in_place_of_what_was_cut_are_nothing"],
    },
    Mutation {
        name: "cut-files-end-the-process",
        guarantee: "a file that is cut short while it is hashed does not end the process",
        changes: &[("src/store/mapped.rs", "if code > 0 && zeros_instead(address) {", "if code == 0 && zeros_instead(address) {")],
        tests: &["store::mapped::tests::what_is_cut_meanwhile_is_nothing"],
    },
    Mutation {
        name: "executable-bit-ignored",
        guarantee: "the executable bit is content",
        changes: &[("src/store/stat.rs", "        if self.executable {\n            Kind::Executable", "        if self.executable && self.size > u64::MAX / 2 {\n            Kind::Executable")],
        tests: &["results::the_executable_bit_is_content"],
    },
    Mutation {
        name: "early-cutoff-dropped",
        guarantee: "the same bytes stop the ripple",
        changes: &[("src/exec/plan.rs", "                digest: record.digest.to_string(),", "                digest: action.key.to_string(),")],
        tests: &["results::same_bytes_stop_the_ripple"],
    },
    Mutation {
        name: "only-the-last-result-known",
        guarantee: "content that returns is cached",
        changes: &[
            ("src/exec/plan.rs", "    let store = &project.store;\n    if let Some(action) = store.action_of(&resolved.preimage, &resolved.key) {", "    let store = &project.store;\n    let history = state.history(&project.flow.stage(id).name);\n    let last = history.and_then(|history| history.last()).map(|good| good.key.clone());\n    if let Some(action) = store.action_of(&resolved.preimage, &resolved.key).filter(|_| last.is_none_or(|last| last == resolved.key)) {"),
        ],
        tests: &["results::content_that_returns_is_cached"],
    },
    Mutation {
        name: "failed-results-kept",
        guarantee: "failures are never kept as results",
        changes: &[("src/exec/attempt.rs", "if refused || !ended.good() {", "if refused || (!ended.good() && ended.code.is_none()) {")],
        tests: &["results::failures_are_told_and_never_kept", "programs::a_plugin_in_python"],
    },
    Mutation {
        name: "changed-inputs-not-looked-for",
        guarantee: "an input that changed while the stage ran fails it",
        changes: &[("src/exec/work.rs", "    check_sources(project, id, resolved, work)?;\n", "    let _ = check_sources;\n")],
        tests: &["results::an_input_that_changes_meanwhile_fails_the_stage", "content::what_changes_in_a_folder_meanwhile_is_named"],
    },
    Mutation {
        name: "patterns-not-matched-again",
        guarantee: "a file that a pattern newly matches fails the stage",
        changes: &[
            ("src/exec/work.rs", "            if *before == now {", "            if *before == now || before.len() < 1000 {"),
        ],
        tests: &["content::a_file_that_a_pattern_newly_matches_meanwhile_is_named"],
    },
    Mutation {
        name: "wrapper-not-looked-at-again",
        guarantee: "a wrapper that changed makes no result",
        changes: &[
            ("src/exec/work.rs", "        if wrapper.read.digests.get(file) != Some(&copied.digest.to_string()) {", "        if !wrapper.read.digests.contains_key(file) {"),
        ],
        tests: &["content::a_copied_file_of_a_wrapper_that_changes_makes_no_result"],
    },
    Mutation {
        name: "kind-of-output-not-looked-at",
        guarantee: "an output is of the kind that is declared",
        changes: &[("src/exec/work.rs", "if output.directory != found.is_dir() {", "if output.directory && !found.is_dir() {")],
        tests: &["results::outputs_must_be_there_and_of_their_kind"],
    },
    Mutation {
        name: "expected-digest-not-demanded",
        guarantee: "other bytes than expected are a failure",
        changes: &[("src/exec/work.rs", "if content.digest.to_string() != *expected {", "if content.digest.to_string() != *expected && content.bytes > 1 << 40 {")],
        tests: &["results::expected_content_is_demanded_and_never_fetched_again"],
    },
    Mutation {
        name: "expected-content-fetched-again",
        guarantee: "what was fetched once is never fetched again",
        changes: &[
            ("src/exec/plan.rs", "    if stage.outputs.is_empty() || stage.outputs.values().any(|output| output.digest.is_none()) {", "    if stage.outputs.len() < 1000 {"),
        ],
        tests: &["results::expected_content_is_demanded_and_never_fetched_again"],
    },
    Mutation {
        name: "links-out-of-outputs-kept",
        guarantee: "a link in an output leads inside it",
        changes: &[("src/store/tree.rs", "if stays_inside(below, &target) && leads_inside(root, &path) {", "if stays_inside(below, &target) || leads_inside(Path::new(\"/\"), &path) {")],
        tests: &["content::a_link_must_lead_inside_whatever_is_on_the_way", "results::outputs_must_be_there_and_of_their_kind"],
    },
    Mutation {
        name: "links-of-outputs-out-of-the-work-directory",
        guarantee: "an output is no link out of the work directory",
        changes: &[
            ("src/exec/work.rs", "            .filter(|real| work.canonicalize().is_ok_and(|work| real.starts_with(work))),", "            .filter(|real| !real.as_os_str().is_empty()),"),
        ],
        tests: &["results::outputs_must_be_there_and_of_their_kind"],
    },
    Mutation {
        name: "work-directory-not-emptied",
        guarantee: "what is not declared is not kept",
        changes: &[
            ("src/exec/attempt.rs", "    work::clear(&work);\n    Done {", "    Done {"),
        ],
        tests: &["content::what_is_not_declared_is_not_kept"],
    },
];
