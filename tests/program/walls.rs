//! The sandbox where the kernel has only one of its two walls, or none.

use std::os::unix::process::CommandExt;

use nix::libc;

use crate::common::{said, Flow, Said};

/// What the kernel is to lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    Landlock,
    /// Someone else listens to system calls already, as in some containers.
    Listener,
    Both,
}

/// Runs nanoflow as if on such a kernel: a filter makes the kernel's answers those of one that lacks it.
fn run(flow: &Flow, lacks: Lacks, arguments: &[&str]) -> Said {
    let mut command = flow.command();
    command.args(arguments);
    let filter = filter(lacks);
    // SAFETY: system calls only, with memory that was made before the fork.
    unsafe {
        command.pre_exec(move || install(&filter));
    }
    said(&mut command)
}

fn filter(lacks: Lacks) -> Vec<libc::sock_filter> {
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = |offset: u32| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0);
    let give = |result: u32| step(libc::BPF_RET | libc::BPF_K, result, 0, 0);
    let equal =
        |value: u32, no: u8| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, 0, no);
    let refuse = |error: i32| give(libc::SECCOMP_RET_ERRNO | error as u32);
    let mut steps = Vec::new();
    if lacks != Lacks::Listener {
        steps.push(load(0));
        steps.push(equal(libc::SYS_landlock_create_ruleset as u32, 1));
        steps.push(refuse(libc::ENOSYS));
    }
    if lacks != Lacks::Landlock {
        steps.push(load(0));
        steps.push(equal(libc::SYS_seccomp as u32, 3));
        // The flags.
        steps.push(load(24));
        let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32;
        steps.push(step(
            libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
            listener,
            0,
            1,
        ));
        steps.push(refuse(libc::EBUSY));
    }
    steps.push(give(libc::SECCOMP_RET_ALLOW));
    steps
}

fn install(filter: &[libc::sock_filter]) -> std::io::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies the program, which is alive.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    match done {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Two stages that reach no further than they may, and one that runs this line.
fn flow(line: &str) -> Flow {
    let flow = Flow::new("");
    let line = line.replace("FLOW/", &flow.path("").to_string_lossy());
    flow.write(
        "flow.yaml",
        format!(
            "version: 1\nstages:\n  good: {{ run: 'cat {{{{ inputs.i }}}} > {{{{ outputs.o }}}}', inputs: {{ i: secret.txt }}, outputs: {{ o: o.txt }} }}\n  fine: {{ run: 'echo x > {{{{ outputs.o }}}}', outputs: {{ o: o.txt }} }}\n  a: {{ run: {line:?}, outputs: {{ o: o.txt }} }}\n"
        ),
    );
    flow.write("secret.txt", "undeclared\n");
    flow
}

fn count(text: &str, words: &str) -> usize {
    text.matches(words).count()
}

#[test]
fn without_landlock_the_filter_stands_alone_and_that_is_said_once() {
    let refusals = [
        ("cat FLOW/secret.txt > {{ outputs.o }}", "reading "),
        (
            "echo x > FLOW/new.txt; echo x > {{ outputs.o }}",
            "writing ",
        ),
        ("chmod 777 FLOW/; echo x > {{ outputs.o }}", "changing mode"),
        (
            "bash -c 'exec 3<>/dev/tcp/127.0.0.1/9'; echo x > {{ outputs.o }}",
            "the network",
        ),
    ];
    for (line, words) in refusals {
        let flow = flow(line);
        let told = run(&flow, Lacks::Landlock, &["run", "-k"]);
        assert_eq!(told.code, 1, "{line}: {}", told.stderr);
        let words = format!("the sandbox refused {words}");
        assert!(told.stderr.contains(&words), "{words}: {}", told.stderr);
        let said = "this kernel has no Landlock: a seccomp filter alone";
        assert_eq!(count(&told.stderr, said), 1, "{}", told.stderr);
        assert!(!flow.path("new.txt").exists());
        // The others do well.
        assert_eq!(flow.read("artifacts/good/o.txt"), "undeclared\n");
        let quiet = run(&flow, Lacks::Landlock, &["run", "good", "fine"]);
        assert_eq!((quiet.code, count(&quiet.stderr, "Landlock")), (0, 0));
    }
}

#[test]
fn without_both_walls_stages_run_and_that_is_said_once() {
    let flow = flow("cat FLOW/secret.txt > {{ outputs.o }}");
    let told = run(&flow, Lacks::Both, &["run"]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let said = "stages are not kept from files that are not theirs";
    assert_eq!(count(&told.stderr, said), 1, "{}", told.stderr);
    assert_eq!(flow.read("artifacts/a/o.txt"), "undeclared\n");
}

#[test]
fn where_someone_listens_already_landlock_stands_alone() {
    if !has_landlock() {
        return;
    }
    let flow = flow("cat FLOW/secret.txt > {{ outputs.o }}");
    let told = run(&flow, Lacks::Listener, &["run", "-k"]);
    assert_eq!(told.code, 1, "{}", told.stderr);
    assert!(
        told.stderr.contains("the sandbox refused reading "),
        "{}",
        told.stderr
    );
    assert!(told.stderr.contains("secret.txt"), "{}", told.stderr);
    assert_eq!(count(&told.stderr, "Landlock"), 0, "{}", told.stderr);
    assert_eq!(flow.read("artifacts/good/o.txt"), "undeclared\n");
}

fn has_landlock() -> bool {
    let flow = flow("echo x > {{ outputs.o }}");
    let has = !flow.expect(0, &["run"]).stderr.contains("no Landlock");
    if !has {
        eprintln!("skipped: this kernel has no Landlock");
    }
    has
}
