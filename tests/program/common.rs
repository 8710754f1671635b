//! A flow in a folder of its own, and what the program says about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
