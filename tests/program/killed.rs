//! nanoflow killed before each system call that changes something on the disk: whatever was done by then, the next run is right.
//!
//! The test traces the program (`ptrace`) and counts such calls of all its threads, so no place can be forgotten: a new one in the
//! code is a new place to be killed at.

use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

use crate::common::Flow;

const FLOW: &str = r#"
version: 1
stages:
  a:
    run: "mkdir -p {{ outputs.d }}/x; for i in 1 2 3; do cat {{ inputs.i }} > {{ outputs.d }}/x/$i; done; echo '{\"m\": {\"value\": 1}}' > metrics.json"
    inputs: { i: src }
    outputs: { d: d/ }
  b: { run: "cat {{ inputs.d }}/x/* > {{ outputs.o }}", inputs: { d: a.d }, outputs: { o: o } }
"#;

/// Calls before which the world is looked at.
fn matters(regs: &libc::user_regs_struct) -> bool {
    const CALLS: [libc::c_long; 14] = [
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_syncfs,
        libc::SYS_unlink,
        libc::SYS_unlinkat,
        libc::SYS_mkdir,
        libc::SYS_write,
        libc::SYS_pwrite64,
        libc::SYS_ftruncate,
        libc::SYS_chmod,
        libc::SYS_copy_file_range,
    ];
    let number = regs.orig_rax as libc::c_long;
    let makes = number == libc::SYS_openat && regs.rdx & libc::O_CREAT as u64 != 0;
    makes || CALLS.contains(&number)
}

/// Runs nanoflow and kills it before the call of this number. True if it came to that call; else it ran to its end.
fn killed_at(flow: &Flow, place: usize, counted: &mut usize) -> bool {
    let mut command = flow.command();
    command
        .args(["run", "-j2"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: one system call between fork and exec.
    unsafe {
        command.pre_exec(|| ptrace::traceme().map_err(std::io::Error::from));
    }
    let child = Pid::from_raw(command.spawn().expect("nanoflow").id() as i32);
    // Only what this thread traces: other tests wait for their own processes.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    waitpid(child, Some(flags)).expect("the stop at exec");
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
        | ptrace::Options::PTRACE_O_TRACECLONE
        | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(child, options).expect("options");
    ptrace::syscall(child, None).expect("go on");
    let mut inside: HashSet<Pid> = HashSet::new();
    *counted = 0;
    let mut killed = false;
    loop {
        let status = waitpid(None, Some(flags)).expect("a stop");
        match status {
            WaitStatus::PtraceSyscall(thread) => {
                if !inside.remove(&thread) {
                    inside.insert(thread);
                    let counts = ptrace::getregs(thread).is_ok_and(|regs| matters(&regs));
                    *counted += usize::from(counts);
                    if counts && *counted == place {
                        kill(child, Signal::SIGKILL).expect("kill");
                        killed = true;
                        continue;
                    }
                }
                let _ = ptrace::syscall(thread, None);
            }
            WaitStatus::Exited(process, _) | WaitStatus::Signaled(process, ..)
                if process == child =>
            {
                return killed
            }
            WaitStatus::Stopped(thread, signal) => {
                // A new thread begins with a stop that is no signal for it.
                let signal = Some(signal)
                    .filter(|signal| !matches!(signal, Signal::SIGSTOP | Signal::SIGTRAP));
                let _ = ptrace::syscall(thread, signal);
            }
            other => {
                if let Some(thread) = other.pid() {
                    let _ = ptrace::syscall(thread, None);
                }
            }
        }
    }
}

fn check(flow: &Flow, version: usize, place: usize) {
    flow.write("src", format!("{version}\n"));
    let mut counted = 0;
    let killed = killed_at(flow, place, &mut counted);
    flow.expect(0, &["verify"]);
    flow.expect(0, &["run"]);
    let expected = format!("{version}\n").repeat(3);
    assert_eq!(
        flow.read("artifacts/b/o"),
        expected,
        "killed before call {place}: {killed}"
    );
    assert_eq!(flow.read("artifacts/a/d/x/2"), format!("{version}\n"));
    assert_eq!(
        flow.outcomes(&[]),
        ["a=cached", "b=cached"],
        "killed before call {place}"
    );
    for folder in ["cache/work", "cache/tmp"] {
        let left = std::fs::read_dir(flow.path(folder))
            .expect("a folder")
            .count();
        assert_eq!(left, 0, "{folder} after call {place}");
    }
}

/// How many calls a run has that changes all.
fn calls(flow: &Flow) -> usize {
    flow.write("src", "0\n");
    let mut counted = 0;
    assert!(!killed_at(flow, usize::MAX, &mut counted));
    assert_eq!(flow.read("artifacts/b/o"), "0\n0\n0\n");
    assert!(counted > 40, "only {counted} calls were seen");
    counted
}

#[test]
fn killed_between_some_calls() {
    let flow = Flow::new(FLOW);
    let all = calls(&flow);
    // Each run of the test looks at other places.
    let from = std::process::id() as usize % (all / 10);
    for (number, place) in (from..=all).step_by(all / 10).enumerate() {
        check(&flow, number + 1, place.max(1));
    }
}

#[test]
#[ignore = "every place: minutes"]
fn killed_between_all_calls() {
    let flow = Flow::new(FLOW);
    let all = calls(&flow);
    println!("killed before each of {all} calls, twice");
    for place in 1..=all {
        check(&flow, place, place);
    }
    // From nothing: the first run of all makes the cache's folders too.
    for place in 1..=all {
        let flow = Flow::new(FLOW);
        check(&flow, 1, place);
    }
}
