//! A result is known only after all of it is on the disk: read from the system calls of a run, whatever the program thinks it does.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nanoflow::store::{Kind, Store, TreeEntry};

use crate::common::Flow;

/// Files by what became of them: names as they move, and what was synced.
#[derive(Default)]
struct Disk {
    next: usize,
    names: HashMap<PathBuf, usize>,
    /// Files whose content is on the disk.
    content: HashSet<usize>,
    /// Names that are on the disk.
    listed: HashSet<PathBuf>,
}

impl Disk {
    fn file(&mut self, path: &Path) -> usize {
        let next = &mut self.next;
        *self.names.entry(path.to_path_buf()).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    /// `fsync` of a file or of a folder.
    fn sync(&mut self, path: &Path) {
        let id = self.file(path);
        self.content.insert(id);
        let inner = self.names.keys().filter(|name| name.parent() == Some(path));
        self.listed.extend(inner.cloned());
    }

    fn sync_all(&mut self) {
        self.content.extend(self.names.values().copied());
        self.listed.extend(self.names.keys().cloned());
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let id = self.file(from);
        self.names.remove(from);
        self.names.insert(to.to_path_buf(), id);
        self.listed.remove(to);
    }

    fn content_is_safe(&self, path: &Path) -> bool {
        self.names
            .get(path)
            .is_some_and(|id| self.content.contains(id))
    }
}

/// One finished call: its name and what stands between its parentheses.
fn calls(text: &str) -> Vec<(String, String)> {
    let mut pending: HashMap<&str, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let Some((process, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            pending.insert(process, begun.to_string());
            continue;
        }
        let whole = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let tail = resumed.split_once('>').map_or("", |(_, tail)| tail);
                pending.remove(process).unwrap_or_default() + tail
            }
            None => rest.to_string(),
        };
        let good = whole
            .rsplit_once("= ")
            .is_some_and(|(_, code)| code.trim() == "0");
        if let Some((name, arguments)) = whole.split_once('(').filter(|_| good) {
            calls.push((name.to_string(), arguments.to_string()));
        }
    }
    calls
}

/// Text in quotes or in `<…>`, in order.
fn paths(arguments: &str, open: char, close: char) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = arguments;
    while let Some(at) = rest.find(open) {
        rest = &rest[at + 1..];
        let end = rest.find(close).unwrap_or(rest.len());
        found.push(PathBuf::from(&rest[..end]));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    found
}

/// Every object that an action needs.
fn objects(store: &Store, key: &nanoflow::key::ActionKey) -> Vec<PathBuf> {
    let action = store.action(key).expect("an action");
    let mut objects = Vec::new();
    for record in action.outputs.values() {
        objects.push(store.object_path(&record.digest));
        if record.kind == Kind::Directory {
            let tree = store.tree(&record.digest).expect("a listing");
            let files = tree.entries.iter().filter_map(TreeEntry::file);
            objects.extend(files.map(|(digest, _)| store.object_path(&digest)));
        }
    }
    objects
}

#[test]
fn a_result_is_on_the_disk_before_it_is_known() {
    if which::which("strace").is_err() {
        eprintln!("skipped: there is no strace");
        return;
    }
    let flow = Flow::new(
        r#"
version: 1
stages:
  a: { run: "echo 1 > {{ outputs.o }}; mkdir d; for i in 1 2 3; do echo $i > d/$i; done", outputs: { o: o, d: d/ } }
  b: { run: "mkdir d; i=0; while [ $i -lt 40 ]; do echo b $i > d/$i; i=$((i+1)); done", outputs: { d: d/ } }
  c: { run: "cat {{ inputs.d }}/* > {{ outputs.o }}", inputs: { d: b.d }, outputs: { o: o } }
"#,
    );
    let log = flow.path("calls");
    let own = flow.command();
    let mut traced = Command::new("strace");
    traced
        .args(["-f", "-y", "-s", "4096", "-e"])
        .arg("trace=fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat")
        .arg("-o")
        .arg(&log)
        .arg(own.get_program())
        .args(["run", "-j1"])
        .current_dir(flow.path(""));
    let said = crate::common::said(&mut traced);
    if said.stderr.contains("ptrace") || said.stderr.contains("PTRACE") {
        eprintln!("skipped: strace may not trace here: {}", said.stderr);
        return;
    }
    assert_eq!(said.code, 0, "{}", said.stderr);
    let store = Store::at(&flow.path(""));
    let home = flow.path("").canonicalize().expect("folder");
    let absolute = |path: PathBuf| home.join(path);
    let mut waiting: HashMap<PathBuf, Vec<PathBuf>> = store
        .action_keys()
        .iter()
        .map(|key| (absolute(store.action_path(key)), objects(&store, key)))
        .collect();
    assert_eq!(waiting.len(), 3);
    let mut disk = Disk::default();
    for (call, arguments) in calls(&std::fs::read_to_string(&log).expect("calls")) {
        match call.as_str() {
            "fsync" | "fdatasync" => {
                for path in paths(&arguments, '<', '>') {
                    disk.sync(&absolute(path));
                }
            }
            "syncfs" => disk.sync_all(),
            _ => {
                let names = paths(&arguments, '"', '"');
                let [from, to] = names.as_slice() else {
                    panic!("{call}({arguments}")
                };
                let (from, to) = (absolute(from.clone()), absolute(to.clone()));
                if let Some(needed) = waiting.remove(&to) {
                    for object in needed {
                        let object = absolute(object);
                        let safe = disk.content_is_safe(&object) && disk.listed.contains(&object);
                        assert!(
                            safe,
                            "{} is written before {} is synced",
                            to.display(),
                            object.display()
                        );
                    }
                }
                disk.rename(&from, &to);
            }
        }
    }
    assert!(waiting.is_empty(), "never written by a rename: {waiting:?}");
    // An action that a crash cut short is found by its own digest; when the run has ended none can be.
    for key in store.action_keys() {
        let path = absolute(store.action_path(&key));
        let safe = disk.content_is_safe(&path) && disk.listed.contains(&path);
        assert!(safe, "{} is not synced at the end", path.display());
    }
}
