//! The faults: what each breaks, the change that does it, and the tests that must fail.

/// One fault.
pub struct Mutation {
    /// What is done, in a few words without blanks.
    pub name: &'static str,
    pub guarantee: &'static str,
    /// File, the text in it, which stands there once, and what replaces it.
    pub changes: &'static [(&'static str, &'static str, &'static str)],
    /// Of `tests/program`, or of the library if `::tests::` is in the name.
    pub tests: &'static [&'static str],
}

const KEY: &str = "src/key/mod.rs";
const HASHED: &str = "blake3::hash(self.canonical().as_bytes())";

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "inputs-out-of-the-key",
        guarantee: "every input is in the key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { inputs: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())")],
        tests: &["results::a_change_of_the_same_size_within_a_tick_is_seen", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "parameters-out-of-the-key",
        guarantee: "every parameter is in the key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { params: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())")],
        tests: &["programs::a_plugin_in_python", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "environment-out-of-the-key",
        guarantee: "variables let in are in the key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { env: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())")],
        tests: &["results::stages_see_only_what_they_are_given", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "outputs-out-of-the-key",
        guarantee: "declared outputs are in the key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { outputs: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())")],
        tests: &["content::artifacts_of_outputs_that_moved_go", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "format-out-of-the-key",
        guarantee: "another format is another key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { format: 0, ..self.clone() }.canonical().as_bytes())")],
        tests: &["key::tests::another_format_is_another_key"],
    },
    Mutation {
        name: "shape-changed-format-not-raised",
        guarantee: "a change of the pre-image raises the format",
        changes: &[(KEY, "    pub many: bool,", "    #[serde(rename = \"list\")]\n    pub many: bool,")],
        tests: &["key::tests::a_changed_pre_image_is_a_new_format"],
    },
    Mutation {
        name: "results-of-other-formats-taken",
        guarantee: "a result of another format is never taken",
        changes: &[("src/store/actions.rs", " && action.preimage.format == FORMAT", " && FORMAT > 0")],
        tests: &["keys::a_result_of_another_format_is_never_taken"],
    },
    Mutation {
        name: "wrapper-templates-forgotten",
        guarantee: "flow parameters that a wrapper uses are in the key",
        changes: &[("src/exec/plan.rs", "                Ok(Some(names)) => pick(names),", "                Ok(Some(_)) => pick(BTreeSet::new()),")],
        tests: &["contract::a_flow_parameter_in_a_wrapper_counts"],
    },
    Mutation {
        name: "absolute-paths-in-the-key",
        guarantee: "no absolute path is in the key",
        changes: &[("src/exec/plan.rs", "if many && path.is_relative() {", "if many {")],
        tests: &["keys::an_absolute_path_is_no_part_of_a_key"],
    },
    Mutation {
        name: "names-of-stages-decide-order",
        guarantee: "the place of a stage in the file is not in the key",
        changes: &[("src/exec/plan.rs", "(inner, &staged.digest, staged.kind).cmp(&(other_inner, &other.digest, other.kind))", "(inner, format!(\"{:?}\", staged.from)).cmp(&(other_inner, format!(\"{:?}\", other.from)))")],
        tests: &["keys::the_order_of_stages_and_lists_changes_no_key"],
    },
    Mutation {
        name: "umask-of-the-user",
        guarantee: "the user's umask changes nothing",
        changes: &[(SUPERVISE, "    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));", "")],
        tests: &["keys::another_umask_changes_nothing"],
    },
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
        name: "links-out-of-outputs-kept",
        guarantee: "a link in an output leads inside it",
        changes: &[("src/store/tree.rs", "if stays_inside(below, &target) && leads_inside(root, &path) {", "if stays_inside(below, &target) || leads_inside(Path::new(\"/\"), &path) {")],
        tests: &["content::a_link_must_lead_inside_whatever_is_on_the_way", "results::outputs_must_be_there_and_of_their_kind"],
    },
    Mutation {
        name: "sync-left-out",
        guarantee: "a result is on the disk before it is known",
        changes: &[("src/store/sync.rs", "        if files.len() + folders.len() > FEW {", "        if files.len() + folders.len() < FEW * 1000 {\n        } else if files.len() + folders.len() > FEW {")],
        tests: &["durable::a_result_is_on_the_disk_before_it_is_known"],
    },
    Mutation {
        name: "known-before-it-is-stored",
        guarantee: "objects are synced before the action is written",
        changes: &[("src/store/sync.rs", "        self.sync(objects)?;\n        let mut written = Unsynced::default();\n        for action in actions {\n            self.write_action(&action, &mut written)?;\n        }", "        let mut written = Unsynced::default();\n        for action in actions {\n            self.write_action(&action, &mut written)?;\n        }\n        self.sync(objects)?;")],
        tests: &["durable::a_result_is_on_the_disk_before_it_is_known"],
    },
    Mutation {
        name: "digest-not-checked-on-restore",
        guarantee: "every byte that leaves the cache is checked",
        changes: &[("src/store/objects.rs", "        if actual != *digest {\n            let _ = std::fs::remove_file(to);", "        if actual != *digest && to.as_os_str().is_empty() {\n            let _ = std::fs::remove_file(to);")],
        tests: &["content::every_byte_is_checked_on_its_way_out"],
    },
    Mutation {
        name: "lost-objects-not-missed",
        guarantee: "a result whose object is gone or damaged is made again",
        changes: &[("src/exec/plan.rs", "if complete && action.outputs.values().all(|record| store.holds(record)) {", "if complete {")],
        tests: &["results::damage_is_made_again"],
    },
    Mutation {
        name: "damaged-actions-taken",
        guarantee: "an action carries a digest of itself",
        changes: &[("src/store/actions.rs", "    if blake3::hash(body.as_bytes()).to_hex().as_str() != check {", "    if check.is_empty() {")],
        tests: &["results::damaged_actions_are_made_again"],
    },
    Mutation {
        name: "artifacts-not-restored",
        guarantee: "artifacts that were edited or deleted are restored",
        changes: &[("src/store/objects.rs", "        if there {\n            return Ok(false);", "        if there || to.exists() {\n            return Ok(false);")],
        tests: &["results::artifacts_are_restored_and_never_harm_the_cache"],
    },
    Mutation {
        name: "old-artifacts-left",
        guarantee: "artifacts show what is declared",
        changes: &[("src/store/mod.rs", "        let _ = remove_all(path);\n        return;", "        return;")],
        tests: &["content::artifacts_of_outputs_that_moved_go"],
    },
    Mutation {
        name: "missing-metrics-pass",
        guarantee: "a metric that is missing or no finite number fails its gate",
        changes: &[("src/gate/mod.rs", "let Some(value) = value else { return true };", "let Some(value) = value else { return false };")],
        tests: &["results::gates_are_judged_at_every_run"],
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
        name: "missing-programs-not-foretold",
        guarantee: "status and dry run foretell a missing program",
        changes: &[("src/exec/plan.rs", "None => match missing_program(project, stage, &resolved) {", "None => match missing_program(project, stage, &resolved).filter(|_| false) {")],
        tests: &["contract::a_missing_program_is_foretold"],
    },
    Mutation {
        name: "held-back-not-foretold",
        guarantee: "a dry run tells what a gate holds back",
        changes: &[("src/cli/run.rs", "_ if held.contains(id) => \"skipped\",", "_ if held.contains(id) && order.is_empty() => \"skipped\",")],
        tests: &["contract::a_dry_run_tells_what_a_gate_holds_back", "property::incremental_is_clean_and_as_predicted"],
    },
    Mutation {
        name: "values-not-quoted",
        guarantee: "values are quoted for where they stand",
        changes: &[("src/flow/quote.rs", "        Language::Shell => Ok(shell(text, place)),", "        Language::Shell if place == Place::Comment => Ok(shell(text, place)),\n        Language::Shell => Ok(text.to_string()),")],
        tests: &["quoting::shell", "results::hostile_file_names_go_through"],
    },
    Mutation {
        name: "keeper-not-waited-for",
        guarantee: "no process of a run outlives it",
        changes: &[("src/exec/schedule/drive.rs", "        self.project.keeper.finish();\n", "")],
        tests: &["signals::keeper_and_guards_are_gone_when_nanoflow_is"],
    },
    Mutation {
        name: "guard-follows-links",
        guarantee: "a stage gets no further through its guard",
        changes: &[("src/exec/sandbox/scratch.rs", "OFlags::NOFOLLOW | OFlags::NONBLOCK", "OFlags::NONBLOCK")],
        tests: &["scratch::a_stage_gets_no_further_through_its_guard"],
    },
    Mutation {
        name: "scratch-left-to-the-kernel",
        guarantee: "scratch files in /tmp are the stage's own",
        changes: &[("src/exec/sandbox/scratch.rs", "            redirects,\n        })", "            redirects: redirects && folder.as_os_str().is_empty(),\n        })")],
        tests: &["scratch::the_c_librarys_tmpfile_works", "scratch::new_files_in_tmp_are_the_stages_own"],
    },
];

const SUPERVISE: &str = "src/exec/supervise/keeper.rs";
