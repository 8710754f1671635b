//! Pages that are made from the program: the command line, the schema of the flow file.

use clap::CommandFactory;
use serde_json::{json, Value};

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

/// The page of this name in `docs/` says what the program says.
fn is_up_to_date(name: &str, page: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name);
    if std::env::var_os("NANOFLOW_UPDATE_PAGES").is_some() {
        std::fs::write(&path, page).expect("page");
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        page,
        "NANOFLOW_UPDATE_PAGES=1 writes it anew"
    );
}

#[test]
fn the_command_line_page_is_true() {
    is_up_to_date("command-line.md", &command_line());
}

#[test]
fn the_page_about_the_key_is_true() {
    is_up_to_date("action-key.md", &nanoflow::key::page());
}

/// The words of JSON Schema that ours uses. An unknown word is an error, so that no rule is passed over.
fn fits(schema: &Value, root: &Value, value: &Value) -> bool {
    let Value::Object(rules) = schema else {
        return schema != &json!(false);
    };
    let matches = |pattern: &Value, text: &str| {
        regex::Regex::new(pattern.as_str().unwrap_or(""))
            .expect("pattern")
            .is_match(text)
    };
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
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
        "const" => value == rule || (value.is_number() && value.as_f64() == rule.as_f64()),
        "enum" => list(rule).contains(value),
        "oneOf" => {
            list(rule)
                .iter()
                .filter(|option| fits(option, root, value))
                .count()
                == 1
        }
        "allOf" => list(rule).iter().all(|option| fits(option, root, value)),
        "not" => !fits(rule, root, value),
        "propertyNames" => value.as_object().is_none_or(|map| {
            map.keys()
                .all(|key| fits(rule, root, &Value::from(key.as_str())))
        }),
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
            .is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap_or(0)),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap_or(0)),
        "maximum" => value
            .as_f64()
            .is_none_or(|number| number <= rule.as_f64().unwrap_or(0.0)),
        "exclusiveMaximum" => value
            .as_f64()
            .is_none_or(|number| number < rule.as_f64().unwrap_or(0.0)),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= rule.as_f64().unwrap_or(0.0)),
        "pattern" => value.as_str().is_none_or(|text| matches(rule, text)),
        other => panic!("the test knows no rule '{other}'"),
    })
}

/// What the parser says to a flow; no file is looked at.
fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(root) = nanoflow::flow::yaml::parse(text, &mut faults) {
        nanoflow::flow::check(&root, &mut faults);
    }
    faults.into_iter().map(|fault| fault.message).collect()
}

/// Flows of which every part stands there once with every kind of value that a slip can put there.
fn slips() -> Vec<String> {
    const VALUES: &[&str] = &[
        "null",
        "true",
        "3",
        "-3",
        "0",
        "2.0",
        "1.5",
        "1e9",
        "''",
        "' '",
        "x",
        "b.o",
        "a/b",
        "/abs",
        "../up",
        "a/../b",
        "./",
        "d/",
        "..",
        "'*.v'",
        "[]",
        "[x]",
        "[x, 3]",
        "[null]",
        "['']",
        "[[x]]",
        "{}",
        "{ x: 1 }",
        "{ x: y }",
        "{ x: null }",
        "{ x: [y] }",
        "{ path: p }",
        "{ path: p, digest: 'b3:xx' }",
        "{ digest: x }",
        "{ metric: m, max: 1 }",
        "[{ metric: m, max: 1 }]",
        "[{ metric: m }]",
        "[{ max: 3 }]",
        "[{ metric: m, min: x }]",
        "[{ metric: m, max: 3, on-fail: go }]",
        "[{ metric: m, max: 3, on-fail: continue }]",
        "[null, { metric: 3, min: 1 }]",
        "2GiB",
        "'2 GB'",
        "0GiB",
        "-2GiB",
        "2XiB",
        "'.5k'",
        "PATH",
        "A=B",
        "off",
        "report",
        "{ mode: off }",
        "{ mode: x, read: y }",
        "{ read: [x, ''] }",
        "{ mode: enforce, read: [$X/y, /z] }",
        "{ read: { x: y } }",
        "stop",
        "inputs",
        "inputs/x",
        "./request.json",
        "{ memory: 1GiB, licenses: { x: 2 } }",
        "{ memory: 0 }",
        "{ memory: 1.5 }",
        "{ licenses: { x: -1 } }",
        "{ licenses: { x: 2.0 } }",
        "{ licenses: { x: 2.5 } }",
        "{ licenses: null }",
        "{ cpu: 0 }",
        "{ cpu: 2.0 }",
        "{ cpu: 200000 }",
        "{ cpu: x }",
        "{ gpu: 1 }",
        "{ stages: 3, nope: 1 }",
        "{ p: { stages: 3 } }",
        "{ p: { profiles: 3 } }",
        "{ p: 3 }",
        "{ p: null }",
        "{ 'a/b': x }",
        "{ '-a': x }",
        "{ '~a': x }",
        "{ 'a.b': x }",
        "{ ' a': x }",
        "{ 'ä b': x }",
        "{ 'a\tb': x }",
        "{ a: { run: x } }",
    ];
    const PLACES: &[&str] = &[
        "version: @\nstages: { x: { run: x } }",
        "name: @\nstages: { x: { run: x } }",
        "params: @\nstages: { x: { run: x } }",
        "env: @\nstages: { x: { run: x } }",
        "env-volatile: @\nstages: { x: { run: x } }",
        "limits: @\nstages: { x: { run: x } }",
        "sandbox: @\nstages: { x: { run: x } }",
        "plugins: @\nstages: { x: { run: x } }",
        "profiles: @\nstages: { x: { run: x } }",
        "stages: @",
        "stages: { x: @ }",
        "groups: { g: @ }\nstages: { x: { run: x, aliases: ['3', 'true', '-3'] } }",
        "nope: @\nstages: { x: { run: x } }",
        "stages: { a: { run: @ } }",
        "stages: { a: { uses: @ } }",
        "stages: { a: { wrapper: @ } }",
        "stages: { a: { run: x, uses: @ } }",
        "stages: { a: { run: x, about: @ } }",
        "stages: { a: { run: x, params: @ } }",
        "stages: { a: { run: x, inputs: @ } }",
        "stages: { a: { run: x, inputs: { i: @ } } }",
        "stages: { a: { run: x, outputs: @ } }",
        "stages: { a: { run: x, outputs: { o: @ } } }",
        "stages: { a: { run: x, outputs: { o: { path: @ } } } }",
        "stages: { a: { run: x, aliases: @ } }",
        "stages: { a: { run: x, gates: @ } }",
        "stages: { a: { run: x, gates: [{ metric: @, max: 1 }] } }",
        "stages: { a: { run: x, gates: [{ metric: m, max: @ }] } }",
        "stages: { a: { run: x, gates: [{ metric: m, max: 1, on-fail: @ }] } }",
        "stages: { a: { run: x, resources: @ } }",
        "stages: { a: { run: x, resources: { cpu: @ } } }",
        "stages: { a: { run: x, resources: { memory: @ } } }",
        "stages: { a: { run: x, resources: { licenses: @ } } }",
        "stages: { a: { run: x, network: @ } }",
        "stages: { a: { run: x, sandbox: @ } }",
        "stages: { a: { run: x, sandbox: { mode: @ } } }",
        "stages: { a: { run: x, sandbox: { read: @ } } }",
        "stages: { a: { run: x, checkpoint: @ } }",
        "stages: { a: { run: x, platform: @ } }",
        "stages: { a: { run: x, nope: @ } }",
    ];
    let parts = PLACES
        .iter()
        .filter_map(|place| {
            let part = place.strip_suffix("stages: { x: { run: x } }");
            part.or_else(|| place.starts_with("stages: {").then_some(place))
        })
        .filter(|part| !part.starts_with("profiles"))
        .map(|part| {
            let part = part.trim_end();
            format!(
                "profiles: {{ p: {{ {part} }} }}\nstages: {{ a: {{ run: x }}, x: {{ run: x }} }}"
            )
        });
    PLACES
        .iter()
        .map(|place| (*place).to_string())
        .chain(parts)
        .flat_map(|place| {
            VALUES
                .iter()
                .map(move |value| format!("{}\n", place.replace('@', value)))
        })
        .collect()
}

#[test]
fn the_schema_and_the_parser_agree() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flow-schema.json");
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("schema")).expect("JSON");
    let digest = "0".repeat(64);
    let mut flows = slips();
    assert!(flows.len() > 2000);
    flows.extend([
        "version: 1\n".to_string(),
        "stages: { a: { run: x } }\n".to_string(),
        "[1, 2]\n".to_string(),
        format!("stages: {{ a: {{ run: x, outputs: {{ o: {{ path: o, digest: 'b3:{digest}' }} }} }} }}\n"),
        "version: 1\nname: n\nparams: { x: [1] }\nenv: [A]\nenv-volatile: B\nlimits: { memory: 1GiB, licenses: { x: 2 } }\ngroups: { g: [a] }\nprofiles: { p: {} }\nplugins: { p: there.txt }\nstages: { a: { run: x } }\n".to_string(),
    ]);
    // What only the meaning of the words tells, which no schema can.
    let meaning = [
        "which is no stage",
        "is also a stage",
        "is also an alias",
        "has no output",
        "wait for each other",
        "name the same file",
        "lie one inside the other",
        "variable that stages do not get",
        "names the group",
        "names itself",
        "which is not there",
        "is an alias of stage",
    ];
    let mut wrong = Vec::new();
    let (mut good, mut bad) = (0, 0);
    for text in flows {
        let Ok(value) = serde_yaml::from_str::<Value>(&text) else {
            continue;
        };
        // To a schema 2.0 is 2, which is a good name.
        if text.contains("aliases: 2.0") {
            continue;
        }
        let told = faults(&text);
        if !told.is_empty()
            && told
                .iter()
                .all(|fault| meaning.iter().any(|words| fault.contains(words)))
        {
            continue;
        }
        if told.is_empty() {
            good += 1;
        } else {
            bad += 1;
        }
        if fits(&schema, &schema, &value) != told.is_empty() {
            wrong.push(format!("{text}  parser: {told:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        good + bad,
        wrong.join("\n")
    );
    assert!(good > 300 && bad > 1000, "{good} good and {bad} bad flows");
}

#[test]
fn every_flow_in_the_tree_fits_the_schema() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(
        &std::fs::read_to_string(root.join("docs/flow-schema.json")).expect("schema"),
    )
    .expect("JSON");
    for path in [
        "flow.yaml",
        "tests/foreign/flow.yaml",
        "examples/uart/flow.yaml",
    ] {
        let Ok(text) = std::fs::read_to_string(root.join(path)) else {
            continue;
        };
        let value: Value = serde_yaml::from_str(&text).expect("YAML");
        assert!(fits(&schema, &schema, &value), "{path}");
    }
}
