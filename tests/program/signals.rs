//! Ends that were not planned: nothing of a stage outlives nanoflow.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::Flow;

/// A stage that ignores signals and starts processes in every way that might escape.
const STUBBORN: &str = r#"
version: 1
stages:
  a:
    run: "trap '' TERM INT HUP; (setsid sleep MARK &) ; sleep MARK & sleep MARK | sleep MARK; echo x > {{ outputs.o }}"
    outputs: { o: o.txt }
  tidy: { run: "(setsid sleep MARK > /dev/null 2>&1 &); sleep MARK & echo x > {{ outputs.o }}", outputs: { o: o.txt } }
"#;

fn alive(mark: &str) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&words).replace('\0', " ");
        let state = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        count += usize::from(text.trim() == format!("sleep {mark}") && !state.contains(") Z"));
    }
    count
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn start(flow: &Flow, mark: &str) -> Child {
    let child = flow
        .command()
        .args(["run", "a"])
        .stderr(Stdio::null())
        .spawn()
        .expect("run");
    wait_until("the stage starts", || alive(mark) >= 4);
    child
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(status.expect("kill").success());
}

#[test]
fn signals_leave_no_child() {
    for (name, code, mark) in [
        ("INT", Some(130), "86411"),
        ("TERM", Some(143), "86412"),
        ("KILL", None, "86413"),
    ] {
        let flow = Flow::new(&STUBBORN.replace("MARK", mark));
        let mut child = start(&flow, mark);
        assert_eq!(flow.states()[0], "a=running");
        signal(&child, name);
        let sent = Instant::now();
        assert_eq!(child.wait().expect("end").code(), code, "{name}");
        assert!(
            sent.elapsed() < Duration::from_secs(6),
            "{name}: {:?}",
            sent.elapsed()
        );
        wait_until(name, || alive(mark) == 0);
        assert_eq!(flow.states()[0], "a=never-ran");
    }
}

#[test]
fn a_good_stage_leaves_no_child() {
    let mark = "86414";
    let flow = Flow::new(&STUBBORN.replace("MARK", mark));
    flow.expect(0, &["run", "tidy"]);
    assert_eq!(alive(mark), 0);
}

#[test]
fn a_second_run_waits_or_says_so() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'sleep 1; echo x > {{ outputs.o }}', outputs: { o: o } }\n");
    let mut first = flow
        .command()
        .args(["run"])
        .stderr(Stdio::null())
        .spawn()
        .expect("run");
    wait_until("the first run starts", || flow.states()[0] == "a=running");
    let started = Instant::now();
    let said = flow.expect(5, &["run", "--no-wait"]);
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(
        said.stderr.contains(&first.id().to_string()),
        "{}",
        said.stderr
    );
    for command in [&["status"][..], &["why", "a"], &["log", "a"]] {
        flow.expect(0, command);
    }
    let said = flow.expect(0, &["run", "--json"]);
    assert!(
        said.stderr.contains("waiting") && said.stderr.contains(&first.id().to_string()),
        "{}",
        said.stderr
    );
    assert!(said.stdout.contains("\"cached\":1"));
    assert!(first.wait().expect("end").success());
}
