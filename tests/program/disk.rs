//! Disks that are full, read-only or someone else's; caches that were damaged; clocks that went back: the next run is right, or
//! says what to do.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::common::{events, said, Flow, Said};

/// No sandbox: the kernel keeps what Landlock's rules name until some time after the stage's end, even a removed folder, and makes
/// no disk read-only as long.
const FLOW: &str = r#"
version: 1
sandbox: off
stages:
  a: { run: "mkdir -p {{ outputs.d }}; cat {{ inputs.i }} > {{ outputs.d }}/x; head -c 300000 /dev/zero > {{ outputs.d }}/big", inputs: { i: src }, outputs: { d: d/ } }
  b: { run: "cat {{ inputs.d }}/x > {{ outputs.o }}; head -c 200000 /dev/zero > {{ outputs.big }}", inputs: { d: a.d }, outputs: { o: o, big: big } }
"#;

fn flow() -> Flow {
    let flow = Flow::new(FLOW);
    flow.write("src", "1\n");
    flow
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can mount a small disk and become another user");
    }
    root
}

/// A small disk in memory, gone with this value.
struct Disk(PathBuf);

impl Disk {
    fn new(at: &Path, kilobytes: usize) -> Option<Disk> {
        std::fs::create_dir_all(at).expect("a folder");
        let disk = Disk(at.to_path_buf());
        if disk.mount(&format!("size={kilobytes}k")) {
            return Some(disk);
        }
        eprintln!("skipped: nothing can be mounted here");
        std::mem::forget(disk);
        None
    }

    fn mount(&self, options: &str) -> bool {
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&self.0);
        command.output().is_ok_and(|output| output.status.success())
    }

    /// Mounts it with other options. The kernel refuses if a process has a file open for writing: none of nanoflow's is left.
    fn again(&self, options: &str) {
        assert!(
            self.mount(&format!("remount,{options}")),
            "remount {options}"
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn tells_what_to_do(said: &Said) {
    assert!(
        said.stderr.contains("the cache cannot be used"),
        "{}",
        said.stderr
    );
    assert!(said.stderr.contains("hint: "), "{}", said.stderr);
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
}

#[test]
fn a_full_disk_leaves_nothing_wrong() {
    if !is_root() {
        return;
    }
    let mut codes = std::collections::BTreeSet::new();
    // From no room for the lock to room for almost all.
    for kilobytes in [4, 40, 120, 400, 600, 800, 1000, 1200, 1400, 1800] {
        let flow = flow();
        let Some(disk) = Disk::new(&flow.path("cache"), kilobytes) else {
            return;
        };
        let tight = flow.run(&["run"]);
        codes.insert(tight.code);
        assert!(
            [0, 1, 5].contains(&tight.code),
            "{kilobytes}: {} {}",
            tight.code,
            tight.stderr
        );
        assert!(
            !tight.stderr.contains("panicked"),
            "{kilobytes}: {}",
            tight.stderr
        );
        if tight.code == 5 {
            tells_what_to_do(&tight);
        }
        if tight.code == 0 {
            assert_eq!(flow.read("artifacts/b/o"), "1\n");
        }
        disk.again("size=64m");
        flow.expect(0, &["verify"]);
        flow.expect(0, &["run"]);
        assert_eq!(flow.read("artifacts/b/o"), "1\n", "{kilobytes}");
        assert_eq!(
            flow.path("artifacts/b/big")
                .metadata()
                .expect("a file")
                .len(),
            200_000
        );
        assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"], "{kilobytes}");
    }
    assert!(codes.contains(&5), "no disk was too small: {codes:?}");
}

#[test]
fn a_read_only_cache_is_said_and_still_read() {
    if !is_root() {
        return;
    }
    let flow = flow();
    let Some(disk) = Disk::new(&flow.path("cache"), 64 << 10) else {
        return;
    };
    flow.expect(0, &["run"]);
    flow.write("src", "2\n");
    disk.again("ro");
    tells_what_to_do(&flow.expect(5, &["run"]));
    assert_eq!(flow.states(), ["a=stale", "b=stale"]);
    for command in [
        &["status"][..],
        &["why", "a"],
        &["log", "a"],
        &["show", "a"],
        &["run", "-n"],
    ] {
        flow.expect(0, command);
    }
    disk.again("rw");
    flow.expect(0, &["run"]);
    assert_eq!(flow.read("artifacts/b/o"), "2\n");
}

#[test]
fn a_cache_of_another_user_is_said() {
    if !is_root() {
        return;
    }
    let flow = flow();
    let program = flow.path("program");
    std::fs::copy(env!("CARGO_BIN_EXE_nanoflow"), &program).expect("a copy");
    flow.expect(0, &["run"]);
    let open = Command::new("chmod")
        .args(["-R", "a+rX"])
        .arg(flow.path(""))
        .status();
    assert!(open.expect("chmod").success());
    let other = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .current_dir(flow.path(""))
            .env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        said(command.uid(65_534).gid(65_534))
    };
    let refused = other(&["run"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    tells_what_to_do(&refused);
    assert!(refused.stderr.contains("cache"), "{}", refused.stderr);
    let status = other(&["status"]);
    assert_eq!(status.code, 0, "{}", status.stderr);
    assert!(status.stdout.contains("fresh"), "{}", status.stdout);
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                _ => files.push(entry.path()),
            }
        }
    }
    files.sort();
    files
}

/// Ways to damage a file that held these bytes.
fn damage(file: &Path, bytes: &[u8], how: usize) {
    let _ = std::fs::remove_file(file);
    let write = |bytes: &[u8]| std::fs::write(file, bytes).expect("a file");
    match how {
        0 => {}
        1 => std::fs::create_dir(file).expect("a folder"),
        2 => write(b"{\"garbage\": \xff\xfe"),
        3 => {
            let mut flipped = bytes.to_vec();
            if let Some(byte) = flipped.get_mut(bytes.len() / 2) {
                *byte ^= 1;
            }
            write(&flipped);
        }
        _ => std::os::unix::fs::symlink("/nowhere", file).expect("a link"),
    }
}

#[test]
fn damage_in_each_part_is_made_good() {
    let flow = flow();
    flow.expect(0, &["run"]);
    let whole = files_below(&flow.path("cache"));
    let parts = [
        "objects", "actions", "memo", "runs", "stat", "state", "lock",
    ];
    for part in parts {
        let folder = flow.path("cache").join(part);
        assert!(
            whole.iter().any(|file| file.starts_with(&folder)),
            "no {part}"
        );
    }
    let mut seen = 0;
    for (number, file) in whole.iter().enumerate() {
        let Ok(bytes) = std::fs::read(file) else {
            continue;
        };
        damage(file, &bytes, number % 5);
        std::fs::remove_dir_all(flow.path("artifacts")).expect("artifacts");
        let said = flow.run(&["run"]);
        assert_eq!(
            said.code,
            0,
            "{} damaged in way {}: {}",
            file.display(),
            number % 5,
            said.stderr
        );
        assert_eq!(flow.read("artifacts/b/o"), "1\n", "{}", file.display());
        seen += 1;
    }
    assert!(seen >= parts.len(), "only {seen} files");
    flow.run(&["verify"]);
    flow.expect(0, &["verify"]);
}

fn set_time(path: &Path, time: SystemTime) {
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .expect("a file");
    file.set_modified(time).expect("a time");
}

#[test]
fn clocks_that_went_wrong_change_nothing() {
    let flow = flow();
    let hour = Duration::from_secs(3600);
    for (number, time) in [
        SystemTime::now() + hour,
        SystemTime::now() - hour,
        SystemTime::UNIX_EPOCH,
    ]
    .into_iter()
    .enumerate()
    {
        // The same size and the same time: only the content tells.
        for version in [2 * number, 2 * number + 1] {
            flow.write("src", format!("v{version}\n"));
            set_time(&flow.path("src"), time);
            assert_eq!(
                flow.outcomes(&[]),
                ["a=executed", "b=executed"],
                "{version}"
            );
            assert_eq!(flow.read("artifacts/b/o"), format!("v{version}\n"));
        }
        assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
        // The cache itself as if written at another time.
        for file in files_below(&flow.path("cache")) {
            let _ = std::fs::File::open(&file).and_then(|file| file.set_modified(time));
        }
        assert_eq!(flow.outcomes(&[]), ["a=cached", "b=cached"]);
    }
    flow.expect(0, &["verify"]);
}

/// The files that spare a look at everything else: whatever is in them, nothing is believed that is not so, and nothing runs for it.
#[test]
fn any_byte_of_what_was_seen_last_may_change() {
    let flow = flow();
    let rest = std::time::Duration::from_millis(60);
    flow.expect(0, &["run"]);
    std::thread::sleep(rest);
    flow.expect(0, &["run"]);
    damage_what_was_seen(&flow, false);
    // A small change is noted beside what was seen before.
    flow.write("src", "2\n");
    flow.expect(0, &["run"]);
    std::thread::sleep(rest);
    flow.expect(0, &["run"]);
    damage_what_was_seen(&flow, true);
}

/// Changes single bits all over the stat cache, the snapshot, and the note beside it if there is to be one.
fn damage_what_was_seen(flow: &Flow, noted: bool) {
    let outcomes = flow.outcomes(&[]);
    let files: Vec<(PathBuf, Vec<u8>)> = files_below(&flow.path("cache"))
        .into_iter()
        .filter(|file| {
            let name = file.strip_prefix(flow.path("cache")).expect("below");
            name == Path::new("stat") || name.starts_with("clean")
        })
        .map(|file| (file.clone(), std::fs::read(file).expect("a file")))
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    let is_note = |(file, _): &(PathBuf, Vec<u8>)| file.extension().is_some_and(|e| e == "later");
    assert!(!noted || files.iter().any(is_note), "nothing was noted");
    for (file, whole) in &files {
        for at in (0..whole.len()).step_by(whole.len() / 24) {
            for (file, whole) in &files {
                std::fs::write(file, whole).expect("a file");
            }
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(file, bytes).expect("a file");
            // What the stat cache says is asked only on the long way.
            let mut command = flow.command();
            command.args(["run", "--json"]);
            if file.ends_with("stat") {
                command.env("NANOFLOW_NO_SNAPSHOT", "1");
            }
            let now: Vec<String> = events(&said(&mut command).stdout)
                .iter()
                .filter(|event| event["event"] == "stage-finished")
                .filter_map(|event| {
                    let (stage, outcome) = (event["stage"].as_str()?, event["outcome"].as_str()?);
                    Some(format!("{stage}={outcome}"))
                })
                .collect();
            assert_eq!(now, outcomes, "{} at {at}", file.display());
        }
    }
}
