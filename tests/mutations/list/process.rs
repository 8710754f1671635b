//! A stage as a process: what it may reach, what it leaves.

use super::Mutation;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "sandbox-not-applied",
        guarantee: "a stage reaches only what is its own",
        changes: &[
            ("src/exec/allowed.rs", "    if mode == SandboxMode::Off {", "    if mode != SandboxMode::Report {"),
        ],
        tests: &["sandbox::an_undeclared_file_is_refused_with_the_line_to_add", "sandbox::nothing_outside_is_changed", "sandbox::inputs_are_not_changed"],
    },
    Mutation {
        name: "kernel-rules-left-out",
        guarantee: "the kernel's rules hold by themselves",
        changes: &[
            ("src/exec/sandbox/confine.rs", "    if wants.enforce && roots.landlock > 0 {", "    if wants.enforce && roots.landlock > 1_000 {"),
        ],
        tests: &["sandbox::devices_are_not_written_to"],
    },
    Mutation {
        name: "refusals-forgiven",
        guarantee: "a refused access fails the stage even if it goes on",
        changes: &[
            ("src/exec/sandbox/judge.rs", "            Access::Read | Access::Execute => Verdict::Refuse { in_passing: false },", "            Access::Read | Access::Execute => Verdict::Refuse { in_passing: true },"),
        ],
        tests: &["sandbox::a_refusal_fails_the_stage_even_if_it_goes_on"],
    },
    Mutation {
        name: "network-for-all",
        guarantee: "no network unless the stage asks",
        changes: &[
            ("src/exec/allowed.rs", "        network: stage.network,", "        network: true,"),
        ],
        tests: &["sandbox::the_network_is_for_stages_that_ask"],
    },
    Mutation {
        name: "inputs-can-be-changed",
        guarantee: "staged inputs are read-only",
        changes: &[
            ("src/exec/sandbox/judge.rs", "            Access::Write | Access::Change if own && path.starts_with(&self.inputs) => {", "            Access::Write | Access::Change if own && path.as_os_str().is_empty() => {"),
        ],
        tests: &["sandbox::inputs_are_not_changed"],
    },
    Mutation {
        name: "what-is-outside-is-seen",
        guarantee: "a stage does not see what is not its own",
        changes: &[
            ("src/exec/sandbox/judge.rs", "            Access::Look => Verdict::Hide,", "            Access::Look => Verdict::Allow,"),
        ],
        tests: &["sandbox::neither_temporary_nor_home_folders_are_seen", "exec::sandbox::judge::tests::what_may_be_reached"],
    },
    Mutation {
        name: "report-refuses",
        guarantee: "`sandbox: report` tells and goes on",
        changes: &[
            ("src/exec/allowed.rs", "        enforce: mode == SandboxMode::Enforce,", "        enforce: mode != SandboxMode::Off,"),
        ],
        tests: &["sandbox::report_tells_and_goes_on"],
    },
    Mutation {
        name: "programs-not-judged",
        guarantee: "one call of a program goes unjudged, that by which the stage begins",
        changes: &[
            ("src/exec/sandbox/filter.rs", "            libc::SYS_execve => (number, Fate::JudgeUnmarked(mark)),", "            libc::SYS_execve if mark.0[0] > 0 => (number, Fate::Allow),"),
        ],
        tests: &["sandbox::an_undeclared_program_is_refused", "exec::sandbox::filter::tests::arguments_decide_where_a_call_may_name_no_path"],
    },
    Mutation {
        name: "root-keeps-its-capabilities",
        guarantee: "root gives up what leads around the walls",
        changes: &[
            ("src/exec/sandbox/confine.rs", "        permitted: had.permitted & kept,", "        permitted: had.permitted | kept,"),
            ("src/exec/sandbox/confine.rs", "        effective: had.effective & kept,", "        effective: had.effective | kept,"),
        ],
        tests: &["sandbox::what_leads_around_the_walls_is_given_up"],
    },
    Mutation {
        name: "sandbox-of-the-flow-forgotten",
        guarantee: "the flow's `sandbox` holds in a part of the flow too",
        changes: &[
            ("src/flow/mod.rs", "            sandbox: sandbox.clone(),\n", ""),
        ],
        tests: &["glance::the_sandbox_of_the_flow_holds_in_a_part_of_it"],
    },
    Mutation {
        name: "variables-of-the-user-let-in",
        guarantee: "a stage sees only the variables that it is given",
        changes: &[
            ("src/exec/work.rs", "    for name in project.flow.env.iter().chain(&project.flow.env_volatile) {", "    variables.extend(std::env::vars_os().filter(|(name, _)| name == \"OTHER\"));\n    for name in project.flow.env.iter().chain(&project.flow.env_volatile) {"),
        ],
        tests: &["results::stages_see_only_what_they_are_given"],
    },
    Mutation {
        name: "child-left-behind",
        guarantee: "a stage that ended well leaves no process",
        changes: &[
            ("src/exec/supervise/guard.rs", "        self.ended.killed = kill_all();", "        self.ended.killed = 0;"),
        ],
        tests: &["signals::a_good_stage_s_children_are_gone_when_the_next_one_runs"],
    },
    Mutation {
        name: "children-outlive-nanoflow",
        guarantee: "no process outlives nanoflow",
        changes: &[
            ("src/exec/supervise/guard.rs", "            Ok(_) | Err(_) => {\n                kill_running(&HashSet::new());", "            Ok(_) | Err(_) => {"),
            ("src/exec/supervise/keeper.rs", "    kill_running(&HashSet::new());\n    ExitCode::SUCCESS", "    ExitCode::SUCCESS"),
        ],
        tests: &["signals::whatever_is_killed_no_child_is_left", "signals::signals_leave_no_child"],
    },
    Mutation {
        name: "children-of-a-killed-guard-left",
        guarantee: "no process outlives its guard",
        changes: &[
            ("src/exec/supervise/keeper.rs", "    if killed {", "    if killed && guards.len() > 1_000 {"),
        ],
        tests: &["signals::whatever_is_killed_no_child_is_left"],
    },
    Mutation {
        name: "keeper-not-waited-for",
        guarantee: "no process of a run outlives it",
        changes: &[
            ("src/exec/schedule/drive.rs", "        self.project.keeper.finish();\n", ""),
        ],
        tests: &["signals::keeper_and_guards_are_gone_when_nanoflow_is"],
    },
    Mutation {
        name: "guard-follows-links",
        guarantee: "a stage gets no further through its guard",
        changes: &[
            ("src/exec/sandbox/scratch.rs", "OFlags::NOFOLLOW | OFlags::NONBLOCK", "OFlags::NONBLOCK"),
        ],
        tests: &["scratch::a_stage_gets_no_further_through_its_guard"],
    },
    Mutation {
        name: "scratch-left-to-the-kernel",
        guarantee: "scratch files in /tmp are the stage's own",
        changes: &[
            ("src/exec/sandbox/scratch.rs", "            redirects,\n        })", "            redirects: redirects && folder.as_os_str().is_empty(),\n        })"),
        ],
        tests: &["scratch::the_c_librarys_tmpfile_works", "scratch::new_files_in_tmp_are_the_stages_own"],
    },
    Mutation {
        name: "stubborn-stages-waited-for",
        guarantee: "after a signal nanoflow ends within 6 s",
        changes: &[
            ("src/exec/schedule/drive.rs", "from_millis(1500)", "from_millis(20_000)"),
        ],
        tests: &["signals::signals_leave_no_child"],
    },
    Mutation {
        name: "stages-killed-without-a-word",
        guarantee: "a stage may clean up after a signal",
        changes: &[
            ("src/exec/schedule/drive.rs", "if again { Stop::Kill } else { Stop::Ask }", "if again { Stop::Ask } else { Stop::Kill }"),
        ],
        tests: &["signals::a_stage_may_clean_up"],
    },
    Mutation {
        name: "result-of-an-interrupted-stage-kept",
        guarantee: "an interrupted stage makes no result",
        changes: &[
            ("src/exec/attempt.rs", "        if stop.level() != Stop::No {\n            return Err(Failed::Interrupted);\n        }\n        if enforced", "        if enforced"),
        ],
        tests: &["signals::what_an_interrupted_stage_wrote_is_no_result"],
    },
];
