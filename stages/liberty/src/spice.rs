//! Runs ngspice and reads what it writes.

use std::path::{Path, PathBuf};

use crate::LibertyError;

/// One transient simulation: vectors over time, in the order they were saved.
#[derive(Debug, Clone, Default)]
pub struct Waves {
    names: Vec<String>,
    /// Row by row, as in the file.
    values: Vec<f64>,
}

impl Waves {
    /// The vector of that name, such as `time`, `v(n_a)` or `i(v_a)`.
    pub fn vector(&self, name: &str) -> Result<Vec<f64>, LibertyError> {
        let column = self.names.iter().position(|other| other == name);
        let column = column.ok_or_else(|| {
            LibertyError::simulator("a result", format!("no vector '{name}' in it"))
        })?;
        Ok(self
            .values
            .iter()
            .skip(column)
            .step_by(self.names.len())
            .copied()
            .collect())
    }
}

/// Finds the simulator.
pub fn program() -> Result<PathBuf, LibertyError> {
    which::which("ngspice").map_err(|_| LibertyError::NoSimulator)
}

/// Runs a deck in `folder` (which must be empty and is left with the results) and reads the raw files `r0.raw` to `r<count-1>.raw`.
pub fn run(
    program: &Path,
    what: &str,
    folder: &Path,
    deck: &str,
    count: usize,
) -> Result<Vec<Waves>, LibertyError> {
    std::fs::create_dir_all(folder).map_err(|error| LibertyError::io(folder, error))?;
    let path = folder.join("deck.spice");
    std::fs::write(&path, deck).map_err(|error| LibertyError::io(&path, error))?;
    // The user's own start-up file could change any option; an empty home has none.
    let output = duct::cmd!(program, "-n", "-b", "deck.spice")
        .dir(folder)
        .env("OMP_NUM_THREADS", "1")
        .env("HOME", folder)
        .stdin_null()
        .stderr_to_stdout()
        .stdout_capture()
        .unchecked()
        .run()
        .map_err(|error| LibertyError::simulator(what, error.to_string()))?;
    let mut waves = Vec::with_capacity(count);
    for number in 0..count {
        let path = folder.join(format!("r{number}.raw"));
        let read = std::fs::read(&path).ok().and_then(|bytes| parse(&bytes));
        let Some(read) = read else {
            let said = String::from_utf8_lossy(&output.stdout).to_string();
            eprintln!("{said}");
            let reason = said
                .lines()
                .rev()
                .find(|line| {
                    line.to_ascii_lowercase().contains("error") || line.contains("too small")
                })
                .unwrap_or("it wrote no result")
                .trim()
                .to_string();
            return Err(LibertyError::simulator(what, reason));
        };
        waves.push(read);
    }
    Ok(waves)
}

/// Reads a binary raw file of real vectors.
fn parse(bytes: &[u8]) -> Option<Waves> {
    const MARK: &[u8] = b"Binary:\n";
    let at = bytes
        .windows(MARK.len())
        .position(|window| window == MARK)?;
    let header = String::from_utf8_lossy(bytes.get(..at)?).to_string();
    let field = |name: &str| {
        header
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::trim)
    };
    let variables: usize = field("No. Variables:")?.parse().ok()?;
    let points: usize = field("No. Points:")?.parse().ok()?;
    let names: Vec<String> = header
        .lines()
        .skip_while(|line| !line.starts_with("Variables:"))
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_ascii_lowercase)
        .collect();
    let data = bytes.get(at + MARK.len()..)?;
    let count = variables.checked_mul(points)?;
    if names.len() != variables || variables == 0 || data.len() < count.checked_mul(8)? {
        return None;
    }
    let values = data
        .chunks_exact(8)
        .take(count)
        .map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap_or_default()))
        .collect();
    Some(Waves { names, values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_files_are_read_and_damaged_ones_refused() {
        let mut bytes = b"Title: x\nNo. Variables: 2\nNo. Points: 2\nVariables:\n\t0\ttime\ttime\n\t1\tv(A)\tvoltage\nBinary:\n".to_vec();
        for value in [0.0_f64, 1.0, 1e-9, 2.0] {
            bytes.extend(value.to_le_bytes());
        }
        let waves = parse(&bytes).unwrap();
        assert_eq!(waves.vector("v(a)").unwrap(), [1.0, 2.0]);
        assert!(waves.vector("v(b)").is_err());
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_none(), "{length}");
        }
    }
}
