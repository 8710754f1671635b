//! nanoflow beside its peers, measured in the same run: `cargo bench --bench peers -- [WHAT…] [--write]`.
//!
//! WHAT is any of `null`, `null-100k`, `leaf`, `trivial`, `hash`; all but `null-100k` if nothing is named. `--write` puts the
//! rows that were measured into the table of `docs/performance.md` and the plots of all sizes beside it. Peers that are not installed are left out.
//!
//! Each figure is the median of several runs of the whole process, the two programs in turn (A B A B …), so that a machine
//! whose speed drifts slows both. CPU time is user and system time of the process and all that it waited for.

mod generate;
mod measure;
mod page;

use std::path::Path;

use generate::Flow;
use measure::{pair, Program};
use page::{Points, Row};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == measure::HELPER) {
        measure::helper(&words[1..]);
        return;
    }
    let named: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let wanted = |what: &str| named.contains(&what) || (named.is_empty() && what != "null-100k");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut rows = Vec::new();
    let (mut points, mut bytes) = (Points::new(), Points::new());
    for count in [1_000, 10_000, 100_000] {
        let what = if count == 100_000 {
            "null-100k"
        } else {
            "null"
        };
        let leaf = count == 10_000 && wanted("leaf");
        let trivial = count == 1_000 && wanted("trivial");
        if wanted(what) || leaf || trivial {
            let flow = Flow::new(&folder.path().join(count.to_string()), count);
            flows(&flow, wanted(what), leaf, trivial, &mut rows, &mut points);
            flow.remove();
        }
    }
    if wanted("hash") {
        rows.extend(hash(folder.path(), &mut bytes));
    }
    let table = page::table(&rows);
    println!("{table}");
    if words.iter().any(|word| word == "--write") {
        page::write(&rows, &points, &bytes);
    }
}

/// Everything that one size of flow is used for.
fn flows(
    flow: &Flow,
    null: bool,
    leaf: bool,
    trivial: bool,
    rows: &mut Vec<Row>,
    points: &mut Points,
) {
    let (run, ninja) = (Program::nanoflow(&["run", "-j2"]), Program::ninja(&["-j2"]));
    if trivial {
        for (on, word, goal) in [(false, "off", 1.2), (true, "on", 1.5)] {
            flow.shut_in(on);
            let (own, peer) = pair(flow.dir(), 5, &run, ninja.as_ref(), || flow.clean());
            let what = format!("run 1,000 trivial commands, -j2, sandbox {word}");
            rows.push(Row::wall(&what, "ninja", own, peer, goal));
        }
        flow.shut_in(false);
        flow.clean();
    }
    flow.build(&run, ninja.as_ref());
    if null {
        let goal = if flow.count() == 1_000 { 1.5 } else { 1.0 };
        let (own, peer) = pair(flow.dir(), 15, &run, ninja.as_ref(), || {});
        let what = format!("nothing to do, {} stages", page::thousands(flow.count()));
        rows.push(Row::cpu(&what, "ninja", own, peer, goal));
        let status = Program::nanoflow(&["status"]);
        let (own_status, own_run) = pair(flow.dir(), 15, &status, Some(&run), || {});
        let what = format!("`status`, {} stages", page::thousands(flow.count()));
        rows.push(Row::cpu(&what, "own null build", own_status, own_run, 1.1));
        points.push((flow.count(), own, peer));
    }
    if leaf {
        let mut round = 0;
        let (own, peer) = pair(flow.dir(), 15, &run, ninja.as_ref(), || {
            round += 1;
            flow.change_leaf(round);
        });
        rows.push(Row::cpu(
            "one leaf changed of 10,000",
            "ninja",
            own,
            peer,
            1.2,
        ));
    }
}

/// 2 GiB of inputs, no digest known; and less, for the plot.
fn hash(folder: &Path, points: &mut Points) -> Vec<Row> {
    let mut rows = Vec::new();
    let measured = |bytes: usize, files: usize| {
        let inputs = generate::Inputs::new(&folder.join(format!("hash-{files}")), bytes, files);
        let own = Program::nanoflow(&["status"]);
        let peer = Program::b3sum(inputs.names());
        let pair = pair(inputs.dir(), 5, &own, peer.as_ref(), || inputs.forget());
        inputs.remove();
        pair
    };
    for mebibytes in [20, 200] {
        let (own, peer) = measured(mebibytes << 20, 1);
        points.push((mebibytes, own, peer));
    }
    for (what, files) in [
        ("hash 2 GiB in one file", 1),
        ("hash 2 GiB in 2,048 files", 2_048),
    ] {
        let (own, peer) = measured(2 << 30, files);
        if files == 1 {
            points.push((2 << 10, own, peer));
        }
        rows.push(Row::wall(what, "b3sum", own, peer, 1.0 / 0.95));
    }
    rows
}
