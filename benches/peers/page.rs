//! The table and the plot of `docs/performance.md`.

use std::fmt::Write;
use std::path::Path;

use crate::measure::Cost;

/// One line of the table.
pub struct Row {
    what: String,
    peer: &'static str,
    /// CPU seconds or seconds.
    unit: &'static str,
    own: f64,
    other: Option<f64>,
    peak_bytes: u64,
    goal: f64,
}

impl Row {
    pub fn cpu(what: &str, peer: &'static str, own: Cost, other: Option<Cost>, goal: f64) -> Row {
        Row {
            what: what.to_string(),
            peer,
            unit: "CPU",
            own: own.cpu_seconds,
            other: other.map(|cost| cost.cpu_seconds),
            peak_bytes: own.peak_bytes,
            goal,
        }
    }

    pub fn wall(what: &str, peer: &'static str, own: Cost, other: Option<Cost>, goal: f64) -> Row {
        Row {
            what: what.to_string(),
            peer,
            unit: "time",
            own: own.wall_seconds,
            other: other.map(|cost| cost.wall_seconds),
            peak_bytes: own.peak_bytes,
            goal,
        }
    }
}

/// `100,000`.
pub fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

const COLUMNS: &str =
    "| work | peer | measured | nanoflow | peer's | ratio | goal | peak memory |\n|---|---|---|---|---|---|---|---|\n";

fn line(row: &Row) -> String {
    let milliseconds = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
    let (other, ratio) = match row.other {
        Some(other) => (
            milliseconds(other),
            format!("{:.2}", row.own / other.max(1e-9)),
        ),
        None => ("not installed".to_string(), "–".to_string()),
    };
    format!(
        "| {} | {} | {} | {} | {other} | {ratio} | ≤ {:.2} | {:.0} MiB |\n",
        row.what,
        row.peer,
        row.unit,
        milliseconds(row.own),
        row.goal,
        row.peak_bytes as f64 / f64::from(1 << 20)
    )
}

pub fn table(rows: &[Row]) -> String {
    let lines: String = rows.iter().map(line).collect();
    format!("{COLUMNS}{lines}")
}

const BEGIN: &str = "<!-- table -->\n";
const END: &str = "<!-- end of table -->\n";

/// The table with the rows that were measured now in the place of those that tell of the same work.
fn merged(table: &str, rows: &[Row]) -> String {
    let of = |line: &str| line.split('|').nth(1).map(|cell| cell.trim().to_string());
    let mut lines: Vec<String> = table
        .lines()
        .skip(2)
        .map(|line| format!("{line}\n"))
        .collect();
    for row in rows {
        match lines
            .iter()
            .position(|line| of(line).as_ref() == Some(&row.what))
        {
            Some(place) => lines[place] = line(row),
            None => lines.push(line(row)),
        }
    }
    format!("{COLUMNS}{}", lines.concat())
}

/// What was measured of several sizes.
pub type Points = Vec<(usize, Cost, Option<Cost>)>;

/// Puts the rows into the table of the page, and the plots of which all sizes were measured beside it.
pub fn write(rows: &[Row], stages: &Points, bytes: &Points) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = docs.join("performance.md");
    let text = std::fs::read_to_string(&page).expect("docs/performance.md");
    let (before, rest) = text.split_once(BEGIN).expect("where the table begins");
    let (table, after) = rest.split_once(END).expect("where the table ends");
    let table = merged(table, rows);
    std::fs::write(&page, format!("{before}{BEGIN}{table}{END}{after}")).expect("the page");
    let plots = [
        (stages, "null-build.svg", "ninja", "stages", "nothing to do"),
        (bytes, "hashing.svg", "b3sum", "MiB in one file", "hashing"),
    ];
    for (points, file, peer, across, what) in plots {
        if points.len() == 3 {
            let plot = plot(points, peer, across, what);
            std::fs::write(docs.join("pictures").join(file), plot).expect("the plot");
        }
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 90.0;
const BOTTOM: f64 = 50.0;
const MARGIN: f64 = 20.0;

/// CPU time over size, both axes logarithmic.
fn plot(points: &Points, peer: &str, sizes: &str, what: &str) -> String {
    let first = points
        .first()
        .map_or(1.0, |(count, ..)| *count as f64)
        .log10()
        - 0.2;
    let across = |count: f64| LEFT + (count.log10() - first) / 2.4 * (WIDTH - LEFT - MARGIN);
    let up =
        |seconds: f64| HEIGHT - BOTTOM - (seconds.log10() + 3.0) / 4.0 * (HEIGHT - BOTTOM - MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for (seconds, label) in [
        (1e-3, "1 ms"),
        (1e-2, "10 ms"),
        (1e-1, "100 ms"),
        (1.0, "1 s"),
        (10.0, "10 s"),
    ] {
        let y = up(seconds);
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            WIDTH - MARGIN,
            LEFT - 8.0,
            y + 4.0
        );
    }
    for (count, ..) in points {
        let x = across(*count as f64);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" y1=\"{MARGIN}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0,
            thousands(*count)
        );
    }
    let mut line = |name: &str, color: &str, values: Vec<(f64, f64)>, place: f64| {
        let path: Vec<String> = values
            .iter()
            .map(|(count, seconds)| format!("{:.1},{:.1}", across(*count), up(*seconds)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for (count, seconds) in &values {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{color}\"/>",
                across(*count),
                up(*seconds)
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{color}\">{name}</text>",
            LEFT + 16.0,
            MARGIN + 22.0 + place * 18.0
        );
    };
    let own = points.iter();
    let own = own.map(|(count, own, _)| (*count as f64, own.cpu_seconds));
    line("nanoflow", "#1a6fb5", own.collect(), 0.0);
    let peers = points.iter();
    let peers = peers.filter_map(|(count, _, peer)| Some((*count as f64, (*peer)?.cpu_seconds)));
    line(peer, "#c0562b", peers.collect(), 1.0);
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{sizes}</text>\n<text x=\"18\" y=\"{:.1}\" transform=\"rotate(-90 18 {:.1})\" text-anchor=\"middle\">CPU time, {what}</text>\n</svg>",
        (LEFT + WIDTH - MARGIN) / 2.0,
        HEIGHT - 10.0,
        HEIGHT / 2.0,
        HEIGHT / 2.0
    );
    out
}
