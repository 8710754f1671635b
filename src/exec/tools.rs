//! External programs: where they are, in which version, with which content.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::key::ToolIdentity;
use crate::store::{Digest, StatCache};

/// A program that is not there, or too old.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Missing {
    pub program: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Missing {
    /// A program that nothing is known of but its name.
    pub fn program(program: &str) -> Missing {
        let message = match program.contains('/') {
            true => format!("the program '{program}' is not there"),
            false => format!("the program '{program}' is not on PATH"),
        };
        Missing {
            program: program.to_string(),
            message,
            hint: None,
        }
    }
}

/// How a program that is missing can be had.
#[derive(Debug, Clone, Copy, Default)]
pub struct Get<'a> {
    /// Debian package that brings it.
    pub apt: Option<&'a str>,
    /// What to do where no package brings it.
    pub hint: Option<&'a str>,
}

/// Programs found so far; versions are kept in `cache/tools.json` by the digest of the binary.
pub struct Tools {
    path: OsString,
    file: PathBuf,
    versions: Mutex<Versions>,
    known: Mutex<BTreeMap<String, Result<ToolIdentity, Missing>>>,
    /// Where the tools of the keys were found, and their digests.
    places: Mutex<BTreeMap<String, (PathBuf, Digest)>>,
}

/// Where programs are looked for.
pub(super) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into())
}

/// Where a program is on this path.
pub(super) fn find_on(path: &OsString, program: &str) -> Option<PathBuf> {
    which::which_in(program, Some(path), "/").ok()
}

#[derive(Default)]
struct Versions {
    by_digest: BTreeMap<String, String>,
    loaded: bool,
    changed: bool,
}

impl Tools {
    pub fn new(root: &Path) -> Tools {
        Tools {
            path: search_path(),
            file: root.join("tools.json"),
            versions: Mutex::new(Versions::default()),
            known: Mutex::new(BTreeMap::new()),
            places: Mutex::new(BTreeMap::new()),
        }
    }

    /// What stages get as `PATH`.
    pub fn path(&self) -> &OsString {
        &self.path
    }

    /// Where a program is.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        find_on(&self.path, program)
    }

    /// Tools that keys were made with so far.
    pub(super) fn places(&self) -> BTreeMap<String, (PathBuf, Digest)> {
        self.places
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Version and digest of a program.
    ///
    /// # Errors
    /// It is not there, or older than `min`.
    pub fn identify(
        &self,
        stat: &StatCache,
        program: &str,
        version_command: &[String],
        min: Option<&str>,
        get: Get<'_>,
    ) -> Result<ToolIdentity, Missing> {
        let name = format!(
            "{program}\0{}\0{}",
            version_command.join("\0"),
            min.unwrap_or("")
        );
        let mut known = self
            .known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(result) = known.get(&name) {
            return result.clone();
        }
        let result = self.probe(stat, program, version_command, min, get);
        known.insert(name, result.clone());
        result
    }

    fn probe(
        &self,
        stat: &StatCache,
        program: &str,
        version_command: &[String],
        min: Option<&str>,
        get: Get<'_>,
    ) -> Result<ToolIdentity, Missing> {
        let hint = match get {
            Get {
                hint: Some(hint), ..
            } => Some(hint.to_string()),
            Get {
                apt: Some(package), ..
            } => Some(format!(
                "'nanoflow setup' installs it (apt-get install {package})"
            )),
            _ => None,
        };
        let missing = |message: String| Missing {
            program: program.to_string(),
            message,
            hint: hint.clone(),
        };
        let path = self
            .find(program)
            .ok_or_else(|| missing(format!("the program '{program}' is not on PATH")))?;
        let (digest, _, _) = stat
            .digest(&path)
            .map_err(|error| missing(format!("{} cannot be read: {error}", path.display())))?;
        self.places
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(program.to_string(), (path.clone(), digest));
        let version = self.version(&path, &digest.to_string(), version_command);
        if let Some(min) = min {
            if !version.is_empty() && older(&version, min) {
                return Err(missing(format!(
                    "'{program}' is version {version}; at least {min} is needed"
                )));
            }
        }
        Ok(ToolIdentity {
            version,
            digest: digest.to_string(),
        })
    }

    fn version(&self, path: &Path, digest: &str, command: &[String]) -> String {
        let Some((_, arguments)) = command.split_first() else {
            return String::new();
        };
        let name = format!("{digest} {}", arguments.join(" "));
        let mut versions = self
            .versions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !versions.loaded {
            versions.loaded = true;
            let text = std::fs::read_to_string(&self.file).unwrap_or_default();
            versions.by_digest = serde_json::from_str(&text).unwrap_or_default();
        }
        if let Some(version) = versions.by_digest.get(&name) {
            return version.clone();
        }
        let output = duct::cmd(path, arguments)
            .env("PATH", &self.path)
            .stdin_null()
            .stderr_to_stdout()
            .stdout_capture()
            .unchecked()
            .run();
        let text = output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        let version = first_version(&text).unwrap_or_default();
        versions.by_digest.insert(name, version.clone());
        versions.changed = true;
        version
    }

    /// Keeps the versions found for the next time.
    pub fn save(&self) {
        let mut versions = self
            .versions
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if std::mem::take(&mut versions.changed) && self.file.parent().is_some_and(Path::is_dir) {
            let text = serde_json::to_string_pretty(&versions.by_digest).unwrap_or_default();
            let temporary = self.file.with_extension("new");
            if std::fs::write(&temporary, text)
                .and_then(|()| std::fs::rename(&temporary, &self.file))
                .is_err()
            {
                let _ = std::fs::remove_file(&temporary);
            }
        }
    }
}

/// The first word that looks like a version; one with a dot is preferred to a bare number.
fn first_version(text: &str) -> Option<String> {
    static DOTTED: OnceLock<Option<regex::Regex>> = OnceLock::new();
    static BARE: OnceLock<Option<regex::Regex>> = OnceLock::new();
    let dotted = DOTTED.get_or_init(|| regex::Regex::new(r"\d+(\.\d+)+([-+.]?[0-9A-Za-z]+)*").ok());
    let bare = BARE.get_or_init(|| regex::Regex::new(r"\d+").ok());
    [dotted, bare]
        .into_iter()
        .flatten()
        .find_map(|pattern| pattern.find(text))
        .map(|found| found.as_str().to_string())
}

/// Compares number by number.
fn older(version: &str, min: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit())
            .filter_map(|word| word.parse().ok())
            .collect()
    };
    numbers(version) < numbers(min)
}
