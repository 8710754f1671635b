//! Pages that are made from the program: the command line, the schema of the flow file.

use clap::CommandFactory;
use serde_json::{json, Value};

use crate::common::Flow;

/// `docs/command-line.md` as it must be.
fn command_line() -> String {
    let mut root = nanoflow::cli::Cli::command().term_width(100);
    root.build();
    let mut page = String::from("# The command line\n\nMade from the program by a test (`NANOFLOW_UPDATE_PAGES=1 cargo test --release --test program pages`).\n");
    let help = |command: &mut clap::Command| {
        let text = command.render_long_help().to_string();
        text.lines()
            .map(str::trim_end)
            .collect::<Vec<_>>()
            .join("\n")
    };
    page.push_str(&format!("\n```text\n{}\n```\n", help(&mut root)));
    let names: Vec<String> = root
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| command.get_name().to_string())
        .collect();
    for name in names.iter().filter(|name| *name != "help") {
        let Some(command) = root.find_subcommand_mut(name) else {
            continue;
        };
        // What all commands have is told once.
        let mut own = command.clone();
        let global: Vec<String> = own
            .get_arguments()
            .filter(|a| a.is_global_set())
            .map(|a| a.get_id().to_string())
            .collect();
        for id in global {
            own = own.mut_arg(id, |argument| argument.hide(true));
        }
        page.push_str(&format!(
            "\n## nanoflow {name}\n\n```text\n{}\n```\n",
            help(&mut own)
        ));
    }
    page
}

#[test]
fn the_command_line_page_is_true() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/command-line.md");
    let page = command_line();
    if std::env::var_os("NANOFLOW_UPDATE_PAGES").is_some() {
        std::fs::write(&path, &page).expect("page");
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        page,
        "NANOFLOW_UPDATE_PAGES=1 writes it anew"
    );
}

/// The words of JSON Schema that ours uses. An unknown word is an error, so that no rule is passed over.
fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    let Value::Object(rules) = schema else {
        return schema != &json!(false);
    };
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("unknown type {other}"),
    };
    let list = |rule: &Value| rule.as_array().cloned().unwrap_or_default();
    rules.iter().all(|(word, rule)| match word.as_str() {
        "$schema" | "$id" | "title" | "description" | "definitions" => true,
        "$ref" => fits(
            root.pointer(rule.as_str().expect("reference").trim_start_matches('#'))
                .expect("definition"),
            root,
            value,
        ),
        "type" => match rule {
            Value::String(kind) => is(kind),
            kinds => list(kinds).iter().filter_map(Value::as_str).any(is),
        },
        "const" => value == rule,
        "enum" => list(rule).contains(value),
        "oneOf" => {
            list(rule)
                .iter()
                .filter(|option| fits(option, root, value))
                .count()
                == 1
        }
        "anyOf" => list(rule).iter().any(|option| fits(option, root, value)),
        "required" => value.as_object().is_none_or(|map| {
            list(rule)
                .iter()
                .filter_map(Value::as_str)
                .all(|key| map.contains_key(key))
        }),
        "properties" => value.as_object().is_none_or(|map| {
            map.iter()
                .all(|(key, value)| rule.get(key).is_none_or(|rule| fits(rule, root, value)))
        }),
        "additionalProperties" => value.as_object().is_none_or(|map| {
            map.iter()
                .filter(|(key, _)| {
                    rules
                        .get("properties")
                        .is_none_or(|known| known.get(key).is_none())
                })
                .all(|(_, value)| fits(rule, root, value))
        }),
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| fits(rule, root, item))),
        "minItems" => value
            .as_array()
            .is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap_or(0)),
        "minProperties" => value
            .as_object()
            .is_none_or(|map| map.len() as u64 >= rule.as_u64().unwrap_or(0)),
        "minLength" => value
            .as_str()
            .is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap_or(0)),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= rule.as_f64().unwrap_or(0.0)),
        "pattern" => value.as_str().is_none_or(|text| {
            regex::Regex::new(rule.as_str().unwrap_or(""))
                .expect("pattern")
                .is_match(text)
        }),
        other => panic!("the test knows no rule '{other}'"),
    })
}

#[test]
fn the_schema_and_the_parser_agree() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flow-schema.json");
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("schema")).expect("JSON");
    let stage = |extra: &str| format!("version: 1\nstages: {{ a: {{ run: x, {extra} }} }}\n");
    let mut flows: Vec<String> = [
        "params: { x: 1 }", "params: 3", "inputs: { i: there.txt, l: [there.txt, '*.txt'] }", "inputs: { i: { x: 1 } }",
        "outputs: { o: o, d: d/, e: { path: e } }", "outputs: { o: { digest: x } }", "outputs: { o: { path: o, digest: 'b3:xx' } }",
        "outputs: { o: { path: o, digest: 'b3:0000000000000000000000000000000000000000000000000000000000000000' } }",
        "outputs: [o]", "aliases: [b]", "aliases: b", "aliases: { b: c }", "gates: [{ metric: m, max: 3 }]",
        "gates: [{ metric: m }]", "gates: [{ max: 3 }]", "gates: [{ metric: m, min: x }]", "gates: { metric: m }",
        "gates: [{ metric: m, max: 3, on-fail: continue }]", "gates: [{ metric: m, max: 3, on-fail: go }]", "gates: [{ metric: m, max: 3, mni: 2 }]",
        "resources: { cpu: 2, memory: 2GiB, licenses: { x: 1 } }", "resources: { cpu: 0 }", "resources: { cpu: 1.5 }", "resources: { gpu: 1 }",
        "network: true", "network: maybe", "checkpoint: true", "platform: false", "about: words", "nope: 1", "uses: x", "",
    ]
    .iter()
    .map(|extra| stage(extra))
    .collect();
    flows.extend(
        [
            "version: 1\nstages: {}\n", "version: 2\nstages: { a: { run: x } }\n", "stages: { a: { run: x } }\n", "version: 1\n",
            "version: 1\nstages: { a: {} }\n", "version: 1\nstages: { a: { run: [x, y] } }\n", "version: 1\nstages: { a: { run: [] } }\n",
            "version: 1\nname: n\nparams: { x: [1] }\nenv: [A]\nenv-volatile: B\nlimits: { memory: 1GiB, licenses: { x: 2 } }\ngroups: { g: [a] }\nprofiles: { p: {} }\nplugins: { p: there.txt }\nstages: { a: { run: x } }\n",
            "version: 1\nenv: { A: 1 }\nstages: { a: { run: x } }\n", "version: 1\nlimits: { cpu: 1 }\nstages: { a: { run: x } }\n",
            "version: 1\nplugins: { p: [x] }\nstages: { a: { run: x } }\n", "version: 1\nextra: 1\nstages: { a: { run: x } }\n", "[1, 2]\n",
        ]
        .map(String::from),
    );
    for text in flows {
        let flow = Flow::new(&text);
        flow.write("there.txt", "x");
        let parsed = flow.run(&["graph"]).code == 0;
        let value: Value = serde_yaml::from_str(&text).expect("YAML");
        assert_eq!(
            fits(&schema, &schema, &value),
            parsed,
            "{text}{}",
            flow.run(&["graph"]).stderr
        );
    }
}
