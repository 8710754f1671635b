//! What decides whether a stage runs.

use super::Mutation;

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
        name: "flow-parameters-out-of-the-key",
        guarantee: "flow parameters that are used are in the key",
        changes: &[
            ("src/key/mod.rs", "blake3::hash(self.canonical().as_bytes())", "blake3::hash(Preimage { flow: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())"),
        ],
        tests: &["contract::a_flow_parameter_in_a_wrapper_counts", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "unused-flow-parameters-in-the-key",
        guarantee: "flow parameters that are not used are not in the key",
        changes: &[
            ("src/exec/plan.rs", "    pick(used)\n}", "    let _ = pick(used);\n    all.clone()\n}"),
        ],
        tests: &["keys::a_flow_parameter_that_nothing_uses_is_no_part_of_a_key"],
    },
    Mutation {
        name: "command-out-of-the-key",
        guarantee: "the command is in the key",
        changes: &[
            ("src/key/mod.rs", "blake3::hash(self.canonical().as_bytes())", "blake3::hash(Preimage { runs: Runs::Argv(Vec::new()), ..self.clone() }.canonical().as_bytes())"),
        ],
        tests: &["why::command", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "environment-out-of-the-key",
        guarantee: "variables let in are in the key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { env: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())")],
        tests: &["results::stages_see_only_what_they_are_given", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "volatile-variables-in-the-key",
        guarantee: "variables of `env-volatile` are not in the key",
        changes: &[
            ("src/exec/plan.rs", "let environment = project.flow.env.iter().map(|name| {", "let environment = project.flow.env.iter().chain(&project.flow.env_volatile).map(|name| {"),
        ],
        tests: &["results::stages_see_only_what_they_are_given"],
    },
    Mutation {
        name: "outputs-out-of-the-key",
        guarantee: "declared outputs are in the key",
        changes: &[(KEY, HASHED, "blake3::hash(Preimage { outputs: BTreeMap::new(), ..self.clone() }.canonical().as_bytes())")],
        tests: &["content::artifacts_of_outputs_that_moved_go", "key::tests::every_part_counts"],
    },
    Mutation {
        name: "tools-out-of-the-key",
        guarantee: "the tools of a wrapper are in the key",
        changes: &[
            ("src/exec/programs.rs", "            files: wrapper.read.digests.clone(),\n            tools,", "            files: wrapper.read.digests.clone(),\n            tools: std::mem::take(&mut tools).into_iter().filter(|_| false).collect(),"),
        ],
        tests: &["why::tools"],
    },
    Mutation {
        name: "binary-of-a-tool-out-of-the-key",
        guarantee: "another binary of the same version is another key",
        changes: &[
            ("src/exec/tools.rs", "            version,\n            digest: digest.to_string(),", "            version,\n            digest: String::new(),"),
        ],
        tests: &["why::tools"],
    },
    Mutation {
        name: "files-of-a-wrapper-out-of-the-key",
        guarantee: "a wrapper's files are in the key",
        changes: &[
            ("src/exec/programs.rs", "            files: wrapper.read.digests.clone(),", "            files: BTreeMap::new(),"),
        ],
        tests: &["why::plugin_and_wrapper_files"],
    },
    Mutation {
        name: "source-of-a-plugin-out-of-the-key",
        guarantee: "a plugin's content is in the key",
        changes: &[
            ("src/exec/programs.rs", "                digest: digest.to_string(),\n                tools: BTreeMap::new(),", "                digest: String::new(),\n                tools: BTreeMap::new(),"),
        ],
        tests: &["why::plugin_and_wrapper_files"],
    },
    Mutation {
        name: "platform-out-of-the-key",
        guarantee: "the platform is in the key where the stage says so",
        changes: &[
            ("src/key/mod.rs", "blake3::hash(self.canonical().as_bytes())", "blake3::hash(Preimage { platform: None, ..self.clone() }.canonical().as_bytes())"),
        ],
        tests: &["key::tests::every_part_counts"],
    },
    Mutation {
        name: "name-of-the-stage-in-the-key",
        guarantee: "the stage's name is not in the key",
        changes: &[
            ("src/exec/plan.rs", "    let params = project.params(id);\n", "    let mut params = project.params(id);\n    params.insert(\"\".to_string(), Json::from(stage.name.clone()));\n"),
        ],
        tests: &["results::two_stages_with_one_key_run_once"],
    },
    Mutation {
        name: "number-of-threads-in-the-key",
        guarantee: "`-j` and `resources` are not in the key",
        changes: &[
            ("src/exec/plan.rs", "None => command(project, stage, &params, &inputs, None)", "None => command(project, stage, &params, &inputs, stage.resources.cpu.or(Some(1)))"),
        ],
        tests: &["keys::the_number_of_threads_is_no_part_of_a_key"],
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
        changes: &[("src/exec/supervise/keeper.rs", "    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));", "")],
        tests: &["keys::another_umask_changes_nothing"],
    },
];
