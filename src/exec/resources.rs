//! Tokens: how many stages may run side by side.

use std::collections::BTreeMap;

use crate::flow::{Limits, Resources};

/// What is there and what is taken.
#[derive(Debug)]
pub struct Tokens {
    cpu: usize,
    limits: Limits,
    running: usize,
    cpu_used: usize,
    memory_used: u64,
    licenses_used: BTreeMap<String, u64>,
}

impl Tokens {
    pub fn new(cpu: usize, limits: &Limits) -> Tokens {
        Tokens {
            cpu: cpu.max(1),
            limits: limits.clone(),
            running: 0,
            cpu_used: 0,
            memory_used: 0,
            licenses_used: BTreeMap::new(),
        }
    }

    /// Whether the stage may start now. One that asks for more than there is may when nothing else runs.
    pub fn fits(&self, want: &Resources) -> bool {
        if self.running == 0 {
            return true;
        }
        let memory = self.limits.memory.is_none_or(|limit| {
            want.memory
                .is_none_or(|bytes| self.memory_used.saturating_add(bytes) <= limit)
        });
        let licenses = want.licenses.iter().all(|(name, count)| {
            let used = self.licenses_used.get(name).copied().unwrap_or(0);
            self.limits
                .licenses
                .get(name)
                .is_none_or(|limit| used.saturating_add(*count) <= *limit)
        });
        self.cpu_used.saturating_add(want.cpu.unwrap_or(1)) <= self.cpu && memory && licenses
    }

    pub fn take(&mut self, want: &Resources) {
        self.running += 1;
        self.cpu_used += want.cpu.unwrap_or(1);
        self.memory_used += want.memory.unwrap_or(0);
        for (name, count) in &want.licenses {
            *self.licenses_used.entry(name.clone()).or_default() += count;
        }
    }

    pub fn give_back(&mut self, want: &Resources) {
        self.running -= 1;
        self.cpu_used -= want.cpu.unwrap_or(1);
        self.memory_used -= want.memory.unwrap_or(0);
        for (name, count) in &want.licenses {
            if let Some(used) = self.licenses_used.get_mut(name) {
                *used -= count;
            }
        }
    }

    /// Whether not even the smallest stage could start.
    pub fn full(&self) -> bool {
        self.running > 0 && self.cpu_used >= self.cpu
    }

    pub fn cpu(&self) -> usize {
        self.cpu
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Threads that a stage is told to use.
    pub fn threads(&self, want: &Resources) -> usize {
        want.cpu.unwrap_or(1).min(self.cpu)
    }
}

/// Bytes of memory that this machine, or the control group that this process is in, has.
pub fn machine_memory() -> Option<u64> {
    let number = |path: &str| {
        std::fs::read_to_string(path)
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib * 1024)
        });
    let group = number("/sys/fs/cgroup/memory.max")
        .or_else(|| number("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    machine.into_iter().chain(group).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_that_asks_for_too_much_runs_alone() {
        let mut tokens = Tokens::new(2, &Limits::default());
        let big = Resources {
            cpu: Some(8),
            ..Resources::default()
        };
        let small = Resources::default();
        assert!(tokens.fits(&big));
        tokens.take(&big);
        assert!(!tokens.fits(&small));
        tokens.give_back(&big);
        tokens.take(&small);
        assert!(!tokens.fits(&big));
        assert!(tokens.fits(&small));
    }

    #[test]
    fn memory_and_licences_have_limits_of_their_own() {
        let limits = Limits {
            memory: Some(100),
            licenses: [("catapult".to_string(), 1)].into(),
        };
        let mut tokens = Tokens::new(8, &limits);
        let want = Resources {
            memory: Some(60),
            licenses: [("catapult".to_string(), 1)].into(),
            cpu: None,
        };
        tokens.take(&want);
        assert!(!tokens.fits(&want));
        assert!(!tokens.fits(&Resources {
            memory: Some(60),
            ..Resources::default()
        }));
        assert!(tokens.fits(&Resources {
            memory: Some(40),
            ..Resources::default()
        }));
    }
}
