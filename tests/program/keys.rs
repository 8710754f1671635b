//! What is not in a key: where the checkout lies, who runs it, umask, home, language. And what only another format has is never
//! taken.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nanoflow::key::{Preimage, FORMAT};
use nanoflow::store::{Action, Store};

use crate::common::{program, said, Flow};

/// A stage of each kind that is sensitive to the world around: an executable, a folder, sorted text, two inputs.
const FLOW: &str = r#"
version: 1
plugins: { p: p.sh }
stages:
  a: { run: "sort {{ inputs.s }} > {{ outputs.o }}; date -d @0 +%c >> {{ outputs.o }}; mkdir -p d/in; echo x > d/in/f; printf '#!/bin/sh\n' > d/x; chmod +x d/x", inputs: { s: 'src/*' }, outputs: { o: o, d: d/ } }
  b: { uses: p, inputs: { d: a.d, o: a.o, t: src }, outputs: { o: sub/o } }
  c: { wrapper: w, inputs: { o: b.o }, outputs: { o: o } }
"#;

fn flow() -> Flow {
    let flow = Flow::new(FLOW);
    fill(&flow);
    flow
}

fn fill(flow: &Flow) {
    use std::os::unix::fs::PermissionsExt;
    flow.write("src/1", "b\nA\nä\na\n");
    flow.write("src/2", "B\nÄ\n");
    flow.write("p.sh", "#!/bin/sh\nls -R inputs > sub/o\n");
    flow.write(
        "tool-wrappers/w/wrapper.yaml",
        "version: 1\ntools: [{ program: sh, version: [sh, -c, 'echo 1.0'] }]\ninputs: { o: required }\noutputs: { o: required }\nsteps: [[sh, -c, 'cp inputs/o/o o']]\n",
    );
    std::fs::set_permissions(flow.path("p.sh"), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
}

/// Keys and digests of all results.
fn results(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for stage in ["a", "b", "c"] {
        let said = said(program(folder).args(["show", stage, "--json"]));
        let shown: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        found.push(format!("{} {}", shown["key"], shown["outputs"]));
    }
    found
}

#[test]
fn home_language_and_time_zone_change_nothing() {
    let plain = flow();
    plain.expect(0, &["run"]);
    let must = results(&plain.path(""));
    for variables in [
        vec![("HOME", "/nowhere"), ("USER", "somebody"), ("LOGNAME", "x")],
        vec![
            ("LANG", "de_DE.UTF-8"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "Asia/Tokyo"),
        ],
        vec![("TMPDIR", "/"), ("XDG_CACHE_HOME", "/x"), ("SHELL", "/x")],
    ] {
        let other = flow();
        let said = said(other.command().arg("run").envs(variables.clone()));
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert_eq!(results(&other.path("")), must, "{variables:?}");
        let again = crate::common::said(plain.command().args(["run", "--json"]).envs(variables));
        assert!(again.stdout.contains("\"executed\":0"), "{}", again.stdout);
    }
}

#[test]
fn another_umask_changes_nothing() {
    let plain = flow();
    plain.expect(0, &["run"]);
    let must = results(&plain.path(""));
    for mask in ["077", "000", "027", "0177"] {
        let other = flow();
        let line = format!("umask {mask}; exec \"$0\" run");
        let mut command = Command::new("/bin/sh");
        let own = other.command();
        command
            .args(["-c", &line])
            .arg(own.get_program())
            .current_dir(other.path(""))
            .stdin(Stdio::null());
        let said = said(&mut command);
        // With 0177 only root can enter the folders that are made.
        let root = nix::unistd::geteuid().is_root();
        if mask == "0177" && !root {
            continue;
        }
        assert_eq!(said.code, 0, "umask {mask}: {}", said.stderr);
        assert_eq!(results(&other.path("")), must, "umask {mask}");
    }
}

#[test]
fn another_place_changes_nothing() {
    let one = flow();
    one.expect(0, &["run"]);
    let must = results(&one.path(""));
    let folder = tempfile::tempdir().expect("a folder");
    let moved = folder.path().join("a longer name/than 'before'");
    std::fs::create_dir_all(moved.parent().expect("a parent")).expect("a folder");
    let status = Command::new("cp")
        .args(["-R", "-p"])
        .arg(one.path(""))
        .arg(&moved)
        .status();
    assert!(status.expect("cp").success());
    let said = said(program(&moved).args(["run", "--json"]));
    assert!(said.stdout.contains("\"executed\":0"), "{}", said.stdout);
    assert_eq!(results(&moved), must);
    // Made anew there, too.
    std::fs::remove_dir_all(moved.join("cache")).expect("cache");
    assert_eq!(crate::common::said(program(&moved).arg("run")).code, 0);
    assert_eq!(results(&moved), must);
}

#[test]
fn another_user_changes_nothing() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let one = flow();
    one.expect(0, &["run"]);
    let other = flow();
    // The other user may not be able to enter the folder that the program lies in.
    let binary = other.path("nanoflow-copy");
    std::fs::copy(other.command().get_program(), &binary).expect("copy");
    let owner = format!("{0}:{0}", 65534);
    let status = Command::new("chown")
        .args(["-R", &owner])
        .arg(other.path(""))
        .status();
    assert!(status.expect("chown").success());
    let mut command = Command::new(&binary);
    command
        .arg("run")
        .current_dir(other.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .uid(65534)
        .gid(65534);
    let said = said(&mut command);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert_eq!(results(&other.path("")), results(&one.path("")));
}

#[test]
fn the_order_of_stages_and_lists_changes_no_key() {
    let stages = [
        "  a: { run: 'echo a > {{ outputs.o }}', outputs: { o: o } }\n",
        "  b: { run: 'echo b > {{ outputs.o }}', outputs: { o: o } }\n",
        "  c: { run: 'cat {{ inputs.l }} > {{ outputs.o }}', inputs: { l: [a.o, b.o] }, outputs: { o: o } }\n",
    ];
    let filler: String = (0..12)
        .map(|number| format!("  x{number}: {{ run: 'true' }}\n"))
        .collect();
    let flow = Flow::new(&format!("version: 1\nstages:\n{}", stages.concat()));
    flow.expect(0, &["run"]);
    let text = flow.read("artifacts/c/o");
    for text in [
        format!(
            "version: 1\nstages:\n{}{}{}",
            stages[1], stages[2], stages[0]
        ),
        format!(
            "version: 1\nstages:\n{}{filler}{}{}",
            stages[0], stages[1], stages[2]
        ),
        format!(
            "version: 1\nstages:\n{}",
            stages.concat().replace("[a.o, b.o]", "[b.o, a.o]")
        ),
    ] {
        flow.write("flow.yaml", &text);
        assert_eq!(
            flow.json(&["why", "c", "--json"])["state"],
            "fresh",
            "{text}"
        );
    }
    flow.expect(0, &["run", "c"]);
    assert_eq!(flow.read("artifacts/c/o"), text);
}

#[test]
fn an_absolute_path_is_no_part_of_a_key() {
    let made = |flow: &Flow| {
        for name in ["1", "2"] {
            flow.write(&format!("else/{name}.txt"), name);
        }
        let place = flow.path("else").display().to_string();
        flow.edit("PLACE", &place);
        flow.expect(0, &["run"]);
        flow.json(&["show", "a", "--json"])["key"].clone()
    };
    let text = "version: 1\nstages:\n  a: { run: 'cat {{ inputs.g }} {{ inputs.l }} {{ inputs.o }} > {{ outputs.o }}', inputs: { g: 'PLACE/*.txt', l: [PLACE/1.txt, PLACE/2.txt], o: PLACE/1.txt }, outputs: { o: o } }\n";
    let (one, other) = (Flow::new(text), Flow::new(text));
    assert_eq!(made(&one), made(&other));
    assert_eq!(one.read("artifacts/a/o"), "12121");
}

#[test]
fn a_result_of_another_format_is_never_taken() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'echo new > {{ outputs.o }}', outputs: { o: o } }\n",
    );
    flow.expect(0, &["run"]);
    let store = Store::at(&flow.path(""));
    let key = store.action_keys().pop().expect("a result");
    let action = Action::clone(&*store.action(&key).expect("a result"));
    let old = Preimage {
        format: FORMAT - 1,
        ..action.preimage.clone()
    };
    // As the nanoflow of that format left it, under its own key.
    let theirs = Action {
        key: old.key(),
        preimage: old.clone(),
        ..action.clone()
    };
    assert_ne!(theirs.key, key);
    store.record(theirs).expect("written");
    store.drop_action(&key);
    assert_eq!(flow.states(), ["a=stale"]);
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    // And wherever it lies: it means something else.
    let misplaced = Action {
        preimage: old,
        ..action
    };
    store.record(misplaced).expect("written");
    std::fs::remove_dir_all(flow.path("cache/memo")).expect("memo");
    assert_ne!(flow.states(), ["a=fresh"]);
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
}

#[test]
fn the_number_of_threads_is_no_part_of_a_key() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'echo {{ resources.cpu }} > threads; echo x > {{ outputs.o }}', outputs: { o: o }, resources: { cpu: 1 } }\n",
    );
    flow.expect(0, &["run", "-j4"]);
    flow.edit("cpu: 1 }", "cpu: 3, memory: 1MiB }");
    assert_eq!(flow.outcomes(&["-j4"]), ["a=cached"]);
    assert_eq!(flow.outcomes(&["-j1"]), ["a=cached"]);
}

#[test]
fn a_flow_parameter_that_nothing_uses_is_no_part_of_a_key() {
    let flow = Flow::new(
        "version: 1\nparams: { used: 1, other: 1 }\nstages:\n  a: { run: 'echo {{ flow.used }} > {{ outputs.o }}', outputs: { o: o } }\n  b: { run: [sh, -c, 'echo 1 > o'], outputs: { o: o } }\n",
    );
    flow.expect(0, &["run"]);
    flow.edit("other: 1", "other: 2");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    flow.edit("used: 1", "used: 2");
    assert_eq!(flow.outcomes(&[]), ["b=cached", "a=executed"]);
}
