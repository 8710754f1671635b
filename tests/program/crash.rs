//! Killed at any instant, the cache stays whole: the next run is right without repair.

use std::process::Stdio;
use std::time::Duration;

use crate::common::Flow;

/// Knuth's MMIX generator: numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Runs and is killed after so many milliseconds. True if it was still running.
fn killed_after(flow: &Flow, milliseconds: u64) -> bool {
    let mut child = flow
        .command()
        .args(["run", "-j2"])
        .stderr(Stdio::null())
        .spawn()
        .expect("run");
    std::thread::sleep(Duration::from_millis(milliseconds));
    let running = child.try_wait().expect("run").is_none();
    let _ = child.kill();
    let _ = child.wait();
    running
}

#[test]
fn killed_at_random_times() {
    let mut text = String::from("version: 1\nstages:\n");
    for number in 0..12 {
        let input = if number == 0 {
            "src".to_string()
        } else {
            format!("s{}.o", number - 1)
        };
        text.push_str(&format!(
            "  s{number}: {{ run: 'head -c 200000 /dev/zero > {{{{ outputs.big }}}}; cat {{{{ inputs.i }}}} > {{{{ outputs.o }}}}; echo {number} >> {{{{ outputs.o }}}}', inputs: {{ i: {input} }}, outputs: {{ o: o, big: d/big }} }}\n"
        ));
    }
    let flow = Flow::new(&text);
    let mut random = Random(7);
    for round in 0..8 {
        flow.write("src", format!("{round}\n"));
        killed_after(&flow, 1 + random.below(400));
        flow.expect(0, &["verify"]);
        flow.expect(0, &["run"]);
        let expected = (0..12).fold(format!("{round}\n"), |text, number| {
            text + &format!("{number}\n")
        });
        assert_eq!(flow.read("artifacts/s11/o"), expected);
    }
}

/// A file of `BYTES`, a folder of `COUNT` files, and what is made of both.
const BIG: &str = r#"
version: 1
stages:
  file: { run: "yes $(cat {{ inputs.i }}) | head -c BYTES > {{ outputs.o }}", inputs: { i: src }, outputs: { o: o } }
  many:
    run: "w=$(cat {{ inputs.i }}); mkdir -p d/in; i=0; while [ $i -lt COUNT ]; do echo $w $i > d/in/$i; i=$((i+1)); done"
    inputs: { i: src }
    outputs: { d: d/ }
  both: { run: "cp {{ inputs.o }} {{ outputs.o }}; cat {{ inputs.d }}/in/* >> {{ outputs.o }}; cp -r {{ inputs.d }} {{ outputs.d }}", inputs: { o: file.o, d: many.d }, outputs: { o: o, d: d/ } }
"#;

#[derive(Clone, Copy)]
struct Size {
    bytes: usize,
    count: usize,
}

/// What the artifacts of [`BIG`] must hold.
fn check_big(flow: &Flow, size: Size, word: &str) {
    let line = format!("{word}\n");
    let file = line.repeat(size.bytes / line.len() + 1);
    let file = &file.as_bytes()[..size.bytes];
    let bytes = |name: &str| std::fs::read(flow.path(name)).expect("an artifact");
    assert!(bytes("artifacts/file/o") == file, "the file of {word}");
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(flow.path(folder)).expect("an artifact");
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        names
    };
    let all = names("artifacts/many/d/in");
    assert_eq!(all.len(), size.count);
    assert_eq!(names("artifacts/both/d/in"), all);
    let mut whole = file.to_vec();
    for name in &all {
        let text = format!("{word} {name}\n");
        assert_eq!(flow.read(&format!("artifacts/many/d/in/{name}")), text);
        assert_eq!(flow.read(&format!("artifacts/both/d/in/{name}")), text);
        whole.extend_from_slice(text.as_bytes());
    }
    assert!(bytes("artifacts/both/o") == whole, "what is made of {word}");
}

fn killed_with_big_outputs(size: Size, rounds: u64, seed: u64) {
    let text = BIG.replace("BYTES", &size.bytes.to_string());
    let flow = Flow::new(&text.replace("COUNT", &size.count.to_string()));
    flow.write("src", "first\n");
    let started = std::time::Instant::now();
    flow.expect(0, &["run", "-j2"]);
    let took = u64::try_from(started.elapsed().as_millis()).expect("a time");
    check_big(&flow, size, "first");
    let mut random = Random(seed);
    for round in 0..rounds {
        // One that ended before it could be killed was faster than the first: the next one gets less time.
        let mut most = took;
        for attempt in 0.. {
            assert!(most > 0, "round {round}: no run could be killed");
            let word = format!("round{round}-{attempt}");
            flow.write("src", format!("{word}\n"));
            let killed = killed_after(&flow, random.below(most));
            flow.expect(0, &["verify"]);
            flow.expect(0, &["run"]);
            check_big(&flow, size, &word);
            for folder in ["cache/work", "cache/tmp"] {
                let left = std::fs::read_dir(flow.path(folder)).expect("a folder");
                assert_eq!(left.count(), 0, "{folder} after {word}");
            }
            // Room for the next: only what this run reaches stays.
            flow.expect(0, &["gc", "--keep", "1"]);
            flow.expect(0, &["verify"]);
            if killed {
                break;
            }
            most /= 2;
        }
    }
}

#[test]
fn killed_once_with_larger_outputs() {
    let size = Size {
        bytes: 4_000_000,
        count: 200,
    };
    killed_with_big_outputs(size, 1, u64::from(std::process::id()));
}

#[test]
#[ignore = "minutes: gigabytes are written"]
fn killed_at_random_times_with_big_outputs() {
    let size = Size {
        bytes: 48_000_000,
        count: 4000,
    };
    killed_with_big_outputs(size, 25, 11);
}

#[test]
fn a_cut_file_is_no_result() {
    let flow = Flow::new(
        "version: 1\nstages:\n  a: { run: 'echo 1 > {{ outputs.o }}', outputs: { o: o } }\n",
    );
    flow.expect(0, &["run"]);
    let mut files = Vec::new();
    let mut folders = vec![flow.path("cache")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("cache").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else {
            continue;
        };
        for length in [0, 1, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            let _ = std::fs::remove_file(&file);
            if let Some(folder) = file.parent() {
                let _ = std::fs::create_dir_all(folder);
            }
            std::fs::write(&file, &bytes[..length.min(bytes.len())]).expect("cut");
            let said = flow.run(&["run"]);
            assert_eq!(
                said.code,
                0,
                "{} cut to {length}: {}",
                file.display(),
                said.stderr
            );
            assert_eq!(flow.read("artifacts/a/o"), "1\n");
        }
    }
}
