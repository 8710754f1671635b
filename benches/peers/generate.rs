//! The same work written down for nanoflow and for its peers.

use std::cell::Cell;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::measure::Program;

/// ninja shuts nothing in, so where that is not what is measured, nanoflow does not either.
const HEAD: &str = "version: 1\nsandbox: off\n";
const SHUT_IN: &str = "version: 1\nsandbox: enforce\n";

/// A tree of stages: each joins a file of its own and what the stage above it made.
pub struct Flow {
    dir: PathBuf,
    count: usize,
    cleaned: Cell<usize>,
}

impl Flow {
    pub fn new(dir: &Path, count: usize) -> Flow {
        fs::create_dir_all(dir.join("src")).expect("a folder");
        let mut flow = String::from(HEAD);
        flow.push_str("stages:\n");
        let mut ninja = String::from("rule join\n  command = cat $in > $out\n");
        for number in 0..count {
            fs::write(source(dir, number), format!("source {number}\n")).expect("a source");
            let above = number.checked_sub(1).map(|before| before / 8);
            let (word, input, file) = match above {
                Some(above) => (
                    " {{ inputs.above }}",
                    format!(", above: s{above}.o"),
                    format!(" out/s{above}.txt"),
                ),
                None => ("", String::new(), String::new()),
            };
            let _ = writeln!(
                flow,
                "  s{number}: {{ run: 'cat {{{{ inputs.own }}}}{word} > {{{{ outputs.o }}}}', inputs: {{ own: src/{number}.txt{input} }}, outputs: {{ o: o.txt }} }}"
            );
            let _ = writeln!(
                ninja,
                "build out/s{number}.txt: join src/{number}.txt{file}"
            );
        }
        fs::write(dir.join("flow.yaml"), flow).expect("the flow");
        fs::write(dir.join("build.ninja"), ninja).expect("the build file");
        Flow {
            dir: dir.to_path_buf(),
            count,
            cleaned: Cell::new(0),
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Shuts every stage in, or none.
    pub fn shut_in(&self, on: bool) {
        let path = self.dir.join("flow.yaml");
        let text = fs::read_to_string(&path).expect("the flow");
        let (from, to) = if on { (HEAD, SHUT_IN) } else { (SHUT_IN, HEAD) };
        fs::write(&path, text.replacen(from, to, 1)).expect("the flow");
    }

    /// Puts all results aside. Removing them here would slow down what is measured next: ext4 does not use an inode again for
    /// minutes after it was freed, and looks at each of them when it needs one.
    pub fn clean(&self) {
        let aside = self.dir.join(format!("aside-{}", self.cleaned.get()));
        self.cleaned.set(self.cleaned.get() + 1);
        fs::create_dir(&aside).expect("a folder");
        for name in ["cache", "artifacts", "out", ".ninja_log", ".ninja_deps"] {
            let _ = fs::rename(self.dir.join(name), aside.join(name));
        }
    }

    /// Makes all results, and then once more, so that files written just before are looked at again.
    pub fn build(&self, own: &Program, peer: Option<&Program>) {
        for program in std::iter::once(own).chain(peer) {
            program.cost(&self.dir);
            std::thread::sleep(std::time::Duration::from_millis(100));
            program.cost(&self.dir);
        }
    }

    /// Changes the file of a stage that none reads from.
    pub fn change_leaf(&self, round: usize) {
        let text = format!("changed {round}\n");
        fs::write(source(&self.dir, self.count - 1), text).expect("a source");
        std::thread::sleep(std::time::Duration::from_millis(30));
    }

    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn source(dir: &Path, number: usize) -> PathBuf {
    dir.join("src").join(format!("{number}.txt"))
}

/// Some bytes in some files of the same size, all read by one stage.
pub struct Inputs {
    dir: PathBuf,
    files: usize,
}

impl Inputs {
    pub fn new(dir: &Path, bytes: usize, files: usize) -> Inputs {
        fs::create_dir_all(dir.join("big")).expect("a folder");
        let mut block = vec![0u8; bytes / files];
        for number in 0..files {
            // Numbers that look random, and other ones in each file.
            let mut state = number as u64 + 1;
            for bytes in block.chunks_exact_mut(8) {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                bytes.copy_from_slice(&state.to_le_bytes());
            }
            fs::write(dir.join(format!("big/{number:04}")), &block).expect("an input");
        }
        let flow = "version: 1\nstages:\n  all: { run: 'cat {{ inputs.big }} | wc -c > {{ outputs.o }}', inputs: { big: 'big/*' }, outputs: { o: o } }\n";
        fs::write(dir.join("flow.yaml"), flow).expect("the flow");
        Inputs {
            dir: dir.to_path_buf(),
            files,
        }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn names(&self) -> Vec<String> {
        (0..self.files)
            .map(|number| format!("big/{number:04}"))
            .collect()
    }

    /// Makes all digests unknown again.
    pub fn forget(&self) {
        let _ = fs::remove_dir_all(self.dir.join("cache"));
    }

    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
