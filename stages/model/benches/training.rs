//! Training and evaluation against PyTorch on the CPU, shape by shape in one run.
//!
//! `cargo bench -p nanoflow-model --bench training -- --python PYTHON [--threads N] [--seconds S] [--rounds R] [--write PAGE]`
//!
//! Every measurement is a process of its own; the two programs take turns, and the best of each counts. Without `--python` only this
//! program is measured. What the machine can do at most is measured too: one large matrix product.

use std::io::Error;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nanoflow_model::backward::{Pass, Workspace};
use nanoflow_model::config::{Activation, TrainingConfig};
use nanoflow_model::data::Batch;
use nanoflow_model::evaluate::evaluate;
use nanoflow_model::kernels::{multiply_into, Matrix};
use nanoflow_model::loss::thread_pool;
use nanoflow_model::optimizer::AdamW;
use nanoflow_model::{Gpt, ModelConfig};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// (name, vocabulary, block, layers, heads, width, batch).
const SHAPES: [(&str, [usize; 6]); 3] = [
    ("T", [512, 64, 2, 2, 64, 16]),
    ("S", [2048, 128, 4, 4, 128, 8]),
    ("D", [50257, 256, 4, 4, 256, 4]),
];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Figures {
    /// Of the fastest step.
    tokens_per_second: f64,
    cpu_microseconds_per_token: f64,
    peak_megabytes: f64,
    #[serde(default)]
    version: String,
}

impl Figures {
    /// The better of two runs in each figure.
    fn best(self, other: Self) -> Self {
        if self.tokens_per_second == 0.0 {
            return other;
        }
        Self {
            tokens_per_second: self.tokens_per_second.max(other.tokens_per_second),
            cpu_microseconds_per_token: self
                .cpu_microseconds_per_token
                .min(other.cpu_microseconds_per_token),
            peak_megabytes: self.peak_megabytes.min(other.peak_megabytes),
            version: other.version,
        }
    }
}

struct Options {
    python: Option<String>,
    threads: usize,
    seconds: f64,
    rounds: usize,
    write: Option<String>,
}

impl Options {
    fn read() -> Self {
        let arguments: Vec<String> = std::env::args().collect();
        let value = |name: &str| {
            let place = arguments.iter().position(|argument| argument == name)?;
            arguments.get(place + 1).cloned()
        };
        let number = |name: &str, default: f64| {
            value(name).map_or(default, |text| text.parse().expect("a number"))
        };
        Self {
            python: value("--python"),
            threads: number("--threads", 1.0) as usize,
            seconds: number("--seconds", 3.0),
            rounds: number("--rounds", 3.0) as usize,
            write: value("--write"),
        }
    }
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(place) = arguments.iter().position(|argument| argument == "--child") {
        return child(&arguments[place + 1..]);
    }
    let options = Options::read();
    let mut version = String::new();
    let mut limit = 0.0f64;
    let mut measured = Vec::new();
    for (name, shape) in SHAPES {
        for mode in ["train", "evaluate"] {
            let (mut ours, mut theirs) = (Figures::default(), Figures::default());
            for _ in 0..options.rounds {
                limit = limit.max(measure_ours("product", &shape, &options)?.tokens_per_second);
                ours = ours.best(measure_ours(mode, &shape, &options)?);
                if let Some(python) = &options.python {
                    theirs = theirs.best(measure_pytorch(python, mode, &shape, &options)?);
                }
            }
            version.clone_from(&theirs.version);
            println!("{name} {mode}: {:.0} tokens/s", ours.tokens_per_second);
            measured.push((name, shape, mode, ours, theirs));
        }
    }
    let mut table = String::from(HEADING);
    for (name, shape, mode, ours, theirs) in &measured {
        let share = operations(mode, shape) * ours.tokens_per_second / limit;
        table.push_str(&row(name, mode, ours, theirs, share));
    }
    let note = format!(
        "PyTorch {version}, {} thread(s) each; ratios above 1 are in favour of nanoflow. One product of two 1024 × 1024 matrices: {:.0} Gflop/s.",
        options.threads,
        limit / 1e9
    );
    println!("{note}\n\n{table}");
    if let Some(path) = &options.write {
        // cargo runs benches in the folder of their package; the path is one of the repository.
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(path);
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, replace_table(&text, &note, &table))?;
    }
    Ok(())
}

const HEADING: &str = "| shape | work | tokens/s, ours | PyTorch | ratio | CPU µs a token, ours | PyTorch | ratio | peak MB, ours | PyTorch | of the product's speed |
|---|---|---|---|---|---|---|---|---|---|---|
";

fn row(name: &str, mode: &str, ours: &Figures, theirs: &Figures, share: f64) -> String {
    let speeds = [ours.tokens_per_second, theirs.tokens_per_second];
    let times = [theirs, ours].map(|figures| figures.cpu_microseconds_per_token);
    let ratio = |[high, low]: [f64; 2]| match low > 0.0 && high > 0.0 {
        true => format!("{:.2}", high / low),
        false => "–".into(),
    };
    format!(
        "| {name} | {mode} | {:.0} | {:.0} | {} | {:.2} | {:.2} | {} | {:.0} | {:.0} | {:.0} % |\n",
        speeds[0],
        speeds[1],
        ratio(speeds),
        times[1],
        times[0],
        ratio(times),
        ours.peak_megabytes,
        theirs.peak_megabytes,
        100.0 * share,
    )
}

/// Floating-point operations a token in matrix products: 2 for each weight of a product, and attention's two products over the
/// positions that causality leaves, half of all; training takes three times as many.
fn operations(mode: &str, &[vocabulary, block, layers, _, width, _]: &[usize; 6]) -> f64 {
    let weights = layers * 12 * width * width + vocabulary * width;
    let forward = 2 * weights + 2 * layers * block * width;
    let passes = if mode == "train" { 3 } else { 1 };
    (forward * passes) as f64
}

/// Puts the table between the page's two marks.
fn replace_table(text: &str, note: &str, table: &str) -> String {
    const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- end of table -->"];
    let (before, rest) = text.split_once(MARKS[0]).unwrap_or((text, ""));
    let after = rest.split_once(MARKS[1]).map_or("", |(_, after)| after);
    format!("{before}{}{note}\n\n{table}{}{after}", MARKS[0], MARKS[1])
}

fn numbers(shape: &[usize; 6], options: &Options) -> Vec<String> {
    let all = shape.iter().chain([&options.threads]);
    let mut texts: Vec<String> = all.map(ToString::to_string).collect();
    texts.push(options.seconds.to_string());
    texts
}

fn measure_ours(mode: &str, shape: &[usize; 6], options: &Options) -> Result<Figures, Error> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--child", mode])
        .args(numbers(shape, options));
    figures(&mut command)
}

fn measure_pytorch(
    python: &str,
    mode: &str,
    shape: &[usize; 6],
    options: &Options,
) -> Result<Figures, Error> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pytorch.py");
    let mut command = Command::new(python);
    command.args([script, mode]).args(numbers(shape, options));
    figures(&mut command)
}

fn figures(command: &mut Command) -> Result<Figures, Error> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|error| {
        Error::other(format!(
            "{error}: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        ))
    })
}

/// Operations a second (not tokens) of one large product on as many threads as asked for, each with a product of its own.
fn product(threads: usize) -> Result<Figures, Error> {
    const SIZE: usize = 1024;
    let pool = thread_pool(threads).map_err(Error::other)?;
    let source: Vec<f32> = (0..SIZE * SIZE).map(|index| (index % 7) as f32).collect();
    let mut targets = vec![vec![0.0f32; SIZE * SIZE]; threads];
    let operations = 2 * SIZE.pow(3) * threads;
    Ok(measure(operations, 0.5, |_| {
        pool.install(|| {
            targets.par_iter_mut().with_max_len(1).for_each(|target| {
                let matrix = Matrix::new(&source, SIZE, SIZE);
                multiply_into(target, matrix, matrix);
            });
        });
    }))
}

/// One measurement in this process.
fn child(arguments: &[String]) -> Result<(), Error> {
    let number = |index: usize| -> f64 { arguments[index].parse().expect("a number") };
    let size = |index: usize| number(index) as usize;
    let config = ModelConfig {
        vocabulary: size(1),
        block: size(2),
        layers: size(3),
        heads: size(4),
        width: size(5),
        activation: Activation::Gelu,
        share_layers: false,
    };
    let (batch, threads, seconds) = (size(6), size(7), number(8));
    if arguments[0] == "product" {
        println!("{}", serde_json::to_string(&product(threads)?)?);
        return Ok(());
    }
    let pool = thread_pool(threads).map_err(Error::other)?;
    let tokens: Vec<u16> = (0..200_000u64)
        .map(|index| (index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % config.vocabulary as u64)
        .map(|token| token as u16)
        .collect();
    let mut model = Gpt::new(config, 1337);
    let block = model.config.block;
    let in_batch = batch * block;
    let figures = if arguments[0] == "evaluate" {
        measure(in_batch, seconds, |step| {
            let start = step * in_batch % (tokens.len() - in_batch - 1);
            let window = &tokens[start..=start + in_batch];
            let _ = evaluate(&model, window, &[], &pool, &|_, _| {}).expect("evaluates");
        })
    } else {
        let mut optimizer = AdamW::new(&model.table, model.config.heads, TrainingConfig::default());
        let mut workspace = Workspace::new(&model.config, &model.table, batch, 4);
        let pass = Pass {
            scale: 1.0 / in_batch as f32,
            ..Pass::default()
        };
        measure(in_batch, seconds, |step| {
            let draw = Batch::random(&tokens, block, batch, 1337, step as u64);
            pool.install(|| {
                let _ = workspace.run(&model.network(), &draw, pass);
                let gradient = &workspace.gradient;
                optimizer
                    .step(&mut model.parameters, gradient)
                    .expect("a step");
            });
        })
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

fn measure(tokens: usize, seconds: f64, mut step: impl FnMut(usize)) -> Figures {
    step(0);
    step(1);
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let (mut best, mut count) = (f64::INFINITY, 0);
    while started.elapsed().as_secs_f64() < seconds || count < 3 {
        let before = Instant::now();
        step(count + 2);
        best = best.min(before.elapsed().as_secs_f64());
        count += 1;
    }
    Figures {
        tokens_per_second: tokens as f64 / best,
        cpu_microseconds_per_token: (cpu_seconds() - cpu) * 1e6 / (count * tokens) as f64,
        peak_megabytes: peak_megabytes(),
        version: String::new(),
    }
}

/// User and system time of this process, from /proc (in hundredths of a second).
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(") ").next().unwrap_or_default();
    let field = |index: usize| -> f64 {
        let value = after_name.split(' ').nth(index);
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    (field(11) + field(12)) / 100.0
}

fn peak_megabytes() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    kilobytes
        .and_then(|value| value.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}
