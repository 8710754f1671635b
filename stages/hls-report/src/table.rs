use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

/// The part of `cosim.json` that the table shows.
#[derive(Debug, Deserialize)]
pub struct Cosim {
    pub lanes: usize,
    pub cycles_per_token: f64,
    pub full_speed: Run,
}

/// One simulation.
#[derive(Debug, Deserialize)]
pub struct Run {
    pub tokens: usize,
    pub mismatches: usize,
    pub cycles: Vec<u64>,
}

/// `stat.json` of the synthesis.
#[derive(Debug, Deserialize)]
pub struct Stat {
    pub design: Module,
    /// Synthesised one by one, before the hierarchy is dissolved.
    pub modules: BTreeMap<String, Module>,
}

/// Own cells of a module, without those of the modules in it.
#[derive(Debug, Deserialize)]
pub struct Module {
    pub cells: usize,
    pub area_um2: f64,
    #[serde(default)]
    pub instances: BTreeMap<String, usize>,
}

/// Copies of each module in the whole design.
fn copies(stat: &Stat) -> BTreeMap<&str, usize> {
    let children = stat
        .modules
        .values()
        .flat_map(|module| module.instances.keys());
    let children: Vec<&String> = children.collect();
    let mut copies = BTreeMap::new();
    for top in stat.modules.keys().filter(|name| !children.contains(name)) {
        count(stat, top, 1, 0, &mut copies);
    }
    copies
}

fn count<'a>(
    stat: &'a Stat,
    name: &'a str,
    times: usize,
    depth: usize,
    copies: &mut BTreeMap<&'a str, usize>,
) {
    *copies.entry(name).or_default() += times;
    // No real hierarchy is that deep; a file that says so must not hang the stage.
    let Some(module) = stat.modules.get(name).filter(|_| depth < 64) else {
        return;
    };
    for (child, number) in &module.instances {
        count(stat, child, times * number, depth + 1, copies);
    }
}

/// What a module does in a clock cycle or a token: latency, initiation interval, throughput.
fn timing(name: &str, cosim: &Cosim, clock_mhz: f64) -> [String; 3] {
    let lanes = cosim.lanes;
    match name {
        "nanoflow_lane" => ["1".into(), "1".into(), "1 multiplication a cycle".into()],
        "nanoflow_mac" => {
            let rate = lanes as f64 / (lanes + 1) as f64 * lanes as f64;
            [
                "1".into(),
                "1".into(),
                format!(
                    "{rate:.2} multiplications a cycle, {lanes} of {} memory words being weights",
                    lanes + 1
                ),
            ]
        }
        "nanoflow_core" | "nanoflow_top" => {
            let token = format!("{:.0}", cosim.cycles_per_token);
            let rate = clock_mhz * 1e6 / cosim.cycles_per_token;
            [
                token.clone(),
                token,
                format!("{rate:.1} tokens a second at {clock_mhz} MHz"),
            ]
        }
        "nanoflow_csr" => ["1".into(), "2".into(), "1 register in 2 cycles".into()],
        "nanoflow_full_adder" => ["0".into(), "–".into(), "combinational".into()],
        _ => ["–".into(), "–".into(), "–".into()],
    }
}

/// The table as Markdown.
#[must_use]
pub fn render(cosim: &Cosim, stat: &Stat, clock_mhz: f64) -> String {
    let run = &cosim.full_speed;
    let (least, most) = (
        run.cycles.iter().min().unwrap_or(&0),
        run.cycles.iter().max().unwrap_or(&0),
    );
    let mut text = String::from("# Accelerator: cells, latency, throughput\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} tokens simulated, {} values wrong. Clock cycles a token: {:.0} on average, {least} to {most}.\n\
         The whole design, flat: {} cells, {:.0} µm².\n",
        run.tokens, run.mismatches, cosim.cycles_per_token, stat.design.cells, stat.design.area_um2
    );
    text += "Cells and area of a module are its own, without the modules in it, as synthesised alone.\n\n";
    text += "| module | copies | cells of one | µm² of one | latency, cycles | initiation interval | throughput |\n";
    text += "|---|---:|---:|---:|---:|---:|---|\n";
    let copies = copies(stat);
    for (name, module) in &stat.modules {
        let [latency, interval, rate] = timing(name, cosim, clock_mhz);
        let number = copies.get(name.as_str()).copied().unwrap_or(0);
        let _ = writeln!(
            text,
            "| {name} | {number} | {} | {:.0} | {latency} | {interval} | {rate} |",
            module.cells, module.area_um2
        );
    }
    text
}
