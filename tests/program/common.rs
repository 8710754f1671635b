//! A flow in a folder of its own, and what the program says about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

pub struct Flow {
    folder: tempfile::TempDir,
}

#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Flow {
    /// A flow with this file.
    pub fn new(flow: &str) -> Flow {
        let made = Flow {
            folder: tempfile::tempdir().expect("a folder"),
        };
        made.write("flow.yaml", flow);
        made
    }

    /// A flow in a folder in memory, where syncing costs nothing.
    pub fn in_memory(flow: &str) -> Flow {
        let made = Flow {
            folder: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .expect("a folder"),
        };
        made.write("flow.yaml", flow);
        made
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        std::fs::write(path, text).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Replaces words in the flow file.
    pub fn edit(&self, old: &str, new: &str) {
        let text = self.read("flow.yaml");
        assert!(text.contains(old), "flow.yaml has no '{old}'");
        self.write("flow.yaml", text.replace(old, new));
    }

    /// The program with a clean environment, ready for arguments.
    pub fn command(&self) -> Command {
        program(self.folder.path())
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        said(self.command().args(arguments))
    }

    /// Runs and demands an exit code.
    pub fn expect(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.run(arguments);
        assert_eq!(
            said.code, code,
            "nanoflow {arguments:?}\nstdout:\n{}\nstderr:\n{}",
            said.stdout, said.stderr
        );
        said
    }

    /// One JSON object from standard output.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let said = self.run(arguments);
        serde_json::from_str(&said.stdout).unwrap_or_else(|error| {
            panic!("{arguments:?}: {error}\n{}\n{}", said.stdout, said.stderr)
        })
    }

    /// `stage=outcome` of every stage, in the order in which they ended.
    pub fn outcomes(&self, arguments: &[&str]) -> Vec<String> {
        let mut all = vec!["run", "--json"];
        all.extend(arguments);
        let said = self.run(&all);
        events(&said.stdout)
            .iter()
            .filter(|event| event["event"] == "stage-finished")
            .map(|event| {
                format!(
                    "{}={}",
                    event["stage"].as_str().unwrap_or(""),
                    event["outcome"].as_str().unwrap_or("")
                )
            })
            .collect()
    }

    /// `stage=state` of every stage.
    pub fn states(&self) -> Vec<String> {
        let status = self.json(&["status", "--json"]);
        let stages = status["stages"].as_array().cloned().unwrap_or_default();
        stages
            .iter()
            .map(|stage| {
                format!(
                    "{}={}",
                    stage["stage"].as_str().unwrap_or(""),
                    stage["state"].as_str().unwrap_or("")
                )
            })
            .collect()
    }
}

/// What a process used from its start to its end.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub cpu: Duration,
    /// Resident memory at its peak.
    pub peak_bytes: u64,
}

impl Used {
    /// Demands what is promised of a faulty flow file: two seconds and 500 MB. It is the processor's time that is looked at, as the
    /// time on the clock tells how busy the machine is.
    pub fn within_the_contract(&self, what: &dyn std::fmt::Debug) {
        assert!(self.cpu <= Duration::from_secs(2), "{what:?}: {self:?}");
        assert!(self.peak_bytes <= 500_000_000, "{what:?}: {self:?}");
    }
}

impl Flow {
    /// Runs, and tells what that used.
    pub fn measured(&self, arguments: &[&str]) -> (Said, Used) {
        let file = || tempfile::tempfile().expect("a file");
        let (mut stdout, mut stderr) = (file(), file());
        let mut command = self.command();
        command
            .args(arguments)
            .stdout(stdout.try_clone().expect("a file"))
            .stderr(stderr.try_clone().expect("a file"));
        // It is waited for below, by the call that tells what it used.
        #[allow(clippy::zombie_processes)]
        let child = command.spawn().expect("nanoflow starts");
        let pid = i32::try_from(child.id()).expect("a process");
        let mut status = 0;
        // SAFETY: a usage of zeros is one, and both pointers are to live values that the call only writes. The process is this
        // function's own and is waited for once.
        let (waited, usage) = unsafe {
            let mut usage: nix::libc::rusage = std::mem::zeroed();
            let waited = nix::libc::wait4(pid, &raw mut status, 0, &raw mut usage);
            (waited, usage)
        };
        assert_eq!(waited, pid, "{}", std::io::Error::last_os_error());
        let read = |file: &mut std::fs::File| {
            use std::io::{Read, Seek};
            let mut bytes = Vec::new();
            file.rewind().expect("a file");
            file.read_to_end(&mut bytes).expect("a file");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let code = nix::libc::WIFEXITED(status).then(|| nix::libc::WEXITSTATUS(status));
        let said = Said {
            code: code.unwrap_or(-1),
            stdout: read(&mut stdout),
            stderr: read(&mut stderr),
        };
        let time = |time: nix::libc::timeval| {
            let micros = time.tv_sec * 1_000_000 + time.tv_usec;
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        };
        let used = Used {
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        };
        (said, used)
    }
}

/// The program under test; `NANOFLOW_TEST_PROGRAM` names another one, such as one with a fault put in on purpose.
pub fn program(folder: &Path) -> Command {
    let own = || env!("CARGO_BIN_EXE_nanoflow").into();
    let mut command = Command::new(std::env::var_os("NANOFLOW_TEST_PROGRAM").unwrap_or_else(own));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null());
    command
}

pub fn said(command: &mut Command) -> Said {
    let output = command.output().expect("nanoflow starts");
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// JSON lines.
pub fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}
