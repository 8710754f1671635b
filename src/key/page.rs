//! The page about the key, made from what is hashed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{json, Value as Json};

use super::{InputContent, OutputPlace, Preimage, Runs, ToolIdentity, FORMAT};

/// Each part of a pre-image: its name, its value as written, and why it is there.
fn parts(preimage: &Preimage) -> Vec<(&'static str, Json, &'static str)> {
    // Taken apart whole, so that the page cannot forget a part.
    let Preimage {
        format,
        runs,
        params,
        flow,
        env,
        inputs,
        outputs,
        platform,
    } = preimage;
    vec![
        (
            "format",
            json!(format),
            "version of this table and of how it is written; a change makes old results unreachable, never wrongly reused",
        ),
        (
            "runs",
            json!(runs),
            "what runs: a `shell` line or an `argv` with values put in; a `plugin` with the digest of its sources and of all that they \
             depend on, and its tools; a `wrapper` with the digests of its files, and its tools (version and digest of the binary)",
        ),
        ("params", json!(params), "the stage's own parameters, all of them"),
        (
            "flow",
            json!(flow),
            "of the flow's parameters those that the stage's templates name, a wrapper's included",
        ),
        (
            "env",
            json!(env),
            "variables of the flow's `env`; `null` for one that is not set",
        ),
        (
            "inputs",
            json!(inputs),
            "by name: the paths that the stage sees, with their content digests, and whether it sees a list",
        ),
        (
            "outputs",
            json!(outputs),
            "by name: declared path (a slash at its end for a directory) and the digest that is demanded, if any",
        ),
        (
            "platform",
            json!(platform),
            "architecture and system, only of stages that say `platform: true`; left out otherwise",
        ),
    ]
}

fn digest(text: &str) -> String {
    format!("b3:{}", blake3::hash(text.as_bytes()).to_hex())
}

/// A pre-image that has something of everything. [`super::tests`] holds its key for each format there ever was.
pub(super) fn example() -> Preimage {
    Preimage {
        format: FORMAT,
        runs: Runs::Wrapper {
            name: "yosys".to_string(),
            files: BTreeMap::from([
                ("synth.ys".to_string(), digest("read_verilog …")),
                ("wrapper.yaml".to_string(), digest("version: 1")),
            ]),
            tools: BTreeMap::from([(
                "yosys".to_string(),
                ToolIdentity {
                    version: "0.23".to_string(),
                    digest: digest("the program"),
                },
            )]),
        },
        params: BTreeMap::from([
            ("clock".to_string(), json!(12.5)),
            ("top".to_string(), json!("core")),
        ]),
        flow: BTreeMap::from([("seed".to_string(), json!(1337))]),
        env: BTreeMap::from([
            ("LM_LICENSE_FILE".to_string(), None),
            ("MODE".to_string(), Some("fast".to_string())),
        ]),
        inputs: BTreeMap::from([(
            "rtl".to_string(),
            InputContent {
                many: true,
                files: BTreeMap::from([
                    ("inputs/rtl/a.v".to_string(), digest("module a; endmodule")),
                    ("inputs/rtl/b.v".to_string(), digest("module b; endmodule")),
                ]),
            },
        )]),
        outputs: BTreeMap::from([(
            "netlist".to_string(),
            OutputPlace {
                path: "netlist.v".to_string(),
                digest: None,
            },
        )]),
        platform: Some("x86_64-linux".to_string()),
    }
}

/// `docs/action-key.md`.
pub fn page() -> String {
    let example = example();
    let mut page = format!(
        "# The action key\n\n\
         Made from the program by a test (`NANOFLOW_UPDATE_PAGES=1 cargo test --release --test program pages`).\n\n\
         A stage's key says everything that decides what the stage makes, and nothing else. It is the BLAKE3 digest, 64 hexadecimal\n\
         digits, of the stage's *pre-image*: JSON in UTF-8 with the keys of every object sorted by their bytes and without blanks.\n\
         Two stages, checkouts or machines with one pre-image share one result. The pre-image is kept with the result, in\n\
         `cache/actions/`, so every decision can be explained.\n\n\
         Format {FORMAT}. `run`, `status`, `why` and `run --dry-run` compute the key in the same way, in one place.\n\n\
         ## What is in it\n\n| part | what and why |\n|---|---|\n"
    );
    for (name, _, why) in parts(&example) {
        let _ = writeln!(page, "| `{name}` | {why} |");
    }
    page.push_str(
        "\nContent digests are BLAKE3, written `b3:…`. A plain file's is what `b3sum` prints; a file with the executable bit and the listing\n\
         of a directory have hashes of their own kind, so none of them is taken for another.\n\n\
         ## What is not in it\n\nThe stage's name, `resources`, `gates`, `-j`, times, owners, permissions other than the executable bit, absolute paths, the\n\
         place of the checkout, `env-volatile`, and every variable that `env` does not name (`HOME`, `LANG`, `PATH`).\n\n\
         ## An example\n\n```json\n{\n",
    );
    let last = parts(&example).len() - 1;
    for (position, (name, value, _)) in parts(&example).into_iter().enumerate() {
        let comma = if position == last { "" } else { "," };
        let value = serde_json::to_string_pretty(&value).unwrap_or_default();
        let _ = writeln!(
            page,
            "  {}: {}{comma}",
            json!(name),
            value.replace('\n', "\n  ")
        );
    }
    let _ = write!(
        page,
        "}}\n```\n\nis hashed as\n\n```text\n{}\n```\n\nand its key is `{}`.\n",
        example.canonical(),
        example.key()
    );
    page
}

/// Names of all parts, in the order of the page.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    parts(&example())
        .into_iter()
        .map(|(name, _, _)| name)
        .collect()
}
