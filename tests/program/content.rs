//! Content in every form in which it comes: what counts as a change, and what comes through whole.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::common::Flow;

const COPY: &str = "version: 1\nstages:\n  a: { run: 'cat {{ inputs.s }} > {{ outputs.o }}', inputs: { s: s }, outputs: { o: o } }\n";

#[test]
fn a_change_that_keeps_size_and_time_is_seen() {
    let flow = Flow::new(COPY);
    flow.write("s", "one\n");
    flow.expect(0, &["run"]);
    // Long ago, so that no look is too early to be trusted.
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
    let times = std::fs::FileTimes::new()
        .set_modified(old)
        .set_accessed(old);
    let set = || {
        std::fs::File::options()
            .write(true)
            .open(flow.path("s"))
            .and_then(|file| file.set_times(times))
            .expect("times");
    };
    set();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(flow.outcomes(&[]), ["a=cached"]);
    let before = flow.path("s").metadata().expect("s");
    flow.write("s", "two\n");
    set();
    let after = flow.path("s").metadata().expect("s");
    let same =
        |found: &std::fs::Metadata| (found.len(), found.ino(), found.mtime(), found.mtime_nsec());
    assert_eq!(same(&before), same(&after));
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    assert_eq!(flow.read("artifacts/a/o"), "two\n");
    // Another file in its place, with the old times: the inode tells.
    flow.write("other", "six\n");
    std::fs::rename(flow.path("other"), flow.path("s")).expect("rename");
    set();
    assert_eq!(flow.outcomes(&[]), ["a=executed"]);
    assert_eq!(flow.read("artifacts/a/o"), "six\n");
}

#[test]
fn a_time_in_the_future_or_long_past_is_no_content() {
    let flow = Flow::new(COPY);
    flow.write("s", "x\n");
    flow.expect(0, &["run"]);
    let hour = std::time::Duration::from_secs(3600);
    for time in [
        std::time::SystemTime::now() + hour,
        std::time::SystemTime::UNIX_EPOCH,
        std::time::SystemTime::now() - hour,
    ] {
        let times = std::fs::FileTimes::new().set_modified(time);
        std::fs::File::options()
            .write(true)
            .open(flow.path("s"))
            .and_then(|file| file.set_times(times))
            .expect("times");
        assert_eq!(flow.outcomes(&[]), ["a=cached"]);
    }
}

#[test]
fn what_changes_in_a_folder_meanwhile_is_named() {
    for (change, named) in [
        ("echo new > DIR/s/sub/f", "s/sub/f"),
        ("echo new > DIR/s/more", "s/more"),
        ("rm DIR/s/sub/f", "s/sub/f"),
        ("chmod +x DIR/s/sub/f", "s/sub/f"),
    ] {
        let flow = Flow::new(
            "version: 1\nsandbox: off\nstages:\n  a: { run: 'CHANGE; echo > {{ outputs.o }}', inputs: { d: s }, outputs: { o: o } }\n",
        );
        let change = change.replace("DIR", &flow.path("").display().to_string());
        flow.edit("CHANGE", &change);
        flow.write("s/sub/f", "old\n");
        let said = flow.expect(1, &["run"]);
        let words = format!("changed while the stage ran: {named}");
        assert!(said.stderr.contains(&words), "{words}: {}", said.stderr);
        assert!(!flow.path("artifacts/a/o").exists());
    }
}

#[test]
fn a_file_that_a_pattern_newly_matches_meanwhile_is_named() {
    let flow = Flow::new(
        "version: 1\nsandbox: off\nstages:\n  a: { run: 'echo > DIR/s/new.txt; echo > {{ outputs.o }}', inputs: { d: 's/*.txt' }, outputs: { o: o } }\n",
    );
    flow.edit("DIR", &flow.path("").display().to_string());
    flow.write("s/old.txt", "old\n");
    let said = flow.expect(1, &["run"]);
    assert!(
        said.stderr
            .contains("changed while the stage ran: s/new.txt"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_plugin_that_changes_meanwhile_makes_no_result() {
    let flow = Flow::new(
        "version: 1\nsandbox: off\nplugins: { p: p.sh }\nstages:\n  a: { uses: p, outputs: { o: o } }\n",
    );
    let script = format!(
        "#!/bin/sh\necho old > o\nsed s/old/new/ p > {0}/p.new 2>/dev/null || sed s/old/new/ {0}/p.sh > {0}/p.new\nchmod +x {0}/p.new; mv {0}/p.new {0}/p.sh\n",
        flow.path("").display()
    );
    flow.write("p.sh", script);
    std::fs::set_permissions(flow.path("p.sh"), std::fs::Permissions::from_mode(0o755))
        .expect("chmod");
    let said = flow.expect(1, &["run"]);
    assert!(
        said.stderr.contains("changed while the stage ran: p.sh"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_wrapper_that_changes_during_a_run_never_makes_a_wrong_result() {
    // The first stage changes the wrapper of the second before that is started.
    let flow = Flow::new(
        "version: 1\nsandbox: off\nstages:\n  a: { run: 'sed s/old/new/ DIR/w.yaml > DIR/x; mv DIR/x DIR/w.yaml; sed s/old/new/ DIR/w.sh > DIR/x; mv DIR/x DIR/w.sh; echo > {{ outputs.o }}', outputs: { o: o } }\n  b: { wrapper: w, inputs: { i: a.o }, outputs: { o: o } }\n",
    );
    let folder = flow.path("tool-wrappers/w");
    flow.edit("DIR/w.yaml", &format!("{}/wrapper.yaml", folder.display()));
    flow.edit("DIR", &folder.display().to_string());
    let yaml = "version: 1\ninputs: { i: required }\noutputs: { o: required }\nfiles: [w.sh]\nsteps: [[sh, w.sh], [sh, -c, 'echo old >> o']]\n";
    flow.write("tool-wrappers/w/wrapper.yaml", yaml);
    flow.write("tool-wrappers/w/w.sh", "echo old > {{ outputs.o }}\n");
    let _ = flow.run(&["run"]);
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "new\nnew\n");
    flow.write("tool-wrappers/w/wrapper.yaml", yaml);
    flow.write("tool-wrappers/w/w.sh", "echo old > {{ outputs.o }}\n");
    flow.expect(0, &["run", "b"]);
    assert_eq!(flow.read("artifacts/b/o"), "old\nold\n");
}

#[test]
fn what_is_not_declared_is_not_kept() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "echo 1 > {{ outputs.o }}; echo 2 > other; mkdir d; echo 3 > d/f", outputs: { o: o } }
  b: { run: "ls inputs/i > {{ outputs.o }}; test ! -e other", inputs: { i: a.o }, outputs: { o: o } }
"#,
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "o\n");
    let names: Vec<_> = std::fs::read_dir(flow.path("artifacts/a"))
        .expect("artifacts")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(names, ["o"]);
    assert_eq!(
        std::fs::read_dir(flow.path("cache/work"))
            .map(Iterator::count)
            .ok(),
        Some(0)
    );
}

#[test]
fn two_stages_may_use_one_name() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "echo a > {{ outputs.o }}", outputs: { o: out/same.txt } }
  b: { run: "echo b > {{ outputs.o }}", outputs: { o: out/same.txt } }
  c: { run: "cat {{ inputs.a }} {{ inputs.b }} > {{ outputs.o }}", inputs: { a: a.o, b: b.o }, outputs: { o: out/same.txt } }
"#,
    );
    flow.expect(0, &["run", "-j4"]);
    assert_eq!(flow.read("artifacts/a/out/same.txt"), "a\n");
    assert_eq!(flow.read("artifacts/b/out/same.txt"), "b\n");
    assert_eq!(flow.read("artifacts/c/out/same.txt"), "a\nb\n");
}

#[test]
fn folders_of_thousands_of_files_come_through() {
    let flow = Flow::in_memory(
        r#"
version: 1
stages:
  a: { run: "mkdir -p d/x/y; i=0; while [ $i -lt 3000 ]; do echo $i > d/x/$i; i=$((i+1)); done; : > d/x/y/empty", outputs: { d: d/ } }
  b: { run: "cat {{ inputs.d }}/x/[0-9]* | wc -l > {{ outputs.o }}; ls {{ inputs.d }}/x | wc -l >> {{ outputs.o }}", inputs: { d: a.d }, outputs: { o: o } }
"#,
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "3000\n3001\n");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    std::fs::remove_dir_all(flow.path("artifacts/a/d/x")).expect("artifacts");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    assert_eq!(flow.read("artifacts/a/d/x/2999"), "2999\n");
    assert_eq!(flow.read("artifacts/a/d/x/y/empty"), "");
    flow.expect(0, &["verify"]);
}

#[test]
fn nothing_is_something() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: ": > {{ outputs.f }}; mkdir -p {{ outputs.d }} {{ outputs.e }}/in/in", outputs: { f: f, d: d/, e: e/ } }
  b: { run: "wc -c < {{ inputs.f }} > {{ outputs.o }}; ls -A {{ inputs.d }} | wc -l >> {{ outputs.o }}; test -d {{ inputs.e }}/in/in; cat {{ inputs.s }}; ls {{ inputs.t }}", inputs: { f: a.f, d: a.d, e: a.e, s: none, t: hollow }, outputs: { o: o } }
"#,
    );
    flow.write("none", "");
    std::fs::create_dir(flow.path("hollow")).expect("folder");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "0\n0\n");
    assert!(flow.path("artifacts/a/d").is_dir() && flow.path("artifacts/a/e/in/in").is_dir());
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    // An empty folder in a folder is content.
    std::fs::create_dir(flow.path("hollow/more")).expect("folder");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=executed"]);
    // A folder where a file was.
    std::fs::remove_file(flow.path("none")).expect("file");
    std::fs::create_dir(flow.path("none")).expect("folder");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=executed"]);
}

#[test]
fn every_name_comes_through_a_folder() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "cp -R {{ inputs.s }} {{ outputs.d }}", inputs: { s: s }, outputs: { d: d/ } }
  b: { run: "cp -R {{ inputs.d }} {{ outputs.e }}", inputs: { d: a.d }, outputs: { e: e/ } }
"#,
    );
    let names: [&[u8]; 12] = [
        b"a b",
        b"new\nline",
        "\u{fc}\u{1f600}".as_bytes(),
        b"\xff\xfe",
        b"back\\slash",
        b"\\xff",
        b"quote'\"`",
        b"$(touch x)",
        b"-n",
        b"*?[a]",
        b"tab\tcr\r",
        b" ",
    ];
    for (number, name) in names.iter().enumerate() {
        let folder = flow.path("s").join(OsStr::from_bytes(name));
        std::fs::create_dir_all(&folder).expect("folder");
        std::fs::write(folder.join(OsStr::from_bytes(name)), number.to_string()).expect("file");
        std::os::unix::fs::symlink(OsStr::from_bytes(name), folder.join("link")).expect("link");
    }
    flow.expect(0, &["run"]);
    std::fs::remove_dir_all(flow.path("artifacts/b")).expect("artifacts");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    for (number, name) in names.iter().enumerate() {
        let name = OsStr::from_bytes(name);
        let folder = flow.path("artifacts/b/e").join(name);
        for file in [name, OsStr::new("link")] {
            let text = std::fs::read_to_string(folder.join(file)).expect("file");
            assert_eq!(text, number.to_string(), "{name:?}");
        }
        assert_eq!(std::fs::read_link(folder.join("link")).expect("link"), name);
    }
    assert_eq!(
        std::fs::read_dir(flow.path("artifacts/b/e"))
            .map(Iterator::count)
            .ok(),
        Some(names.len())
    );
    flow.expect(0, &["verify"]);
}

#[test]
fn a_link_must_lead_inside_whatever_is_on_the_way() {
    // By its words `s/../../out` stays inside; `s` is a link that leads up.
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'mkdir -p d/p/q d/r; echo > out; ln -s ../../r d/p/q/s; ln -s s/../../out d/p/q/l', outputs: { d: d/ } }\n",
    );
    let said = flow.expect(1, &["run"]);
    assert!(
        said.stderr.contains("outside the directory"),
        "{}",
        said.stderr
    );
    flow.edit("ln -s s/../../out d/p/q/l", "ln -s s/../p/none d/p/q/l");
    flow.expect(0, &["run"]);
    assert_eq!(
        std::fs::read_link(flow.path("artifacts/a/d/p/q/l")).ok(),
        Some("s/../p/none".into())
    );
}

#[test]
fn artifacts_of_outputs_that_moved_go() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'mkdir -p d/e; echo 1 > d/f; echo 2 > d/e/g', outputs: { o: d/ } }\n");
    flow.expect(0, &["run"]);
    flow.write("artifacts/a/mine", "kept");
    flow.edit("o: d/", "o: d/e/g");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/a/d/e/g"), "2\n");
    assert!(!flow.path("artifacts/a/d/f").exists());
    flow.edit("o: d/e/g", "o: d/f");
    flow.expect(0, &["run"]);
    assert!(!flow.path("artifacts/a/d/e").exists());
    assert_eq!(flow.read("artifacts/a/d/f"), "1\n");
    assert_eq!(flow.read("artifacts/a/mine"), "kept");
}

#[test]
fn a_look_right_after_a_change_is_not_trusted() {
    use nanoflow::store::{hash_bytes, Identity, Kind, Sighting, StatCache};
    let flow = Flow::new(COPY);
    flow.write("s", "new");
    let path = flow.path("s");
    let identity = Identity::of(&path.metadata().expect("s"));
    let newest = identity.mtime_ns.max(identity.ctime_ns);
    let (old, new) = (
        hash_bytes(Kind::File, b"old"),
        hash_bytes(Kind::File, b"new"),
    );
    // The look saw "old", and the change to "new" left no trace: the clock ticks in steps.
    for (age_ns, digest) in [(0, new), (1_000_000, new), (10_000_000_000, old)] {
        let sighting = Sighting {
            identity,
            look_ns: newest + age_ns,
            digest: old,
        };
        let cache = StatCache::of([(path.clone(), sighting)]);
        assert_eq!(cache.digest(&path).expect("s").0, digest, "{age_ns}");
    }
}

#[test]
fn every_byte_is_checked_on_its_way_out() {
    use nanoflow::store::{Access, RestoreError, Store};
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'echo 1 > f; mkdir d; echo 2 > d/g', outputs: { f: f, d: d/ } }\n");
    flow.expect(0, &["run"]);
    let store = Store::at(&flow.path(""));
    let key = store.action_keys().pop().expect("a result");
    let action = store.action(&key).expect("a result");
    for name in ["f", "d"] {
        let record = &action.outputs[name];
        let to = flow.path(&format!("out-{name}"));
        let out = || store.write_out(&record.digest, record.kind, &to, Access::ReadOnly);
        out().expect("whole");
        nanoflow::store::remove_all(&to).expect("removed");
        let object = match store.tree(&record.digest) {
            Ok(tree) => store.object_path(&tree.entries[0].file().expect("a file").0),
            Err(_) => store.object_path(&record.digest),
        };
        std::fs::remove_file(&object).expect("object");
        std::fs::write(&object, "3\n").expect("object");
        assert!(matches!(out(), Err(RestoreError::Damaged(_))), "{name}");
    }
}

#[test]
fn a_copied_file_of_a_wrapper_that_changes_makes_no_result() {
    let flow = Flow::new(
        "version: 1\nsandbox: off\nstages:\n  a: { run: 'echo new > DIR/data; echo > {{ outputs.o }}', outputs: { o: o } }\n  b: { wrapper: w, inputs: { i: a.o }, outputs: { o: o } }\n",
    );
    let folder = flow.path("tool-wrappers/w");
    flow.edit("DIR", &folder.display().to_string());
    flow.write("tool-wrappers/w/wrapper.yaml", "version: 1\ninputs: { i: required }\noutputs: { o: required }\ncopy: [data]\nsteps: [[cp, data, o]]\n");
    flow.write("tool-wrappers/w/data", "old\n");
    let said = flow.expect(1, &["run"]);
    assert!(
        said.stderr
            .contains("the wrapper changed while the stage ran: tool-wrappers/w/data"),
        "{}",
        said.stderr
    );
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "new\n");
    flow.write("tool-wrappers/w/data", "old\n");
    flow.expect(0, &["run", "b"]);
    assert_eq!(flow.read("artifacts/b/o"), "old\n");
}

/// Objects of the cache.
fn objects(flow: &Flow) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(flow.path("cache/objects")).expect("objects");
    let inside = folders
        .flatten()
        .flat_map(|folder| std::fs::read_dir(folder.path()).expect("objects"));
    inside.flatten().map(|file| file.path()).collect()
}

#[test]
fn objects_are_read_only_and_shared_with_nobody() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'echo 1 > f; mkdir d; echo 2 > d/g; echo 3 > x; chmod 777 x f', outputs: { f: f, d: d/, x: x } }\n");
    flow.expect(0, &["run"]);
    std::fs::remove_dir_all(flow.path("artifacts")).expect("artifacts");
    flow.expect(0, &["run"]);
    let objects = objects(&flow);
    assert!(objects.len() >= 4, "{objects:?}");
    for object in objects {
        let found = object.metadata().expect("an object");
        assert_eq!(found.mode() & 0o222, 0, "{}", object.display());
        assert_eq!(found.nlink(), 1, "{}", object.display());
    }
}

#[test]
fn garbage_is_what_no_kept_run_reaches() {
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "mkdir -p d/e; cp {{ inputs.s }} d/e/f; echo more > d/g; echo told", inputs: { s: s }, outputs: { d: d/ } }
  b: { run: "cat {{ inputs.d }}/e/f > {{ outputs.o }}", inputs: { d: a.d }, outputs: { o: o } }
"#,
    );
    for text in ["1\n", "2\n"] {
        flow.write("s", text);
        flow.expect(0, &["run"]);
    }
    std::thread::sleep(std::time::Duration::from_millis(60));
    // The newest run executed nothing; by the second look even a glance is enough.
    flow.expect(0, &["run"]);
    flow.expect(0, &["run"]);
    let before = objects(&flow).len();
    flow.expect(0, &["gc", "--keep", "1", "--dry-run"]);
    assert_eq!(objects(&flow).len(), before);
    assert_eq!(
        flow.json(&["runs", "--json"])["runs"]
            .as_array()
            .map(Vec::len),
        Some(4)
    );
    let gone = flow.json(&["gc", "--keep", "1", "--json"]);
    assert_eq!((&gone["runs"], &gone["actions"]), (&3.into(), &2.into()));
    // The first run's listing and its file, which is the content of both outputs.
    assert_eq!(gone["objects"], 2);
    assert_eq!(objects(&flow).len(), before - 2);
    flow.expect(0, &["verify"]);
    std::fs::remove_dir_all(flow.path("artifacts")).expect("artifacts");
    assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    assert_eq!(flow.read("artifacts/a/d/e/f"), "2\n");
    assert_eq!(flow.read("artifacts/b/o"), "2\n");
    assert_eq!(flow.expect(0, &["log", "a"]).stdout, "told\n");
    flow.write("s", "1\n");
    assert_eq!(flow.outcomes(&[]), ["a=executed", "b=executed"]);
}

#[test]
fn verify_names_all_that_is_damaged() {
    use nanoflow::store::Store;
    let made = || {
        let flow = Flow::new("version: 1\nstages:\n  a: { run: 'echo 1 > f; mkdir d; echo 2 > d/g', outputs: { f: f, d: d/ } }\n  b: { run: 'cat {{ inputs.f }} > o', inputs: { f: a.f }, outputs: { o: o } }\n");
        flow.expect(0, &["run"]);
        let (mut files, mut actions) = (Vec::new(), Vec::new());
        let store = Store::at(&flow.path(""));
        for key in store.action_keys() {
            let action = store.action(&key).expect("a result");
            actions.push((
                store.action_path(&key),
                key.to_string(),
                action.stage.clone(),
            ));
            for record in action.outputs.values() {
                files.push((
                    store.object_path(&record.digest),
                    record.digest.hex(),
                    action.stage.clone(),
                ));
                for entry in store
                    .tree(&record.digest)
                    .map(|tree| tree.entries)
                    .unwrap_or_default()
                {
                    let (digest, _) = entry.file().expect("a file");
                    files.push((
                        store.object_path(&digest),
                        digest.hex(),
                        action.stage.clone(),
                    ));
                }
            }
        }
        (flow, files, actions)
    };
    let (_, files, actions) = made();
    for at in 0..files.len() + actions.len() {
        for gone in [true, false] {
            let (flow, files, actions) = made();
            let all: Vec<_> = files.into_iter().chain(actions).collect();
            let (path, name, stage) = &all[at];
            let bytes = std::fs::read(path).expect("a file");
            std::fs::remove_file(path).expect("a file");
            if gone && path.extension().is_some() {
                // A result that is not there is none, and no damage.
                continue;
            }
            if !gone {
                let mut other = bytes.clone();
                let middle = other.len() / 2;
                other[middle] ^= 1;
                std::fs::write(path, other).expect("a file");
            }
            let said = flow.expect(5, &["verify"]);
            assert!(
                said.stdout.contains(name.as_str()),
                "{name}: {}",
                said.stdout
            );
            let is_object = path.extension().is_none();
            assert!(
                !is_object || said.stdout.contains(stage.as_str()),
                "{stage}: {}",
                said.stdout
            );
            flow.expect(0, &["verify"]);
            flow.expect(0, &["run"]);
            assert_eq!(flow.read("artifacts/b/o"), "1\n");
            assert_eq!(flow.read("artifacts/a/d/g"), "2\n");
            flow.expect(0, &["verify"]);
        }
    }
}
