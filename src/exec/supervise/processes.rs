//! Processes below this one, from `/proc`, and their end.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use nix::sys::signal::{kill, Signal};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

/// All living processes below this one but those of `spared` and what is below them; dead ones that wait to be reaped do not
/// count.
pub fn descendants(spared: &HashSet<Pid>) -> Vec<Pid> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(text) = std::fs::read(entry.path().join("stat")) else {
            continue;
        };
        if let Some(parent) = living_parent(&text) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut stack = vec![Pid::this().as_raw()];
    while let Some(parent) = stack.pop() {
        for pid in children.get(&parent).into_iter().flatten() {
            if !spared.contains(&Pid::from_raw(*pid)) {
                found.push(Pid::from_raw(*pid));
                stack.push(*pid);
            }
        }
    }
    found
}

/// The parent in a `/proc/PID/stat` of a process that is not dead.
fn living_parent(text: &[u8]) -> Option<i32> {
    // The name in parentheses may hold anything; the fields follow the last one.
    let close = text.iter().rposition(|byte| *byte == b')')?;
    let fields = String::from_utf8_lossy(text.get(close + 1..)?);
    let mut fields = fields.split_whitespace();
    match fields.next() {
        None | Some("Z" | "X") => None,
        Some(_) => fields.next()?.parse().ok(),
    }
}

/// Kills everything below this process but what is spared, again and again until nothing is left that could start something new.
pub fn kill_running(spared: &HashSet<Pid>) {
    loop {
        let found = descendants(spared);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills what is left and reaps it. Returns how many there were.
pub fn kill_all() -> usize {
    let none = HashSet::new();
    let mut killed = HashSet::new();
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(nix::errno::Errno::ECHILD) => return killed.len(),
            Ok(WaitStatus::StillAlive) => {
                for pid in descendants(&none) {
                    if kill(pid, Signal::SIGKILL).is_ok() {
                        killed.insert(pid);
                    }
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn parents_are_read_behind_hostile_names() {
        let parent = |text: &str| super::living_parent(text.as_bytes());
        assert_eq!(parent("12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(parent("12 (a) S 1 (b) R 9 12 12 0"), Some(9));
        assert_eq!(parent("12 (sh) Z 7 12 12 0"), None);
        assert_eq!(parent("12 sh"), None);
    }
}
