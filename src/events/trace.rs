//! A run as a trace for Perfetto or chrome://tracing (the Trace Event Format): one lane for each worker, the critical path in a
//! lane of its own, and how much time was lost to waiting.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::{json, Value as Json};

use super::{Event, Outcome, Sink};

/// The stages that each stage waits for.
pub type Upstream = BTreeMap<String, Vec<String>>;

/// Writes the trace when the run ends.
pub struct Trace {
    path: PathBuf,
    file: Option<File>,
    begun: Instant,
    timeline: Timeline,
    /// Print the summary on standard error.
    tell: bool,
}

impl Trace {
    /// Makes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path, upstream: Upstream, tell: bool) -> std::io::Result<Trace> {
        Ok(Trace {
            path: path.to_path_buf(),
            file: Some(File::create(path)?),
            begun: Instant::now(),
            timeline: Timeline::new(upstream),
            tell,
        })
    }
}

impl Sink for Trace {
    fn event(&mut self, event: &Event) {
        let now = self.begun.elapsed().as_secs_f64();
        match event {
            Event::StageStarted { stage, .. } => self.timeline.started(stage, now),
            Event::StageFinished { stage, outcome, .. } => {
                self.timeline.finished(stage, *outcome, now);
            }
            Event::RunFinished { run, .. } => {
                let Some(file) = self.file.take() else { return };
                let summary = self.timeline.summary(now);
                let mut out = BufWriter::new(file);
                let trace = self.timeline.chrome(run, &summary);
                let written = serde_json::to_writer(&mut out, &trace)
                    .map_err(std::io::Error::other)
                    .and_then(|()| out.flush());
                if let Err(error) = written {
                    eprintln!("warning: {}: {error}", self.path.display());
                } else if self.tell {
                    eprintln!("{}", summary.tell());
                }
            }
            _ => {}
        }
    }
}

/// A stage at work.
#[derive(Debug, Clone, PartialEq)]
struct Work {
    stage: String,
    lane: usize,
    outcome: Outcome,
    start: f64,
    end: f64,
    /// From when all that it waits for was there until it started.
    waited: f64,
}

/// What happened when, in seconds after the run began.
#[derive(Debug, Default)]
struct Timeline {
    upstream: Upstream,
    running: HashMap<String, (f64, usize)>,
    free: BTreeSet<usize>,
    lanes: usize,
    /// When the first stage started: what is before that is planning.
    first: Option<f64>,
    works: Vec<Work>,
    /// When each stage's result was there.
    ends: HashMap<String, f64>,
    cached: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Summary {
    wall_seconds: f64,
    workers: usize,
    executed: usize,
    cached: usize,
    /// Of all stages together.
    work_seconds: f64,
    /// The chain of stages that decided when the run ended, first one first.
    critical_path: Vec<String>,
    critical_path_seconds: f64,
    /// How long stages of the critical path stood ready and were not started.
    lost_to_waiting_seconds: f64,
    /// The same of all stages together.
    waiting_seconds: f64,
}

impl Summary {
    fn tell(&self) -> String {
        if self.critical_path.is_empty() {
            return "critical path: nothing was executed".to_string();
        }
        let path = match self.critical_path.as_slice() {
            [first, .., last] if self.critical_path.len() > 12 => {
                format!("{first} → … → {last} ({} stages)", self.critical_path.len())
            }
            path => path.join(" → "),
        };
        format!(
            "critical path: {path}: {:.2} s of {:.2} s; {:.2} s lost to waiting for a worker",
            self.critical_path_seconds, self.wall_seconds, self.lost_to_waiting_seconds
        )
    }
}

impl Timeline {
    fn new(upstream: Upstream) -> Timeline {
        Timeline {
            upstream,
            ..Timeline::default()
        }
    }

    fn started(&mut self, stage: &str, now: f64) {
        self.first.get_or_insert(now);
        let lane = self.free.pop_first().unwrap_or_else(|| {
            self.lanes += 1;
            self.lanes - 1
        });
        self.running.insert(stage.to_string(), (now, lane));
    }

    fn finished(&mut self, stage: &str, outcome: Outcome, now: f64) {
        self.ends.insert(stage.to_string(), now);
        let Some((start, lane)) = self.running.remove(stage) else {
            self.cached += usize::from(matches!(outcome, Outcome::Cached | Outcome::Remote));
            return;
        };
        self.free.insert(lane);
        let ready = self.last_upstream(stage).map_or(0.0, |(_, end)| end);
        let ready = ready.max(self.first.unwrap_or(start));
        self.works.push(Work {
            stage: stage.to_string(),
            lane,
            outcome,
            start,
            end: now,
            waited: (start - ready).max(0.0),
        });
    }

    /// The stage whose result came last of those that this one waits for.
    fn last_upstream(&self, stage: &str) -> Option<(&str, f64)> {
        self.upstream
            .get(stage)?
            .iter()
            .filter_map(|from| Some((from.as_str(), *self.ends.get(from)?)))
            .max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// From the stage that ended last back over whatever each one waited for longest.
    fn critical_path(&self) -> Vec<&Work> {
        let works: HashMap<&str, &Work> = self
            .works
            .iter()
            .map(|work| (work.stage.as_str(), work))
            .collect();
        let last = self.works.iter().max_by(|a, b| a.end.total_cmp(&b.end));
        let mut path: Vec<&Work> = last.into_iter().collect();
        let mut at = last.map(|work| work.stage.as_str());
        while let Some((from, _)) = at.and_then(|stage| self.last_upstream(stage)) {
            // A stage that was found in the cache only passes on when it became known.
            path.extend(works.get(from));
            at = Some(from);
        }
        path.reverse();
        path
    }

    fn summary(&self, wall: f64) -> Summary {
        let path = self.critical_path();
        let sum = |works: &mut dyn Iterator<Item = f64>| works.sum::<f64>();
        Summary {
            wall_seconds: wall,
            workers: self.lanes,
            executed: self
                .works
                .iter()
                .filter(|work| work.outcome == Outcome::Executed)
                .count(),
            cached: self.cached,
            work_seconds: sum(&mut self.works.iter().map(|work| work.end - work.start)),
            critical_path: path.iter().map(|work| work.stage.clone()).collect(),
            critical_path_seconds: sum(&mut path.iter().map(|work| work.end - work.start)),
            lost_to_waiting_seconds: sum(&mut path.iter().map(|work| work.waited)),
            waiting_seconds: sum(&mut self.works.iter().map(|work| work.waited)),
        }
    }

    /// The trace, times in microseconds.
    fn chrome(&self, run: &str, summary: &Summary) -> Json {
        const CRITICAL_LANE: usize = 0;
        let micro = |seconds: f64| (seconds * 1e6).round();
        let path = self.critical_path();
        let critical: BTreeSet<&str> = path.iter().map(|work| work.stage.as_str()).collect();
        let name = |what: &str, lane: usize, name: String| json!({ "ph": "M", "name": what, "pid": 1, "tid": lane, "args": { "name": name } });
        let order = |lane: usize| json!({ "ph": "M", "name": "thread_sort_index", "pid": 1, "tid": lane, "args": { "sort_index": lane } });
        let mut events = vec![name("process_name", 0, format!("nanoflow run {run}"))];
        events.push(name(
            "thread_name",
            CRITICAL_LANE,
            "critical path".to_string(),
        ));
        events.push(order(CRITICAL_LANE));
        for lane in 1..=self.lanes {
            events.push(name("thread_name", lane, format!("worker {lane}")));
            events.push(order(lane));
        }
        let slice = |work: &Work, lane: usize| {
            let on_path = critical.contains(work.stage.as_str());
            let mut event = json!({
                "ph": "X", "name": work.stage, "cat": if on_path { "stage,critical" } else { "stage" },
                "pid": 1, "tid": lane, "ts": micro(work.start), "dur": micro(work.end) - micro(work.start),
                "args": { "outcome": work.outcome, "critical": on_path, "waited_seconds": work.waited },
            });
            if on_path {
                event["cname"] = json!("terrible");
            } else if work.outcome == Outcome::Failed {
                event["cname"] = json!("bad");
            }
            event
        };
        events.extend(self.works.iter().map(|work| slice(work, work.lane + 1)));
        events.extend(path.iter().map(|work| slice(work, CRITICAL_LANE)));
        // Arrows from each stage of the critical path to the next.
        for (id, pair) in path.windows(2).enumerate() {
            let [from, to] = pair else { continue };
            for (phase, work, at) in [("s", from, from.end), ("f", to, to.start)] {
                events.push(json!({
                    "ph": phase, "bp": "e", "id": id, "name": "critical path", "cat": "critical", "pid": 1,
                    "tid": work.lane + 1, "ts": micro(at),
                }));
            }
        }
        json!({ "traceEvents": events, "displayTimeUnit": "ms", "otherData": summary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `a` (0–1) → `b` (1–3) → `c`; `d` takes the second worker from 1 to 5, `c` stands ready at 3 and starts at 5 on
    /// one of them; `e` was found in the cache.
    fn timeline() -> Timeline {
        let upstream = [("b", vec!["a"]), ("c", vec!["b", "e"]), ("d", vec!["a"])]
            .into_iter()
            .map(|(stage, from)| {
                let from = from.into_iter().map(String::from).collect();
                (stage.to_string(), from)
            })
            .collect();
        let mut line = Timeline::new(upstream);
        line.finished("e", Outcome::Cached, 0.1);
        line.started("a", 0.5);
        line.finished("a", Outcome::Executed, 1.0);
        line.started("b", 1.0);
        line.started("d", 1.0);
        line.finished("b", Outcome::Executed, 3.0);
        line.finished("d", Outcome::Failed, 5.0);
        line.started("c", 5.0);
        line.finished("c", Outcome::Executed, 6.0);
        line
    }

    #[test]
    fn the_critical_path_and_what_waiting_cost() {
        let summary = timeline().summary(6.5);
        assert_eq!(summary.critical_path, ["a", "b", "c"]);
        assert!((summary.critical_path_seconds - 3.5).abs() < 1e-9);
        assert!((summary.lost_to_waiting_seconds - 2.0).abs() < 1e-9);
        assert!((summary.waiting_seconds - 2.0).abs() < 1e-9);
        assert!((summary.work_seconds - 7.5).abs() < 1e-9);
        assert_eq!(
            (summary.workers, summary.executed, summary.cached),
            (2, 3, 1)
        );
    }

    #[test]
    fn a_result_from_the_cache_passes_the_path_on() {
        let upstream = [("m", "a"), ("z", "m")]
            .map(|(stage, from)| (stage.to_string(), vec![from.to_string()]));
        let mut line = Timeline::new(upstream.into());
        line.started("a", 0.0);
        line.finished("a", Outcome::Executed, 2.0);
        line.finished("m", Outcome::Cached, 2.0);
        line.started("z", 2.0);
        line.finished("z", Outcome::Executed, 3.0);
        assert_eq!(line.summary(3.0).critical_path, ["a", "z"]);
        assert_eq!(line.summary(3.0).lost_to_waiting_seconds, 0.0);
    }

    #[test]
    fn lanes_never_overlap() {
        let trace = timeline();
        let chrome = trace.chrome("r", &trace.summary(6.5));
        let slices: Vec<(u64, f64, f64)> = chrome["traceEvents"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|event| event["ph"] == "X")
            .filter_map(|event| {
                let (start, length) = (event["ts"].as_f64()?, event["dur"].as_f64()?);
                Some((event["tid"].as_u64()?, start, start + length))
            })
            .collect();
        assert_eq!(slices.len(), 4 + 3);
        for (place, a) in slices.iter().enumerate() {
            for b in &slices[place + 1..] {
                assert!(a.0 != b.0 || a.2 <= b.1 || b.2 <= a.1, "{a:?} {b:?}");
            }
        }
    }
}
