//! A training that is killed by SIGKILL and run again ends with the same bytes as one that nothing ever disturbed.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

const FLOW: &str = "
version: 1
stages:
  corpus:
    uses: corpus
    params: { bytes: 60000, vocabulary: 300 }
    outputs: { train: train.bin, val: val.bin, tokenizer: tokenizer.json }
  train:
    uses: train
    inputs: { data: corpus.train, val: corpus.val, tokenizer: corpus.tokenizer, config: small.yaml }
    outputs: { model: model.safetensors, config: config.json, curve: loss.csv }
    checkpoint: true
";

const STEPS: u64 = 1500;

/// Dropout, so that the random numbers of a step have to be found again too.
const CONFIG: &str = "
model: { vocabulary: 300, block: 16, layers: 1, heads: 2, width: 16 }
training: { steps: 1500, batch: 4, accumulation: 2, dropout: 0.1, evaluate_every: 25, evaluate_sequences: 8 }
";

struct Flow {
    folder: tempfile::TempDir,
}

impl Flow {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        std::fs::write(folder.path().join("flow.yaml"), FLOW).expect("written");
        std::fs::write(folder.path().join("small.yaml"), CONFIG).expect("written");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nanoflow"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    fn run(&self) {
        let output = self.command(&["run", "train"]).output().expect("nanoflow");
        assert!(output.status.success(), "{output:?}");
    }

    fn start(&self) -> Child {
        let mut command = self.command(&["run", "train"]);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().expect("nanoflow")
    }

    /// What the newest run's training has printed so far.
    fn log(&self) -> String {
        let runs = std::fs::read_dir(self.path("cache/runs"));
        let mut runs: Vec<PathBuf> = runs
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        runs.sort();
        let newest = runs.pop().unwrap_or_default();
        std::fs::read_to_string(newest.join("logs/train.log")).unwrap_or_default()
    }

    /// Waits until the training that runs has looked at its losses at a step from `step` on.
    fn wait_for(&self, step: u64, child: &mut Child) {
        let start = Instant::now();
        while last_step(&self.log()) < Some(step) {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "nothing happens"
            );
            let ended = child.try_wait().expect("a state");
            assert!(ended.is_none(), "it ended before step {step}: {ended:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn results(&self) -> [Vec<u8>; 2] {
        [
            "artifacts/train/model.safetensors",
            "artifacts/train/loss.csv",
        ]
        .map(|name| std::fs::read(self.path(name)).expect("a result"))
    }
}

/// The last N of lines `step N: …`.
fn last_step(log: &str) -> Option<u64> {
    let mut lines = log.lines().rev();
    let (step, _) = lines.find_map(|line| line.strip_prefix("step ")?.split_once(':'))?;
    step.parse().ok()
}

/// Processes that work in this folder.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let folder = folder.canonicalize().expect("a folder");
    let entries = std::fs::read_dir("/proc").expect("/proc");
    entries
        .flatten()
        .filter(|entry| {
            std::fs::read_link(entry.path().join("cwd")).is_ok_and(|place| place == folder)
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

#[test]
fn a_training_killed_at_any_step_ends_with_the_bytes_of_one_that_was_not() {
    let whole = Flow::new();
    whole.run();
    let killed = Flow::new();
    // A third of the way each time, at a step that nobody chose.
    let chance = RandomState::new().hash_one("steps");
    for (index, whole_program) in [true, false].into_iter().enumerate() {
        let step = 100 + index as u64 * 600 + (chance >> (20 * index)) % 500;
        let mut child = killed.start();
        killed.wait_for(step, &mut child);
        if whole_program {
            child.kill().expect("killed");
        } else {
            let stage = processes_in(&killed.path("cache/work/train"));
            assert!(!stage.is_empty(), "no process of the stage");
            for process in stage {
                // One of them may be gone with the one before.
                let _ = kill(process, Signal::SIGKILL);
            }
        }
        let status = child.wait().expect("an end");
        assert!(!status.success(), "killed at {step}: {status:?}");
        assert!(!killed.path("artifacts/train").exists(), "half a result");
    }
    killed.run();
    let log = killed.log();
    let from = log
        .lines()
        .find_map(|line| line.strip_prefix("continues at step ")?.parse().ok());
    assert!(
        from.is_some_and(|step: u64| (650..STEPS).contains(&step)),
        "it did not go on where it was ({chance:x}): {log}"
    );
    assert!(
        killed.results() == whole.results(),
        "other bytes ({chance:x})"
    );
}
