//! The journal of a run: its events but progress, as JSON lines in `cache/runs/<id>/journal.jsonl`. Each line also says when it
//! was, `at` seconds after the run began.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::{Event, Sink};

pub struct JournalWriter {
    file: BufWriter<File>,
    begun: Instant,
}

impl JournalWriter {
    /// Makes the run's folder and an empty journal in it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn create(folder: &Path) -> std::io::Result<JournalWriter> {
        std::fs::create_dir_all(folder)?;
        Ok(JournalWriter {
            file: BufWriter::new(File::create(folder.join("journal.jsonl"))?),
            begun: Instant::now(),
        })
    }
}

impl Sink for JournalWriter {
    fn event(&mut self, event: &Event) {
        if matches!(event, Event::StageProgress { .. }) {
            return;
        }
        let at = self.begun.elapsed().as_secs_f64();
        let written = serde_json::to_string(event)
            .map_err(std::io::Error::other)
            .and_then(|line| {
                let fields = line.strip_suffix('}').unwrap_or(&line);
                writeln!(self.file, "{fields},\"at\":{at:.6}}}")
            })
            // What others read while the run goes on; cached stages come in thousands and may wait.
            .and_then(|()| match event {
                Event::StageFinished {
                    outcome: super::Outcome::Cached | super::Outcome::Skipped,
                    ..
                } => Ok(()),
                _ => self.file.flush(),
            });
        if let Err(error) = written {
            tracing::warn!("journal: {error}");
        }
    }

    fn cached(&mut self, lines: &[u8], _count: usize) {
        if let Err(error) = self.file.write_all(lines) {
            tracing::warn!("journal: {error}");
        }
    }
}

/// Events of a run, as far as they can be read.
pub fn read_journal(folder: &Path) -> Vec<Event> {
    let text = std::fs::read(folder.join("journal.jsonl")).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Events of a run with the seconds after which they happened, as far as they can be read.
pub fn read_timed_journal(folder: &Path) -> Vec<(f64, Event)> {
    #[derive(serde::Deserialize)]
    struct At {
        #[serde(default)]
        at: f64,
    }
    let text = std::fs::read(folder.join("journal.jsonl")).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let At { at } = serde_json::from_str(line).ok()?;
            Some((at, serde_json::from_str(line).ok()?))
        })
        .collect()
}

/// A time as people and other programs write it, UTC: `2026-11-24T20:01:02Z`.
pub fn utc(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A name for a new run: the time in UTC, then what makes it unique. Names sort by time.
pub fn new_run_id(runs: &Path) -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let time = format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}");
    let mut number = 0;
    for entry in std::fs::read_dir(runs).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let other = name
            .strip_prefix(&time)
            .and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok());
        number = other.map_or(number, |other| number.max(other + 1));
    }
    format!("{time}-{number:03}")
}

/// Year, month and day of a count of days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let era = z / 146_097;
    let day_of_era = z % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_become_dates() {
        assert_eq!(super::civil(0), (1970, 1, 1));
        assert_eq!(super::civil(19_782), (2024, 2, 29));
        assert_eq!(super::civil(20_781), (2026, 11, 24));
        assert_eq!(super::utc(1_795_550_462.9), "2026-11-24T20:01:02Z");
    }
}
