//! Killed at any instant, the cache stays whole: the next run is right without repair.

use std::process::Stdio;
use std::time::Duration;

use crate::common::Flow;

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
    let mut random = 7u64;
    for round in 0..8 {
        flow.write("src", format!("{round}\n"));
        let mut child = flow
            .command()
            .args(["run", "-j2"])
            .stderr(Stdio::null())
            .spawn()
            .expect("run");
        // Knuth's MMIX generator: times that look random and are the same each time.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(1 + (random >> 33) % 400));
        let _ = child.kill();
        let _ = child.wait();
        flow.expect(0, &["verify"]);
        flow.expect(0, &["run"]);
        let expected = (0..12).fold(format!("{round}\n"), |text, number| {
            text + &format!("{number}\n")
        });
        assert_eq!(flow.read("artifacts/s11/o"), expected);
    }
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
