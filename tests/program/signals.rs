//! Ends that were not planned: nothing of a stage outlives nanoflow.

use std::ops::{Deref, DerefMut};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::Flow;

/// A stage that ignores signals and starts processes in every way that might escape. A program that is only about to be
/// started when its stage ends cannot be, so there is time to.
const STUBBORN: &str = r#"
version: 1
stages:
  a:
    run: "trap '' TERM INT HUP; (setsid sleep MARK &) ; sleep MARK & sleep MARK | sleep MARK; echo x > {{ outputs.o }}"
    outputs: { o: o.txt }
  tidy: { run: "(setsid sleep MARK > /dev/null 2>&1 &); sleep MARK & sleep 0.3; echo x > {{ outputs.o }}", outputs: { o: o.txt } }
"#;

/// When a process began, in clock ticks since the machine did; from the text of its `stat`.
fn began(stat: &str) -> Option<u64> {
    let fields = stat.rsplit(')').next()?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// Processes of this mark that live. Those that began before these tests did are somebody else's.
fn alive(mark: &str) -> usize {
    let own = std::fs::read_to_string("/proc/self/stat").expect("/proc");
    let own = began(&own);
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&words).replace('\0', " ");
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let lives = !stat.contains(") Z") && began(&stat) >= own;
        count += usize::from(text.trim() == format!("sleep {mark}") && lives);
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

/// A run that is under way; one that a failed test leaves is killed, and its stages with it.
struct Running(Child);

impl Running {
    fn start(flow: &Flow, target: &str) -> Running {
        let mut command = flow.command();
        command.args(["run", target]).stderr(Stdio::null());
        Running(command.spawn().expect("nanoflow starts"))
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(flow: &Flow, mark: &str) -> Running {
    let child = Running::start(flow, "a");
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
fn interrupted_once_it_stops_in_two_seconds_and_twice_at_once() {
    for (times, mark, limit) in [(1, "86421", 2000), (2, "86422", 1000)] {
        let flow = Flow::new(&STUBBORN.replace("MARK", mark));
        let mut child = start(&flow, mark);
        let sent = Instant::now();
        for _ in 0..times {
            signal(&child, "INT");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(child.wait().expect("end").code(), Some(130));
        // Other tests run meanwhile; what is compared is with the 1.5 s that a stage has to stop by itself.
        assert!(
            sent.elapsed() < Duration::from_millis(limit) * slow(),
            "{times}: {:?}",
            sent.elapsed()
        );
        wait_until("the end", || alive(mark) == 0);
    }
}

/// How much slower than it should be a busy machine may be: more processes that want to run than processors.
fn slow() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load
        .split('.')
        .next()
        .and_then(|load| load.parse::<usize>().ok())
        .unwrap_or(0);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(1 + load / processors).unwrap_or(1)
}

/// A well-behaved stage ends by itself when asked, with time to clean up.
#[test]
fn a_stage_may_clean_up() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: \"trap 'sleep 0.2; echo cleaned; exit 1' TERM; sleep 86423 & wait\", outputs: { o: o } }\n");
    let mut child = Running::start(&flow, "a");
    wait_until("the stage starts", || alive("86423") == 1);
    signal(&child, "INT");
    assert_eq!(child.wait().expect("end").code(), Some(130));
    let run = std::fs::read_dir(flow.path("cache/runs"))
        .expect("runs")
        .flatten()
        .next();
    let log = run.expect("a run").path().join("logs/a.log");
    assert_eq!(std::fs::read_to_string(log).expect("a log"), "cleaned\n");
    assert_eq!(alive("86423"), 0);
}

/// Processes whose parent this is, and what they call themselves.
fn children(parent: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().to_string();
        if fields.split_whitespace().nth(1) == Some(&parent.to_string()) {
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push((pid, String::from_utf8_lossy(&words).replace('\0', " ")));
        }
    }
    found
}

fn kill_nine(pids: &[u32]) {
    let words: Vec<String> = pids.iter().map(u32::to_string).collect();
    let status = std::process::Command::new("kill")
        .arg("-9")
        .args(&words)
        .status();
    assert!(status.expect("kill").success());
}

/// The process that starts stages, and the one that guards the stage that runs.
fn keeper_and_guard(child: &Child) -> (u32, u32) {
    let keepers = children(child.id());
    let [(keeper, name)] = keepers.as_slice() else {
        panic!("{keepers:?}");
    };
    assert!(name.starts_with("stage-keeper"), "{name}");
    let guards = children(*keeper);
    let [(guard, _)] = guards.as_slice() else {
        panic!("{guards:?}");
    };
    (*keeper, *guard)
}

#[test]
fn whatever_is_killed_no_child_is_left() {
    type Which = fn(u32, u32, u32) -> Vec<u32>;
    let cases: [(&str, &str, Which); 4] = [
        ("the guard", "86431", |_, _, guard| vec![guard]),
        ("nanoflow and its keeper", "86432", |own, keeper, _| {
            vec![own, keeper]
        }),
        ("nanoflow and the guard", "86433", |own, _, guard| {
            vec![own, guard]
        }),
        ("the keeper, then nanoflow", "86434", |own, keeper, _| {
            vec![keeper, own]
        }),
    ];
    for (what, mark, which) in cases {
        let flow = Flow::new(&STUBBORN.replace("MARK", mark));
        let mut child = start(&flow, mark);
        let (keeper, guard) = keeper_and_guard(&child);
        kill_nine(&which(child.id(), keeper, guard));
        let code = child.wait().expect("end").code();
        wait_until(what, || alive(mark) == 0);
        if what == "the guard" {
            assert_eq!(code, Some(1));
            assert_eq!(flow.states()[0], "a=failed");
        }
        flow.expect(0, &["run", "tidy"]);
    }
}

#[test]
fn without_its_keeper_a_run_goes_on() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'sleep 1; echo x > {{ outputs.o }}', outputs: { o: o } }\n  b: { run: 'cat {{ inputs.i }} > {{ outputs.o }}', inputs: { i: a.o }, outputs: { o: o } }\n",
    );
    let mut child = Running::start(&flow, "b");
    wait_until("the stage starts", || {
        children(child.id())
            .iter()
            .any(|(keeper, _)| !children(*keeper).is_empty())
    });
    let (keeper, _) = keeper_and_guard(&child);
    kill_nine(&[keeper]);
    assert!(child.wait().expect("end").success());
    assert_eq!(flow.read("artifacts/b/o"), "x\n");
}

#[test]
fn stopped_processes_and_daemons_end_too() {
    let mark = "86441";
    let daemon = "import os, sys\nif os.fork(): sys.exit()\nos.setsid()\nif os.fork(): sys.exit()\nos.close(1); os.close(2)\nos.execvp('sleep', ['sleep', 'MARK'])\n";
    let flow = Flow::new(
        &"version: 1\nstages:\n  a: { run: 'python3 {{ inputs.d }}; sleep MARK & sleep 0.5; kill -STOP $!; sleep MARK', inputs: { d: daemon.py }, outputs: { o: o } }\n  tidy: { run: 'python3 {{ inputs.d }}; echo x > {{ outputs.o }}', inputs: { d: daemon.py }, outputs: { o: o } }\n"
            .replace("MARK", mark),
    );
    flow.write("daemon.py", daemon.replace("MARK", mark));
    flow.expect(0, &["run", "tidy"]);
    assert_eq!(alive(mark), 0);
    for name in ["INT", "KILL"] {
        let mut child = Running::start(&flow, "a");
        wait_until("the stage starts", || alive(mark) == 3);
        signal(&child, name);
        let _ = child.wait();
        wait_until(name, || alive(mark) == 0);
    }
}

#[test]
fn a_good_stage_leaves_no_child() {
    let mark = "86414";
    let flow = Flow::new(&STUBBORN.replace("MARK", mark));
    flow.expect(0, &["run", "tidy"]);
    assert_eq!(alive(mark), 0);
}

/// Not at the end of the run, when all that is left is ended anyway: as soon as the stage has ended.
#[test]
fn a_good_stage_s_children_are_gone_when_the_next_one_runs() {
    let (mark, next) = ("86416", "86417");
    let text = format!(
        "{STUBBORN}  next: {{ run: 'cat {{{{ inputs.o }}}}; sleep {next}; echo x > {{{{ outputs.o }}}}', inputs: {{ o: tidy.o }}, outputs: {{ o: o.txt }} }}\n"
    );
    let flow = Flow::new(&text.replace("MARK", mark));
    let mut child = Running::start(&flow, "next");
    wait_until("the next stage runs", || alive(next) == 1);
    let left = alive(mark);
    signal(&child, "KILL");
    child.wait().expect("end");
    assert_eq!(left, 0, "left by the stage before");
}

/// Processes that were started for this flow and still live.
fn helpers(flow: &Flow) -> Vec<String> {
    let folder = flow.path("").canonicalize().expect("a folder");
    let folder = folder.to_string_lossy();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words).replace('\0', " ");
        if words.starts_with("stage-keeper") && words.contains(folder.trim_end_matches('/')) {
            found.push(words);
        }
    }
    found
}

#[test]
fn keeper_and_guards_are_gone_when_nanoflow_is() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'cat {{ inputs.i }} > {{ outputs.o }}', inputs: { i: src }, outputs: { o: o } }\n  b: { run: 'grep -v 7 {{ inputs.i }} > {{ outputs.o }}', inputs: { i: a.o }, outputs: { o: o } }\n  long: { run: 'sleep 86451; echo x > {{ outputs.o }}', outputs: { o: o } }\n",
    );
    for version in 0..20 {
        flow.write("src", format!("{version}\n"));
        let said = flow.run(&["run", "b"]);
        let left = helpers(&flow);
        assert!(left.is_empty(), "after run {version}: {left:?}");
        let fails = version % 10 == 7;
        assert_eq!(said.code, i32::from(fails), "{version}: {}", said.stderr);
    }
    for name in ["INT", "TERM"] {
        let mut child = Running::start(&flow, "long");
        wait_until("the stage starts", || alive("86451") == 1);
        signal(&child, name);
        child.wait().expect("end");
        let left = helpers(&flow);
        assert!(left.is_empty(), "after {name}: {left:?}");
        assert_eq!(alive("86451"), 0);
    }
}

#[test]
fn a_second_run_waits_or_says_so() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: 'sleep 1; echo x > {{ outputs.o }}', outputs: { o: o } }\n");
    let mut first = Running::start(&flow, "a");
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

/// A stage that ends well when it is asked to stop was not let do its work.
#[test]
fn what_an_interrupted_stage_wrote_is_no_result() {
    let flow = Flow::new("version: 1\nstages:\n  a: { run: \"trap 'echo half > {{ outputs.o }}; exit 0' TERM; sleep 86424 & wait; echo whole > {{ outputs.o }}\", outputs: { o: o } }\n");
    let mut child = Running::start(&flow, "a");
    wait_until("the stage starts", || alive("86424") == 1);
    signal(&child, "INT");
    assert_eq!(child.wait().expect("end").code(), Some(130));
    assert!(!flow.path("artifacts/a/o").exists());
    flow.edit("sleep 86424", "sleep 0");
    flow.edit("sleep 0", "sleep 86424");
    assert_eq!(flow.states(), ["a=never-ran"]);
}
