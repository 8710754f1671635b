//! What a whole process costs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{getrusage, UsageWho};

/// The word that makes the benchmark run one command and tell what it cost.
pub const HELPER: &str = "__measure";

/// Cost of one process with all that it waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Of the largest process.
    pub peak_bytes: u64,
}

/// A command line.
pub struct Program {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    pub fn nanoflow(arguments: &[&str]) -> Program {
        Program {
            program: env!("CARGO_BIN_EXE_nanoflow").into(),
            arguments: arguments.iter().map(|word| (*word).to_string()).collect(),
        }
    }

    pub fn ninja(arguments: &[&str]) -> Option<Program> {
        let arguments = arguments.iter().map(|word| (*word).to_string());
        Some(Program {
            program: which::which("ninja").ok()?,
            arguments: arguments.collect(),
        })
    }

    /// `b3sum` on these files, with two threads.
    pub fn b3sum(files: Vec<String>) -> Option<Program> {
        let mut arguments = vec!["--num-threads".to_string(), "2".to_string()];
        arguments.extend(files);
        Some(Program {
            program: which::which("b3sum").ok()?,
            arguments,
        })
    }

    /// Runs it in a process of its own, so that the largest process of all is one of its.
    pub fn cost(&self, dir: &Path) -> Cost {
        let output = Command::new(std::env::current_exe().expect("this program"))
            .arg(HELPER)
            .arg(&self.program)
            .args(&self.arguments)
            .current_dir(dir)
            .env("RAYON_NUM_THREADS", "2")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("the helper runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let numbers: Vec<f64> = text
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        match numbers.as_slice() {
            [cpu, wall, peak] if output.status.success() => Cost {
                cpu_seconds: *cpu,
                wall_seconds: *wall,
                peak_bytes: *peak as u64,
            },
            _ => panic!("{} failed: {text}", self.program.display()),
        }
    }
}

/// Runs a command and prints CPU seconds, seconds and peak bytes.
pub fn helper(words: &[String]) {
    let (program, arguments) = words.split_first().expect("a command");
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the command starts");
    let wall = started.elapsed().as_secs_f64();
    assert!(status.success(), "{program} ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    println!(
        "{} {wall} {}",
        seconds(usage.user_time()) + seconds(usage.system_time()),
        usage.max_rss() * 1024
    );
}

fn median(mut costs: Vec<Cost>) -> Cost {
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let peak = costs.iter().map(|cost| cost.peak_bytes).max();
    costs.shrink_to_fit();
    Cost {
        cpu_seconds: middle(costs.iter().map(|cost| cost.cpu_seconds).collect()),
        wall_seconds: middle(costs.iter().map(|cost| cost.wall_seconds).collect()),
        peak_bytes: peak.unwrap_or(0),
    }
}

/// Medians of two programs run in turn, after a round that does not count; `before` each of them something is made ready.
pub fn pair(
    dir: &Path,
    rounds: usize,
    own: &Program,
    peer: Option<&Program>,
    mut before: impl FnMut(),
) -> (Cost, Option<Cost>) {
    let (mut owns, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..=rounds {
        before();
        owns.push(own.cost(dir));
        if let Some(peer) = peer {
            peers.push(peer.cost(dir));
        }
    }
    owns.remove(0);
    (
        median(owns),
        peer.map(|_| {
            peers.remove(0);
            median(peers)
        }),
    )
}
