//! A copy of the sources in which faults are put in, and builds of it that make anew only what a fault touches.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The package with the faults is built in a hurry, and its parts are kept from one fault to the next; all else is built once. It is
/// optimised a little, as some tests look at the time that the program takes.
const QUICK: [&str; 4] = [
    "profile.release.incremental=true",
    "profile.release.package.nanoflow.opt-level=1",
    "profile.release.package.nanoflow.debug=false",
    "profile.release.package.nanoflow.codegen-units=256",
];
/// A test that a fault makes wait for ever has noticed it.
const PATIENCE: Duration = Duration::from_secs(240);

pub struct Workshop {
    folder: PathBuf,
}

impl Workshop {
    /// The copy, brought up to date with `root`. It stays where it is, so that the next run builds little; files that did not
    /// change keep their times.
    pub fn open(root: &Path) -> Workshop {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations");
        let workshop = Workshop { folder };
        mirror(root, &workshop.sources());
        workshop
    }

    pub fn sources(&self) -> PathBuf {
        self.folder.join("sources")
    }

    fn results(&self) -> PathBuf {
        self.folder.join("results.jsonl")
    }

    /// The tests that failed with the fault of this name, if that is known for this digest.
    pub fn known(&self, name: &str, digest: &str) -> Option<Vec<String>> {
        let text = std::fs::read_to_string(self.results()).unwrap_or_default();
        let entry = text
            .lines()
            .rev()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|entry| entry["name"] == name && entry["digest"] == digest)?;
        let failed = entry["failed"].as_array()?.iter();
        Some(
            failed
                .filter_map(|name| name.as_str().map(str::to_string))
                .collect(),
        )
    }

    /// Keeps what came of a fault.
    pub fn note(&self, name: &str, digest: &str, failed: &[String]) {
        use std::io::Write;
        let entry = serde_json::json!({ "name": name, "digest": digest, "failed": failed });
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).append(true).open(self.results());
        file.and_then(|mut file| writeln!(file, "{entry}"))
            .expect("the results");
    }

    /// Does something with other texts in some files, and puts them back.
    pub fn with<T>(&self, files: &[(PathBuf, String)], work: impl FnOnce() -> T) -> T {
        let before: Vec<(&Path, Vec<u8>)> = files
            .iter()
            .map(|(path, _)| (path.as_path(), std::fs::read(path).expect("a source")))
            .collect();
        for (path, text) in files {
            std::fs::write(path, text).expect("a source");
        }
        let done = work();
        for (path, bytes) in before {
            std::fs::write(path, bytes).expect("a source");
        }
        done
    }

    /// Runs these tests on the sources as they are: those that fail, in the order in which they are named. Those with `::tests::` in
    /// their name are the library's own, the others are of `tests/program`, whose program is kept for [`Workshop::failing`].
    ///
    /// # Errors
    /// It does not build; what the compiler said.
    pub fn failing_without_a_fault(&self, tests: &[&str]) -> Result<Vec<String>, String> {
        let (own, whole) = parted(tests);
        let built = self.build(&["--test", "program"])?;
        std::fs::copy(built, self.tests()).expect("the tests");
        let mut failed = self.run(&self.tests(), &whole);
        if !own.is_empty() {
            failed.extend(self.run(&self.build(&["--lib"])?, &own));
        }
        Ok(failed)
    }

    /// Builds what these tests need and runs them until some fail: first those of the whole program, against a new build of the program
    /// alone, then with the library that tests call themselves built anew, then the library's own.
    ///
    /// # Errors
    /// It does not build; what the compiler said.
    pub fn failing(&self, tests: &[&str]) -> Result<Vec<String>, String> {
        let (own, whole) = parted(tests);
        let mut failed = Vec::new();
        if !whole.is_empty() {
            // A small test, for which cargo builds the program too.
            self.build(&["--test", "house"])?;
            failed = self.run(&self.tests(), &whole);
            if failed.is_empty() {
                failed = self.run(&self.build(&["--test", "program"])?, &whole);
            }
        }
        if failed.is_empty() && !own.is_empty() {
            failed = self.run(&self.build(&["--lib"])?, &own);
        }
        Ok(failed)
    }

    /// The tests of the whole program, built without a fault.
    fn tests(&self) -> PathBuf {
        self.folder.join("program")
    }

    fn build(&self, kind: &[&str]) -> Result<PathBuf, String> {
        let output = Command::new(env!("CARGO"))
            .args(["test", "--release", "--no-default-features", "--no-run"])
            .args(kind)
            .args(QUICK.iter().flat_map(|entry| ["--config", entry]))
            .args(["--message-format", "json-render-diagnostics"])
            .arg("--target-dir")
            .arg(self.folder.join("target"))
            .current_dir(self.sources())
            .stderr(Stdio::piped())
            .output()
            .expect("cargo");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let built = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|entry| entry["profile"]["test"] == true)
            .find_map(|entry| entry["executable"].as_str().map(PathBuf::from));
        built.ok_or_else(|| "no test program was built".to_string())
    }

    /// The failed ones of these tests; all of them if they do not come to an end.
    fn run(&self, program: &Path, names: &[&str]) -> Vec<String> {
        if names.is_empty() {
            return Vec::new();
        }
        let log = self.folder.join("output");
        let file = std::fs::File::create(&log).expect("a log");
        let mut child = Command::new(program)
            .args(["--exact", "--test-threads=2"])
            .args(names)
            .env("INSTA_UPDATE", "no")
            .env(
                "NANOFLOW_TEST_PROGRAM",
                self.folder.join("target/release/nanoflow"),
            )
            .current_dir(self.sources())
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a log"))
            .stderr(file)
            .spawn()
            .expect("the tests");
        let started = Instant::now();
        while child.try_wait().expect("the tests").is_none() {
            if started.elapsed() > PATIENCE {
                let _ = child.kill();
                let _ = child.wait();
                return names.iter().map(|name| (*name).to_string()).collect();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
        let ended = text.contains("test result: ");
        let passed = |name: &str| {
            let word = format!("test {name} ... ");
            let line = text.lines().find_map(|line| line.strip_prefix(&word));
            ended && line.is_some_and(|end| end == "ok")
        };
        let failed = names.iter().filter(|name| !passed(name));
        failed.map(|name| (*name).to_string()).collect()
    }
}

/// The library's own tests, and those of the whole program.
fn parted<'a>(tests: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    tests.iter().partition(|test| test.contains("::tests::"))
}

/// Makes `to` hold what `from` holds, as far as a build reads it.
fn mirror(from: &Path, to: &Path) {
    const SKIP: [&str; 6] = ["target", "cache", "artifacts", "docs", "shared", ".git"];
    std::fs::create_dir_all(to).expect("a folder");
    let names = |folder: &Path| -> Vec<std::ffi::OsString> {
        let entries = std::fs::read_dir(folder).expect("a folder").flatten();
        entries.map(|entry| entry.file_name()).collect()
    };
    let wanted: Vec<_> = names(from)
        .into_iter()
        .filter(|name| !SKIP.iter().any(|skip| name == *skip))
        .collect();
    for name in names(to).into_iter().filter(|name| !wanted.contains(name)) {
        let path = to.join(name);
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
    }
    for name in wanted {
        let (source, copy) = (from.join(&name), to.join(&name));
        if source.is_dir() {
            mirror(&source, &copy);
        } else if let Ok(bytes) = std::fs::read(&source) {
            if std::fs::read(&copy).ok().as_ref() != Some(&bytes) {
                std::fs::write(&copy, bytes).expect("a copy");
            }
        }
    }
}
