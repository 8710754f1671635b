//! `flow.yaml`: faults, profiles, templates.

use super::Mutation;

pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "keys-given-twice-accepted",
        guarantee: "a YAML key given twice is a fault",
        changes: &[
            ("src/flow/yaml.rs", "        if let Some(first) = seen.insert(text, key.span) {", "        if let Some(first) = seen.insert(text, key.span).filter(|_| false) {"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "unknown-keys-accepted",
        guarantee: "an unknown key is a fault",
        changes: &[
            ("src/flow/check/mod.rs", "            } else if self.faults.len() < MOST_FAULTS {\n                self.fault(\n                    Fault::new(key.span, format!(\"unknown key", "            } else if self.faults.len() > MOST_FAULTS {\n                self.fault(\n                    Fault::new(key.span, format!(\"unknown key"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "only-the-first-fault-told",
        guarantee: "all faults are told in one go",
        changes: &[
            ("src/flow/check/mod.rs", "        if self.faults.len() < MOST_FAULTS {\n            self.faults.push(fault);", "        if self.faults.is_empty() {\n            self.faults.push(fault);"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "other-versions-read",
        guarantee: "an unknown `version` is a fault",
        changes: &[
            ("src/flow/check/mod.rs", "            if node.to_json().as_f64() != Some(1.0) {", "            if node.to_json().as_f64().is_none() {"),
        ],
        tests: &["faults::one_by_one"],
    },
    Mutation {
        name: "cycles-accepted",
        guarantee: "a cycle is a fault",
        changes: &[
            ("src/graph/mod.rs", "(order.len() == waiting.len()).then_some(order)", "Some(order)"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "alias-of-a-stage-accepted",
        guarantee: "an alias that is also a stage is a fault",
        changes: &[
            ("src/flow/check/mod.rs", "            Some(other) if self.flow.stages[other.0].name == alias => {", "            Some(other) if alias.is_empty() && self.flow.stages[other.0].name == alias => {"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "group-of-a-stages-name-accepted",
        guarantee: "a group that is also a stage is a fault",
        changes: &[
            ("src/flow/check/mod.rs", "            if let Some(id) = self.names.get(&key.text) {\n                let is_stage", "            if let Some(id) = self.names.get(&key.text).filter(|_| false) {\n                let is_stage"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "outputs-outside-accepted",
        guarantee: "an output outside the work directory is a fault",
        changes: &[
            ("src/flow/check/stage.rs", "        let outside = written.starts_with('/') || parts.contains(&\"..\");", "        let outside = written.starts_with('/') && parts.contains(&\"..\");"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "outputs-inside-each-other-accepted",
        guarantee: "outputs that lie inside each other are a fault",
        changes: &[
            ("src/flow/check/stage.rs", "                Some((path, name, span)) if entry.0.starts_with(path.as_str()) => {", "                Some((path, name, span)) if entry.0 == path.as_str() && path.is_empty() => {"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "inputs-that-are-not-there-accepted",
        guarantee: "an input that names nothing is a fault",
        changes: &[
            ("src/exec/sources.rs", "                let Err(lack) = self.find(&source.kind) else {", "                let Err(lack @ Lack::TooMuch) = self.find(&source.kind) else {"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "undefined-names-accepted",
        guarantee: "an undefined name in a template is a fault",
        changes: &[
            ("src/flow/check/mod.rs", "        scope.check(word, stage, faults);\n        if faults.len() > before {", "        if faults.len() > before {"),
        ],
        tests: &["contract::undefined_names_are_faults_wherever_they_stand", "faults::all_in_one_go"],
    },
    Mutation {
        name: "profiles-replace",
        guarantee: "profiles are deep-merged",
        changes: &[
            ("src/flow/yaml.rs", "            Some(entry) => entry.1 = deep_merge(&entry.1, value),", "            Some(entry) => entry.1 = value.clone(),"),
        ],
        tests: &["results::profiles_and_settings_are_laid_over"],
    },
    Mutation {
        name: "other-profiles-not-checked",
        guarantee: "profiles that are not selected are checked",
        changes: &[
            ("src/flow/check/mod.rs", "            self.profiles(node);\n", "            let _ = node;\n"),
        ],
        tests: &["faults::profiles_are_checked_whether_selected_or_not"],
    },
    Mutation {
        name: "two-ways-to-run-accepted",
        guarantee: "a stage has exactly one of `uses`, `wrapper` and `run`",
        changes: &[
            ("src/flow/check/stage.rs", "        let [(word, node)] = given.as_slice() else {", "        let [(word, node), ..] = given.as_slice() else {"),
        ],
        tests: &["faults::all_in_one_go"],
    },
    Mutation {
        name: "merge-keys-ignored",
        guarantee: "YAML merge keys work",
        changes: &[
            ("src/flow/yaml.rs", "    if !merges.is_empty() {", "    if merges.len() > 1_000 {"),
        ],
        tests: &["faults::anchors_and_merge_keys_work"],
    },
    Mutation {
        name: "large-aliases-written-out",
        guarantee: "a small file of aliases costs little",
        changes: &[
            ("src/flow/yaml.rs", "                if self.aliased > MAX_ALIASED {", "                if self.aliased == u64::MAX {"),
        ],
        tests: &["faults::every_file_is_told_about_in_time"],
    },
    Mutation {
        name: "endless-templates-rendered",
        guarantee: "an endless template ends with a fault",
        changes: &[
            ("src/flow/template.rs", "    environment.set_fuel(Some(MOST_STEPS));", "    environment.set_fuel(Some(MOST_STEPS * 100));"),
        ],
        tests: &["contract::no_template_and_no_cycle_is_too_much"],
    },
    Mutation {
        name: "values-not-quoted",
        guarantee: "values are quoted for where they stand",
        changes: &[("src/flow/quote.rs", "        Language::Shell => Ok(shell(text, place)),", "        Language::Shell if place == Place::Comment => Ok(shell(text, place)),\n        Language::Shell => Ok(text.to_string()),")],
        tests: &["quoting::shell", "results::hostile_file_names_go_through"],
    },
    Mutation {
        name: "values-in-tcl-not-quoted",
        guarantee: "values are quoted for Tcl",
        changes: &[
            ("src/flow/quote.rs", "        Language::Tcl => tcl(text, place),", "        Language::Tcl => tcl(text, place).map(|_| text.to_string()),"),
        ],
        tests: &["quoting::tcl"],
    },
    Mutation {
        name: "values-in-json-and-yaml-not-quoted",
        guarantee: "values are quoted for JSON and YAML",
        changes: &[
            ("src/flow/quote.rs", "        Language::Json | Language::Yaml => Ok(match place {", "        Language::Json | Language::Yaml if place == Place::Double => Ok(text.to_string()),\n        Language::Json | Language::Yaml => Ok(match place {"),
        ],
        tests: &["quoting::json_yaml_and_verilog"],
    },
    Mutation {
        name: "values-in-verilog-not-quoted",
        guarantee: "values are quoted for Verilog",
        changes: &[
            ("src/flow/quote.rs", "        Language::Verilog => Ok(wrap(", "        Language::Verilog if place == Place::Double => Ok(text.to_string()),\n        Language::Verilog => Ok(wrap("),
        ],
        tests: &["quoting::json_yaml_and_verilog"],
    },
];
