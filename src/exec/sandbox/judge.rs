//! Which paths a stage may reach. Pure: real paths in, verdicts out.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::system::System;
use super::{Access, Confine};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    Refuse {
        in_passing: bool,
    },
    /// As if it were not there.
    Hide,
}

#[derive(Debug, Clone, Default)]
pub struct Judge {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    inputs: PathBuf,
    system: Readable,
}

/// What every stage may read, by the names that it is known under and the real ones. The same for all stages of a run.
#[derive(Debug, Clone, Default)]
pub struct Readable(Arc<[PathBuf]>);

impl Readable {
    pub fn new(system: &System) -> Readable {
        let mut paths: Vec<PathBuf> = under_both_names(&system.read).collect();
        paths.push(PathBuf::from("/dev"));
        Readable(topmost(paths).into())
    }
}

/// Those of the paths that lie below none of the others: with these the others are reached as well.
pub fn topmost(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths.dedup_by(|path, above| path.starts_with(above));
    paths
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn under_both_names(paths: &[PathBuf]) -> impl Iterator<Item = PathBuf> + '_ {
    paths.iter().flat_map(|path| [path.clone(), real(path)])
}

impl Judge {
    pub fn new(wants: &Confine, system: &Readable) -> Judge {
        Judge {
            read: under_both_names(&wants.read).collect(),
            write: wants.write.iter().map(|path| real(path)).collect(),
            inputs: real(&wants.inputs),
            system: system.clone(),
        }
    }

    /// Whether a path, as the stage wrote it, is the system's beyond doubt: judging it needs no look at the disk.
    pub fn plainly_system(&self, path: &Path) -> bool {
        !path.components().any(|part| part == Component::ParentDir) && below(&self.system.0, path)
    }

    /// Whether it lies where the stage may do what it likes.
    pub fn owns(&self, path: &Path) -> bool {
        below(&self.write, path)
    }

    pub fn judge(&self, access: Access, path: &Path) -> Verdict {
        let own = self.owns(path);
        let readable = below(&self.system.0, path) || below(&self.read, path);
        match access {
            Access::Network => Verdict::Refuse { in_passing: false },
            Access::Connect if own => Verdict::Allow,
            // Name services ask daemons in passing.
            Access::Connect => Verdict::Refuse { in_passing: true },
            Access::Write | Access::Change if own && path.starts_with(&self.inputs) => {
                Verdict::Refuse { in_passing: true }
            }
            _ if own => Verdict::Allow,
            // Devices and the terminal: the kernel's wall knows each.
            Access::Write | Access::Change
                if path.starts_with("/dev") || path.starts_with("/proc") =>
            {
                Verdict::Allow
            }
            // Python compiles the system's modules, font libraries keep lists beside the fonts: they go on without.
            Access::Write | Access::Change => Verdict::Refuse {
                in_passing: readable,
            },
            _ if readable => Verdict::Allow,
            Access::Look if self.on_the_way(path) => Verdict::Allow,
            Access::Look => Verdict::Hide,
            Access::List => Verdict::Refuse {
                in_passing: self.holds_a_root(path),
            },
            Access::Read | Access::Execute => Verdict::Refuse { in_passing: false },
        }
    }

    /// Whether something that may be reached lies in this folder: interpreters list the folder of a script, `pwd` goes up.
    fn holds_a_root(&self, path: &Path) -> bool {
        let mut roots = self.read.iter().chain(&self.write);
        path.parent().is_none() || roots.any(|root| root.parent() == Some(path))
    }

    /// Whether the path leads to something that may be reached.
    fn on_the_way(&self, path: &Path) -> bool {
        path.components().count() <= 2
            || [self.read.as_slice(), &self.write, &self.system.0]
                .into_iter()
                .flatten()
                .any(|root| root.starts_with(path))
    }
}

fn below(roots: &[PathBuf], path: &Path) -> bool {
    roots.iter().any(|root| path.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge() -> Judge {
        let wants = Confine {
            read: vec!["/tools/x".into()],
            write: vec!["/flow/cache/work/a".into()],
            inputs: "/flow/cache/work/a/inputs".into(),
            ..Confine::default()
        };
        let system = System {
            read: vec!["/usr".into()],
            ..System::default()
        };
        Judge::new(&wants, &Readable::new(&system))
    }

    #[test]
    fn what_may_be_reached() {
        let judge = judge();
        let verdict = |access, path: &str| judge.judge(access, Path::new(path));
        let (refused, passing) = (
            Verdict::Refuse { in_passing: false },
            Verdict::Refuse { in_passing: true },
        );
        assert_eq!(
            verdict(Access::Read, "/flow/cache/work/a/inputs/i"),
            Verdict::Allow
        );
        assert_eq!(
            verdict(Access::Write, "/flow/cache/work/a/o"),
            Verdict::Allow
        );
        assert_eq!(
            verdict(Access::Write, "/flow/cache/work/a/inputs/i"),
            passing
        );
        assert_eq!(verdict(Access::Read, "/flow/cache/work/ab"), refused);
        assert_eq!(verdict(Access::Read, "/flow/flow.yaml"), refused);
        assert_eq!(verdict(Access::Change, "/flow/flow.yaml"), refused);
        assert_eq!(verdict(Access::Execute, "/tools/x/bin/y"), Verdict::Allow);
        assert_eq!(verdict(Access::Execute, "/tools/z"), refused);
        assert_eq!(verdict(Access::Write, "/usr/lib/x.pyc"), passing);
        assert_eq!(verdict(Access::List, "/flow/cache/work"), passing);
        assert_eq!(verdict(Access::List, "/tools"), passing);
        assert_eq!(verdict(Access::List, "/flow"), refused);
        assert_eq!(verdict(Access::List, "/tmp"), refused);
        assert_eq!(verdict(Access::List, "/flow/artifacts"), refused);
        assert_eq!(verdict(Access::Look, "/tmp"), Verdict::Allow);
        assert_eq!(verdict(Access::Look, "/tmp/x"), Verdict::Hide);
        assert_eq!(verdict(Access::Look, "/flow/cache"), Verdict::Allow);
        assert_eq!(verdict(Access::Look, "/flow/flow.yaml"), Verdict::Hide);
        assert_eq!(verdict(Access::Write, "/dev/null"), Verdict::Allow);
    }
}
