//! Which stage starts next: of those that fit, the one with the longest way to the end of the run. Pure.
//!
//! The lengths come from what past runs measured. A stage that never ran is taken for an average one, so a flow's first run
//! goes by the number of stages on the way.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use crate::flow::{show_bytes, Limits, Resources, StageId};

/// What past runs measured of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Past {
    pub seconds: f64,
    pub peak_memory_bytes: u64,
}

/// For each stage the microseconds from its start to the end of the last one that waits for it, all running as soon as they
/// can. `order` has every stage after all that it waits for; what waits for a stage and is not in `order` is left out.
pub fn ranks<I: IntoIterator<Item = StageId>>(
    order: &[StageId],
    downstream: impl Fn(StageId) -> I,
    past: &HashMap<StageId, Past>,
) -> HashMap<StageId, u64> {
    let known: Vec<f64> = order
        .iter()
        .filter_map(|id| past.get(id))
        .map(|past| past.seconds.max(0.0))
        .collect();
    let average = if known.is_empty() {
        1.0
    } else {
        known.iter().sum::<f64>() / known.len() as f64
    };
    let mut ranks: HashMap<StageId, u64> = HashMap::with_capacity(order.len());
    for id in order.iter().rev() {
        let own = past.get(id).map_or(average, |past| past.seconds);
        // Never nothing: of two equal ones the one with more behind it goes first.
        let own = ((own * 1e6) as u64).max(1);
        let behind = downstream(*id)
            .into_iter()
            .filter_map(|next| ranks.get(&next).copied())
            .max()
            .unwrap_or(0);
        ranks.insert(*id, own.saturating_add(behind));
    }
    ranks
}

/// Tokens that a stage takes: what it asks for, and where it does not say, the memory that it needed last time.
pub fn wants(asked: &Resources, past: Option<&Past>) -> Resources {
    Resources {
        memory: asked.memory.or(past
            .map(|past| past.peak_memory_bytes)
            .filter(|peak| *peak > 0)),
        ..asked.clone()
    }
}

/// What of a stage's wants is more than there is at all, in words; such a stage runs alone.
pub fn does_not_fit(
    asked: &Resources,
    past: Option<&Past>,
    cpu: usize,
    limits: &Limits,
) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(count) = asked.cpu.filter(|count| *count > cpu) {
        told.push(format!(
            "it asks for {count} processors and there are {cpu} (-j)"
        ));
    }
    let wants = wants(asked, past);
    if let (Some(bytes), Some(limit)) = (wants.memory, limits.memory) {
        if bytes > limit {
            let verb = if asked.memory.is_some() {
                "asks for"
            } else {
                "needed last time"
            };
            let (bytes, limit) = (show_bytes(bytes), show_bytes(limit));
            told.push(format!("it {verb} {bytes} of memory and there are {limit}"));
        }
    }
    for (name, count) in &wants.licenses {
        if let Some(limit) = limits.licenses.get(name).filter(|limit| count > *limit) {
            told.push(format!(
                "it asks for {count} of the licence '{name}' and there are {limit}"
            ));
        }
    }
    told
}

/// How many stages may be started before the first one in line, which does not fit just now; then nothing is until it does.
const MOST_PASSES: usize = 16;
/// How many stages are looked at for one that fits.
const MOST_LOOKS: usize = 256;

/// Stages that stand ready, the longest way to the end first, then in the order of the file.
#[derive(Debug, Default)]
pub struct Queue {
    ready: BTreeSet<(Reverse<u64>, StageId)>,
    ranks: HashMap<StageId, u64>,
    /// The first in line and how many were started before it.
    passed: Option<(StageId, usize)>,
}

impl Queue {
    fn key(&self, id: StageId) -> (Reverse<u64>, StageId) {
        // One that was not thought of: a lost result is made again, and all else waits for it.
        (
            Reverse(self.ranks.get(&id).copied().unwrap_or(u64::MAX)),
            id,
        )
    }

    pub fn push(&mut self, id: StageId) {
        let key = self.key(id);
        self.ready.insert(key);
    }

    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Puts those that stand ready in another order.
    pub fn rank(&mut self, ranks: HashMap<StageId, u64>) {
        self.ranks = ranks;
        let ready: Vec<StageId> = self.ready.iter().map(|(_, id)| *id).collect();
        self.ready = ready.into_iter().map(|id| self.key(id)).collect();
    }

    /// Takes the first one that fits.
    pub fn take(&mut self, fits: impl Fn(StageId) -> bool) -> Option<StageId> {
        let (_, first) = *self.ready.first()?;
        let passes = match self.passed {
            Some((id, passes)) if id == first => passes,
            _ => 0,
        };
        let looks = if passes < MOST_PASSES { MOST_LOOKS } else { 1 };
        let found = *self.ready.iter().take(looks).find(|(_, id)| fits(*id))?;
        self.ready.remove(&found);
        self.passed = (found.1 != first).then_some((first, passes + 1));
        Some(found.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn past(seconds: &[f64]) -> HashMap<StageId, Past> {
        seconds
            .iter()
            .enumerate()
            .map(|(id, seconds)| {
                let past = Past {
                    seconds: *seconds,
                    peak_memory_bytes: 0,
                };
                (StageId(id), past)
            })
            .collect()
    }

    fn order(count: usize) -> Vec<StageId> {
        (0..count).map(StageId).collect()
    }

    /// 0 → 2 → 3, and 1 alone.
    fn downstream(id: StageId) -> Vec<StageId> {
        match id.0 {
            0 => vec![StageId(2)],
            2 => vec![StageId(3), StageId(9)],
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_rank_is_the_longest_way_to_the_end() {
        let ranks = ranks(&order(4), downstream, &past(&[1.0, 5.0, 2.0, 3.0]));
        let seconds = |id| ranks[&StageId(id)] as f64 / 1e6;
        assert_eq!([0, 1, 2, 3].map(seconds), [6.0, 5.0, 5.0, 3.0]);
    }

    #[test]
    fn what_never_ran_is_an_average_stage() {
        let mut known = past(&[1.0, 5.0]);
        let ranks_known = ranks(&order(4), downstream, &known);
        assert_eq!(ranks_known[&StageId(0)], 7_000_000);
        known.clear();
        let unknown = ranks(&order(4), downstream, &known);
        assert_eq!(
            [0, 1, 2, 3].map(|id| unknown[&StageId(id)]),
            [3_000_000, 1_000_000, 2_000_000, 1_000_000]
        );
    }

    #[test]
    fn the_longest_way_goes_first_and_equal_ones_in_the_files_order() {
        let mut queue = Queue::default();
        for id in [1, 0, 3, 2] {
            queue.push(StageId(id));
        }
        queue.rank(
            [(0, 5), (1, 7), (2, 5), (3, 9)]
                .map(|(id, rank)| (StageId(id), rank))
                .into(),
        );
        let taken: Vec<usize> = std::iter::from_fn(|| queue.take(|_| true))
            .map(|id| id.0)
            .collect();
        assert_eq!(taken, [3, 1, 0, 2]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_fits_may_pass_but_not_for_ever() {
        let mut queue = Queue::default();
        let big = StageId(1000);
        for id in 0..100 {
            queue.push(StageId(id));
        }
        queue.push(big);
        let mut ranks: HashMap<StageId, u64> = order(100).into_iter().map(|id| (id, 1)).collect();
        ranks.insert(big, 100);
        queue.rank(ranks);
        let small: Vec<StageId> = std::iter::from_fn(|| queue.take(|id| id != big)).collect();
        assert_eq!(small, order(MOST_PASSES));
        assert_eq!(queue.take(|_| true), Some(big));
        assert_eq!(queue.take(|_| true), Some(StageId(MOST_PASSES)));
    }

    #[test]
    fn what_must_be_made_again_goes_before_all() {
        let mut queue = Queue::default();
        queue.rank([(StageId(0), 10)].into());
        queue.push(StageId(0));
        queue.push(StageId(7));
        assert_eq!(queue.take(|_| true), Some(StageId(7)));
    }

    #[test]
    fn measured_memory_stands_in_for_what_is_not_declared() {
        let measured = Past {
            seconds: 1.0,
            peak_memory_bytes: 3 * GIB,
        };
        let nothing = Resources::default();
        assert_eq!(wants(&nothing, Some(&measured)).memory, Some(3 * GIB));
        assert_eq!(wants(&nothing, None).memory, None);
        let declared = Resources {
            memory: Some(GIB),
            ..Resources::default()
        };
        assert_eq!(wants(&declared, Some(&measured)).memory, Some(GIB));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let limits = Limits {
            memory: Some(2 * GIB),
            licenses: [("catapult".to_string(), 1)].into(),
        };
        let measured = Past {
            seconds: 1.0,
            peak_memory_bytes: 3 * GIB,
        };
        let asked = Resources {
            cpu: Some(8),
            memory: None,
            licenses: [("catapult".to_string(), 2), ("other".to_string(), 9)].into(),
        };
        assert_eq!(
            does_not_fit(&asked, Some(&measured), 2, &limits),
            [
                "it asks for 8 processors and there are 2 (-j)",
                "it needed last time 3.0 GiB of memory and there are 2.0 GiB",
                "it asks for 2 of the licence 'catapult' and there are 1",
            ]
        );
        assert!(does_not_fit(&Resources::default(), None, 1, &limits).is_empty());
    }
}
