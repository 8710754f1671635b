//! Results: early cutoff, caching, artifacts, gates, failures, what goes where.

use crate::common::{events, Flow};

const CHAIN: &str = r#"
version: 1
stages:
  prep: { run: "tr -d ' ' < {{ inputs.src }} > {{ outputs.o }}", inputs: { src: src/a.txt }, outputs: { o: o.txt } }
  mid:
    run: "tr a-z A-Z < {{ inputs.o }} > {{ outputs.obj }}"
    inputs: { o: prep.o }
    outputs: { obj: out/deep/obj.txt }
  leaf: { run: [cp, "{{ inputs.obj }}", "{{ outputs.z }}"], inputs: { obj: mid.obj }, outputs: { z: z.txt } }
"#;

fn chain() -> Flow {
    let flow = Flow::new(CHAIN);
    flow.write("src/a.txt", "a b c\n");
    flow
}

#[test]
fn a_second_run_does_nothing_and_touch_is_no_change() {
    let flow = chain();
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=executed", "mid=executed", "leaf=executed"]
    );
    assert_eq!(flow.read("artifacts/leaf/z.txt"), "ABC\n");
    let text = flow.read("src/a.txt");
    flow.write("src/a.txt", text);
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    assert_eq!(flow.states(), ["prep=fresh", "mid=fresh", "leaf=fresh"]);
}

#[test]
fn same_bytes_stop_the_ripple() {
    let flow = chain();
    flow.expect(0, &["run"]);
    flow.write("src/a.txt", "ab  c\n");
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=executed", "mid=cached", "leaf=cached"]
    );
}

#[test]
fn content_that_returns_is_cached() {
    let flow = chain();
    flow.expect(0, &["run"]);
    flow.write("src/a.txt", "x\n");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/leaf/z.txt"), "X\n");
    flow.write("src/a.txt", "a b c\n");
    assert_eq!(flow.states(), ["prep=fresh", "mid=fresh", "leaf=fresh"]);
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    assert_eq!(flow.read("artifacts/leaf/z.txt"), "ABC\n");
}

#[test]
fn a_change_of_the_same_size_within_a_tick_is_seen() {
    let flow = chain();
    for round in 0..5 {
        let text = format!("{round}\n");
        flow.write("src/a.txt", &text);
        flow.expect(0, &["run"]);
        assert_eq!(flow.read("artifacts/leaf/z.txt"), text);
    }
}

#[test]
fn artifacts_are_restored_and_never_harm_the_cache() {
    let flow = chain();
    flow.expect(0, &["run"]);
    flow.write("artifacts/leaf/z.txt", "edited");
    std::fs::remove_file(flow.path("artifacts/prep/o.txt")).expect("artifact");
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    assert_eq!(flow.read("artifacts/leaf/z.txt"), "ABC\n");
    assert_eq!(flow.read("artifacts/prep/o.txt"), "abc\n");
    std::fs::remove_dir_all(flow.path("artifacts")).expect("artifacts");
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    assert_eq!(flow.read("artifacts/leaf/z.txt"), "ABC\n");
}

#[test]
fn damage_is_made_again() {
    let flow = chain();
    flow.expect(0, &["run"]);
    let digest = flow.json(&["show", "mid", "--json"])["outputs"]["obj"]["digest"]
        .as_str()
        .expect("digest")
        .to_string();
    let hex = digest.trim_start_matches("b3:");
    let object = flow.path(&format!("cache/objects/{}/{}", &hex[..2], &hex[2..]));
    std::fs::remove_file(&object).expect("object");
    std::fs::write(&object, "evil").expect("object");
    let said = flow.expect(5, &["verify"]);
    assert!(
        said.stdout.contains(hex) && said.stdout.contains("mid"),
        "{}",
        said.stdout
    );
    flow.expect(0, &["verify"]);
    assert_eq!(
        flow.states(),
        ["prep=fresh", "mid=never-ran", "leaf=stale"].map(|s| if s.starts_with("mid") {
            "mid=stale"
        } else {
            s
        })
    );
    let outcomes = flow.outcomes(&[]);
    assert!(
        outcomes.contains(&"mid=executed".to_string())
            && outcomes.contains(&"prep=cached".to_string()),
        "{outcomes:?}"
    );
    flow.expect(0, &["verify"]);
    // Without being told, too.
    std::fs::remove_file(&object).expect("object");
    assert!(flow.outcomes(&[]).contains(&"mid=executed".to_string()));
    // A lost index alone runs nothing; nor does a damaged one.
    std::fs::remove_dir_all(flow.path("cache/memo")).expect("memo");
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    flow.write("cache/memo", "no folder");
    flow.write("src/a.txt", "n\n");
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=executed", "mid=executed", "leaf=executed"]
    );
    for file in ["cache/state", "cache/stat", "cache/lock"] {
        flow.write(file, "\u{0}garbage\n\u{1}");
        assert_eq!(
            flow.outcomes(&[]),
            ["prep=cached", "mid=cached", "leaf=cached"],
            "{file}"
        );
    }
}

#[test]
fn things_in_wrong_places_are_made_again() {
    let flow = chain();
    flow.expect(0, &["run"]);
    let digest = flow.json(&["show", "mid", "--json"])["outputs"]["obj"]["digest"]
        .as_str()
        .expect("digest")
        .to_string();
    let (head, tail) = (digest[3..5].to_string(), digest[5..].to_string());
    let key = flow.json(&["show", "mid", "--json"])["key"]
        .as_str()
        .expect("key")
        .to_string();
    let action = format!("cache/actions/{}/{}.json", &key[..2], &key[2..]);
    for (path, folder) in [
        (format!("cache/objects/{head}/{tail}"), true),
        (format!("cache/objects/{head}"), false),
        ("cache/objects".to_string(), false),
        (action, true),
        (format!("cache/actions/{}", &key[..2]), false),
        ("cache/state".to_string(), true),
        ("cache/stat".to_string(), true),
        ("cache/lock".to_string(), true),
        ("cache/runs".to_string(), false),
        ("cache/work".to_string(), false),
        ("cache/memo".to_string(), false),
        ("artifacts/mid".to_string(), false),
        ("artifacts/leaf/z.txt".to_string(), true),
    ] {
        let at = flow.path(&path);
        let _ = std::fs::remove_file(&at);
        let _ = std::fs::remove_dir_all(&at);
        match folder {
            true => std::fs::create_dir_all(at.join("x")).expect("folder"),
            false => std::fs::write(&at, "x").expect("file"),
        }
        let said = flow.run(&["run"]);
        assert_eq!(said.code, 0, "{path}: {}", said.stderr);
        assert_eq!(flow.read("artifacts/leaf/z.txt"), "ABC\n", "{path}");
        assert_eq!(
            flow.states(),
            ["prep=fresh", "mid=fresh", "leaf=fresh"],
            "{path}"
        );
    }
}

#[test]
fn damaged_actions_are_made_again() {
    let flow = chain();
    flow.expect(0, &["run"]);
    let mut count = 0;
    for folder in std::fs::read_dir(flow.path("cache/actions"))
        .expect("actions")
        .flatten()
    {
        for file in std::fs::read_dir(folder.path()).expect("actions").flatten() {
            let text = std::fs::read_to_string(file.path()).expect("action");
            std::fs::write(file.path(), text.replace("\"bytes\": 4", "\"bytes\": 5"))
                .expect("action");
            count += 1;
        }
    }
    assert_eq!(count, 3);
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=executed", "mid=executed", "leaf=executed"]
    );
}

#[test]
fn failures_are_told_and_never_kept() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "echo broken >&2; exit 3", outputs: { o: o.txt } }
  b: { run: "cat {{ inputs.o }} > {{ outputs.o }}", inputs: { o: a.o }, outputs: { o: o.txt } }
  c: { run: "echo c > {{ outputs.o }}", outputs: { o: o.txt } }
"#,
    );
    let said = flow.expect(1, &["run", "-j1"]);
    assert!(
        said.stderr.contains("a: failed") && said.stderr.contains("broken"),
        "{}",
        said.stderr
    );
    let mut outcomes = flow.outcomes(&["-k"]);
    outcomes.sort();
    assert_eq!(outcomes, ["a=failed", "b=skipped", "c=executed"]);
    assert_eq!(flow.states(), ["a=failed", "b=blocked", "c=fresh"]);
    assert_eq!(flow.expect(0, &["log", "a"]).stdout, "broken\n");
    flow.edit("exit 3", "echo 1 > {{ outputs.o }}");
    assert_eq!(flow.outcomes(&[]), ["c=cached", "a=executed", "b=executed"]);
}

#[test]
fn outputs_must_be_there_and_of_their_kind() {
    for (command, outputs, words) in [
        (
            "true",
            "{ o: o.txt }",
            "did not write its output 'o' (o.txt)",
        ),
        (
            "mkdir o.txt",
            "{ o: o.txt }",
            "declared as a file but is a directory",
        ),
        (
            "rmdir d; echo > d",
            "{ o: d/ }",
            "declared as a directory but is a file",
        ),
        (
            "ln -s ../../../flow.yaml o.txt",
            "{ o: o.txt }",
            "link out of the work directory",
        ),
        (
            "mkdir -p d; ln -s ../x d/l",
            "{ o: d/ }",
            "outside the directory",
        ),
        ("mkdir -p d; mkfifo d/p", "{ o: d/ }", "neither a file"),
        (
            "echo > o; echo '{\"a\": ' > metrics.json",
            "{ o: o }",
            "metrics.json cannot be read",
        ),
    ] {
        let flow = Flow::new(&format!(
            "version: 1\nstages:\n  a: {{ run: '{}', outputs: {outputs} }}\n",
            command.replace('\'', "''")
        ));
        let said = flow.expect(1, &["run"]);
        assert!(said.stderr.contains(words), "{command}: {}", said.stderr);
    }
}

#[test]
fn directories_keep_links_bits_and_empty_folders() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a:
    run: "mkdir -p {{ outputs.d }}/sub {{ outputs.d }}/empty; echo 1 > {{ outputs.d }}/sub/f; ln -s sub/f {{ outputs.d }}/l; printf '#!/bin/sh\necho hi\n' > {{ outputs.d }}/x; chmod +x {{ outputs.d }}/x"
    outputs: { d: d/ }
  b: { run: "cd {{ inputs.d }} && ./x > ../../../o && cat l >> ../../../o && ls | tr '\n' ' ' >> ../../../o", inputs: { d: a.d }, outputs: { o: o } }
"#,
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "hi\n1\nempty l sub x ");
    assert!(flow.path("artifacts/a/d/empty").is_dir());
    assert_eq!(
        std::fs::read_link(flow.path("artifacts/a/d/l"))
            .expect("link")
            .display()
            .to_string(),
        "sub/f"
    );
    flow.write("artifacts/a/d/more", "x");
    flow.expect(0, &["run"]);
    assert!(!flow.path("artifacts/a/d/more").exists());
}

#[test]
fn the_executable_bit_is_content() {
    use std::os::unix::fs::PermissionsExt;
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'cp {{ inputs.s }} {{ outputs.o }}', inputs: { s: s }, outputs: { o: o } }\n");
    flow.write("s", "x");
    flow.expect(0, &["run"]);
    std::fs::set_permissions(flow.path("s"), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    assert_eq!(
        flow.json(&["why", "a", "--json"])["reasons"]
            .as_array()
            .map(Vec::len),
        Some(0)
    );
}

#[test]
fn gates_are_judged_at_every_run() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a:
    run: "echo run >> {{ outputs.o }}; echo '{\"n\": {\"value\": 5, \"unit\": \"ns\"}, \"bad\": {\"value\": NaN}, \"text\": {\"value\": \"x\"}}' > metrics.json"
    outputs: { o: o }
    gates: [ { metric: n, max: 9 } ]
  b: { run: "cat {{ inputs.o }} > {{ outputs.o }}", inputs: { o: a.o }, outputs: { o: o } }
"#,
    );
    assert_eq!(flow.outcomes(&[]), ["a=executed", "b=executed"]);
    flow.edit("max: 9", "max: 4");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=skipped"]);
    let said = flow.expect(3, &["run", "--json"]);
    let all = events(&said.stdout);
    let gate = all
        .iter()
        .find(|event| event["event"] == "gate-failed")
        .expect("a gate event");
    assert_eq!(
        (
            &gate["stage"],
            &gate["metric"],
            &gate["value"],
            &gate["max"]
        ),
        (&"a".into(), &"n".into(), &5.into(), &4.0.into())
    );
    let end = all.last().expect("events");
    assert_eq!(
        (&end["event"], &end["gates_failed"], &end["skipped"]),
        (&"run-finished".into(), &1.into(), &1.into())
    );
    flow.edit("max: 4", "max: 4, on-fail: continue");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    flow.expect(3, &["run"]);
    for gate in [
        "metric: bad, max: 9",
        "metric: text, min: 0",
        "metric: gone, min: 0",
        "metric: n, min: 5.5",
    ] {
        let other = Flow::new(
            &flow
                .read("flow.yaml")
                .replace("metric: n, max: 4, on-fail: continue", gate),
        );
        let said = other.expect(3, &["run", "a"]);
        assert!(
            said.stderr.contains("gate failed"),
            "{gate}: {}",
            said.stderr
        );
    }
    flow.edit(
        "metric: n, max: 4, on-fail: continue",
        "metric: n, min: 5, max: 5",
    );
    flow.expect(0, &["run"]);
}

#[test]
fn two_stages_with_one_key_run_once() {
    let stage = "run: 'sleep 0.2; echo 1 > {{ outputs.o }}', outputs: { o: o }";
    let flow = Flow::new(&format!(
        "version: 1\nstages:\n  a: {{ {stage} }}\n  b: {{ {stage} }}\n"
    ));
    let mut outcomes = flow.outcomes(&["-j4"]);
    outcomes.sort();
    assert_eq!(outcomes, ["a=executed", "b=cached"]);
    assert_eq!(flow.read("artifacts/b/o"), "1\n");
}

#[test]
fn forced_and_invalidated_stages_run_again() {
    let flow = chain();
    flow.expect(0, &["run"]);
    assert_eq!(
        flow.outcomes(&["--force", "mid"]),
        ["prep=cached", "mid=executed"]
    );
    assert_eq!(
        flow.outcomes(&["--force"]),
        ["prep=executed", "mid=executed", "leaf=executed"]
    );
    flow.expect(0, &["invalidate", "prep"]);
    assert_eq!(flow.states(), ["prep=stale", "mid=stale", "leaf=stale"]);
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=executed", "mid=cached", "leaf=cached"]
    );
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    flow.expect(0, &["invalidate", "--downstream", "mid"]);
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=executed", "leaf=executed"]
    );
    flow.expect(2, &["invalidate", "nope"]);
}

#[test]
fn twice_finds_what_is_not_reproducible() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  good: { run: "echo 1 > {{ outputs.o }}", outputs: { o: o } }
  bad: { run: "echo same > {{ outputs.o }}; date +%N >> {{ outputs.o }}", outputs: { o: o } }
"#,
    );
    flow.expect(0, &["run", "--twice", "good"]);
    let said = flow.expect(1, &["run", "--twice"]);
    assert!(
        said.stderr
            .contains("bad: not reproducible: output 'o' differs at line 2: '"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("good: not"), "{}", said.stderr);
}

#[test]
fn expected_content_is_demanded_and_never_fetched_again() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'echo 1 > {{ outputs.o }} # {{ params.url }}', params: { url: x }, network: true, outputs: { o: { path: o, digest: DIGEST } } }\n",
    );
    let hex = blake3::hash(b"1\n").to_hex().to_string();
    flow.edit("DIGEST", &format!("\"b3:{}\"", "0".repeat(64)));
    let said = flow.expect(1, &["run"]);
    assert!(said.stderr.contains(&hex), "{}", said.stderr);
    flow.edit(&"0".repeat(64), &hex);
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    flow.edit("url: x", "url: y");
    assert_eq!(flow.states(), ["a=fresh"]);
    assert_eq!(flow.outcomes(&[]), ["a=cached"]);
}

#[test]
fn stages_see_only_what_they_are_given() {
    let flow = Flow::new(
        r#"
version: 1
env: [SHOWN]
env-volatile: [HIDDEN]
stages:
  a: { run: "ls -A > {{ outputs.o }}; env | cut -d= -f1 | sort >> {{ outputs.o }}; test -d \"$HOME\" && test -w \"$TMPDIR\"", inputs: { s: s }, outputs: { o: o } }
"#,
    );
    flow.write("s", "x");
    let said = crate::common::said(
        flow.command()
            .args(["run"])
            .env("SHOWN", "1")
            .env("HIDDEN", "1")
            .env("OTHER", "1"),
    );
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(
        flow.read("artifacts/a/o"),
        ".home\n.tmp\ninputs\no\nHIDDEN\nHOME\nPATH\nPWD\nSHOWN\nTMPDIR\n"
    );
    // A volatile variable is no part of the key, the other is.
    let again = |shown: &str, hidden: &str| {
        let said = crate::common::said(
            flow.command()
                .args(["run", "--json"])
                .env("SHOWN", shown)
                .env("HIDDEN", hidden)
                .env("NANOFLOW_NO_SNAPSHOT", "1"),
        );
        said.stdout.contains("\"executed\":1")
    };
    assert!(!again("1", "2"));
    assert!(again("2", "2"));
}

#[test]
fn an_input_that_changes_meanwhile_fails_the_stage() {
    let flow = Flow::new("version: 1\nstages:\n  a: { sandbox: off, run: 'echo new >> DIR/s; cat {{ inputs.s }} > {{ outputs.o }}', inputs: { s: s }, outputs: { o: o } }\n  b: { run: 'cat {{ inputs.o }} > {{ outputs.o }}', inputs: { o: a.o }, outputs: { o: o } }\n");
    flow.edit("DIR", &flow.path("").display().to_string());
    flow.write("s", "old\n");
    let said = flow.expect(1, &["run"]);
    assert!(
        said.stderr.contains("changed while the stage ran: s"),
        "{}",
        said.stderr
    );
    assert!(!flow.path("artifacts/a/o").exists());
    assert_eq!(flow.states(), ["a=failed", "b=blocked"]);
}

#[test]
fn profiles_and_settings_are_laid_over() {
    let flow = Flow::new(
        r#"
version: 1
params: { seed: 1 }
stages:
  a: { run: "echo {{ params.x }} {{ flow.seed }} {{ params.s }} > {{ outputs.o }}", aliases: [first], params: { x: 1, s: "{{ flow.seed }}" }, outputs: { o: o } }
profiles: { big: { params: { seed: 7 }, stages: { a: { params: { x: 100 } } } }, other: { stages: { a: { params: { x: 3 } } } } }
"#,
    );
    let result = |arguments: &[&str]| {
        let mut all = vec!["run", "a"];
        all.extend(arguments);
        flow.expect(0, &all);
        flow.read("artifacts/a/o")
    };
    assert_eq!(result(&[]), "1 1 1\n");
    assert_eq!(result(&["--profile", "big"]), "100 7 7\n");
    assert_eq!(
        result(&["--profile", "big", "--profile", "other"]),
        "3 7 7\n"
    );
    assert_eq!(
        result(&["--set", "first.x=hello world"]),
        "hello world 1 1\n"
    );
    flow.expect(2, &["run", "--profile", "bgi"]);
    flow.expect(2, &["run", "--set", "nope.x=1"]);
    flow.expect(2, &["run", "--set", "a.x"]);
}

#[test]
fn json_is_all_there_is_on_standard_output() {
    let flow = chain();
    let said = flow.expect(0, &["run", "--json"]);
    let all = events(&said.stdout);
    assert!(all.iter().all(|event| event["event"].is_string()));
    assert_eq!(
        flow.json(&["status", "--json"])["stages"][0],
        serde_json::json!({ "stage": "prep", "state": "fresh", "reason": null })
    );
    let shown = flow.json(&["show", "prep", "--json"]);
    assert_eq!(shown["outputs"]["o"]["bytes"], 4);
    assert_eq!(
        shown["outputs"]["o"]["digest"],
        format!("b3:{}", blake3::hash(b"abc\n").to_hex())
    );
    assert!(shown["seconds"].is_f64() && shown["peak_memory_bytes"].as_u64() > Some(0));
    for arguments in [
        ["runs", "--json"],
        ["graph", "--json"],
        ["doctor", "--json"],
        ["verify", "--json"],
        ["gc", "--json"],
    ] {
        flow.json(&arguments);
    }
    flow.write("flow.yaml", "version: 3\n");
    let said = flow.expect(2, &["run", "--json"]);
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr.starts_with("flow.yaml:1:10: "),
        "{}",
        said.stderr
    );
}

#[test]
fn garbage_goes_and_kept_runs_stay() {
    let flow = chain();
    flow.expect(0, &["run"]);
    flow.write("src/a.txt", "2\n");
    flow.expect(0, &["run"]);
    let first = flow.json(&["runs", "--json"])["runs"][1]["run"]
        .as_str()
        .expect("run")
        .to_string();
    flow.expect(0, &["runs", "--pin", &first]);
    flow.expect(0, &["gc", "--keep", "1"]);
    flow.write("src/a.txt", "a b c\n");
    assert_eq!(flow.states(), ["prep=fresh", "mid=fresh", "leaf=fresh"]);
    flow.expect(0, &["runs", "--unpin", &first]);
    flow.expect(0, &["gc", "--keep", "1"]);
    assert_ne!(flow.states()[0], "prep=fresh");
    flow.write("src/a.txt", "2\n");
    assert_eq!(
        flow.outcomes(&[]),
        ["prep=cached", "mid=cached", "leaf=cached"]
    );
    assert!(flow.run(&["diff", &first, "last"]).code == 2);
}

#[test]
fn lists_are_sorted_and_names_that_clash_are_kept_apart() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "mkdir d; echo a > d/f", outputs: { o: d/, f: e/f } }
  b: { run: "echo b > {{ outputs.f }}", outputs: { f: e/f } }
  c: { run: "find {{ inputs.l }} -type f | sort > {{ outputs.o }}; cat {{ inputs.m }} >> {{ outputs.o }}", inputs: { l: [s, b.f, s/x, a.f, a.o], m: [s/y, s/x] }, outputs: { o: o } }
"#,
    );
    flow.edit("echo a > d/f", "echo a > d/f; echo a > e/f");
    flow.write("s/x", "x\n");
    flow.write("s/y", "y\n");
    flow.expect(0, &["run"]);
    let text = flow.read("artifacts/c/o");
    assert_eq!(text.lines().count(), 8, "{text}");
    assert!(text.ends_with("x\ny\n"), "{text}");
    flow.edit("[s, b.f, s/x, a.f, a.o]", "[a.f, s/x, a.o, b.f, s]");
    assert_eq!(flow.outcomes(&["c"]), ["a=cached", "b=cached", "c=cached"]);
}

#[test]
fn two_checkouts_have_the_same_keys() {
    let (one, other) = (chain(), chain());
    one.expect(0, &["run"]);
    other.expect(0, &["run", "-j1"]);
    for stage in ["prep", "mid", "leaf"] {
        assert_eq!(
            one.json(&["show", stage, "--json"])["key"],
            other.json(&["show", stage, "--json"])["key"]
        );
    }
}

#[test]
fn hostile_file_names_go_through() {
    use std::os::unix::ffi::OsStrExt;
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'cat {{ inputs.s }} > {{ outputs.o }}; ls -R {{ inputs.d }} > /dev/null', inputs: { s: 's/*', d: s }, outputs: { o: o } }\n");
    for (position, name) in ["a b", "c'd\"e", "f\ng", "$(touch x)", "ü", "-n", "*"]
        .iter()
        .enumerate()
    {
        flow.write(&format!("s/{name}"), format!("{position}"));
    }
    std::fs::write(
        flow.path("s")
            .join(std::ffi::OsStr::from_bytes(b"\xff\xfe")),
        "x",
    )
    .expect("file");
    let said = flow.run(&["run"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let mut letters: Vec<char> = flow.read("artifacts/a/o").chars().collect();
    letters.sort_unstable();
    assert_eq!(letters.into_iter().collect::<String>(), "0123456x");
}
