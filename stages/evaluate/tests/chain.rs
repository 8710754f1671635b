//! The model half from text to evaluation, small.

use std::path::{Path, PathBuf};

use nanoflow_sdk::testing::{run, Finished};
use nanoflow_sdk::StageError;
use serde_json::{json, Value};

struct Chain {
    folder: tempfile::TempDir,
    corpus: Finished,
}

const CONFIG: &str = "
model: { vocabulary: 300, block: 16, layers: 2, heads: 5, width: 40 }
training: { steps: 150, batch: 8, learning_rate: 5.0e-3, warmup_steps: 10, evaluate_every: 50, evaluate_sequences: 32 }
";

impl Chain {
    fn new() -> Self {
        let outputs = [
            ("train", "train.bin"),
            ("val", "val.bin"),
            ("tokenizer", "tokenizer.json"),
        ];
        let params = json!({ "bytes": 150_000, "vocabulary": 300, "validation_fraction": 0.1 });
        let corpus = run(nanoflow_stage_corpus::stage(), params, &[], &outputs, 2).expect("corpus");
        Self {
            folder: tempfile::tempdir().expect("folder"),
            corpus,
        }
    }

    fn config(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("config.yaml");
        std::fs::write(&path, text).expect("written");
        path
    }

    fn train(&self, config: &str, params: Value) -> Result<Finished, StageError> {
        let config = self.config(config);
        let inputs = [
            ("data", self.corpus.output("train")),
            ("val", self.corpus.output("val")),
            ("tokenizer", self.corpus.output("tokenizer")),
            ("config", &config),
        ];
        let outputs = [
            ("model", "model.safetensors"),
            ("config", "model.json"),
            ("curve", "loss.csv"),
            ("plot", "loss.svg"),
        ];
        run(nanoflow_stage_train::stage(), params, &inputs, &outputs, 2)
    }

    fn evaluate(&self, model: &Path, config: Option<&Path>) -> Result<Finished, StageError> {
        let mut inputs = vec![
            ("model", model),
            ("val", self.corpus.output("val")),
            ("tokenizer", self.corpus.output("tokenizer")),
        ];
        inputs.extend(config.map(|config| ("config", config)));
        let outputs = [("report", "eval.json"), ("sample", "sample.txt")];
        run(
            nanoflow_stage_evaluate::stage(),
            json!({ "tokens": 20 }),
            &inputs,
            &outputs,
            2,
        )
    }
}

#[test]
fn from_text_to_four_perplexities() {
    let chain = Chain::new();
    let trained = chain.train(CONFIG, json!({})).expect("train");
    let again = chain.train(CONFIG, json!({})).expect("train");
    let other = chain
        .train(CONFIG, json!({ "seed": 42, "steps": 20 }))
        .expect("train");
    let bytes = |finished: &Finished| std::fs::read(finished.output("model")).expect("model");
    assert_eq!(bytes(&trained), bytes(&again));
    assert_ne!(bytes(&trained), bytes(&other));
    let (model, config) = (trained.output("model"), trained.output("config"));
    let inputs = [
        ("model", model),
        ("config", config),
        ("calib", chain.corpus.output("train")),
    ];
    let quantized = run(
        nanoflow_stage_smoothquant::stage(),
        json!({}),
        &inputs,
        &[("model", "q.safetensors")],
        2,
    )
    .expect("quantise");
    let outputs = [("model", "p.safetensors"), ("heads", "heads.csv")];
    let inputs = [("model", quantized.output("model"))];
    let pruned = run(
        nanoflow_stage_prune::stage(),
        json!({}),
        &inputs,
        &outputs,
        1,
    )
    .expect("prune");
    assert_eq!(pruned.metrics["heads_removed"].value, 2.0);
    let perplexity = |finished: Finished| {
        assert!(finished.output("sample").metadata().expect("sample").len() > 1);
        finished.metrics["perplexity"].value
    };
    let real = perplexity(chain.evaluate(model, Some(config)).expect("evaluate"));
    let eight_bits = perplexity(
        chain
            .evaluate(quantized.output("model"), None)
            .expect("evaluate"),
    );
    let fewer_heads = perplexity(
        chain
            .evaluate(pruned.output("model"), None)
            .expect("evaluate"),
    );
    eprintln!("perplexity: {real:.3} real, {eight_bits:.3} W8A8, {fewer_heads:.3} pruned");
    assert!(real < 120.0, "it learned nothing: {real}");
    assert!(
        (eight_bits / real - 1.0).abs() < 0.02,
        "W8A8 lost too much: {real} {eight_bits}"
    );
    assert!(fewer_heads < 300.0, "pruning broke it: {fewer_heads}");
    // All heads away: still a model.
    let inputs = [("model", quantized.output("model"))];
    let none = run(
        nanoflow_stage_prune::stage(),
        json!({ "ratio": 1.0 }),
        &inputs,
        &outputs,
        1,
    )
    .expect("prune");
    perplexity(
        chain
            .evaluate(none.output("model"), None)
            .expect("evaluate"),
    );
}

#[test]
fn what_is_wrong_is_said_with_a_hint() {
    let chain = Chain::new();
    let refused = |result: Result<Finished, StageError>, words: &str| {
        let error = result.err().expect(words);
        assert!(error.message.contains(words), "{error} should say {words}");
        assert!(error.hint.is_some(), "{error} has no hint");
    };
    refused(
        chain.train(&CONFIG.replace("heads: 5", "heads: 3"), json!({})),
        "3 heads do not divide the width 40",
    );
    refused(
        chain.train(&CONFIG.replace("300", "280"), json!({})),
        "300 tokens",
    );
    refused(
        chain.train(
            &CONFIG.replace("block: 16", "block: 100000"),
            json!({ "steps": 1 }),
        ),
        "too few",
    );
    refused(chain.train(CONFIG, json!({ "seeed": 1 })), "seeed");
    refused(
        chain.train(CONFIG, json!({ "learning_rate": 1e30, "steps": 20 })),
        "loss is",
    );
    let trained = chain.train(CONFIG, json!({ "steps": 2 })).expect("train");
    refused(
        chain.evaluate(trained.output("model"), None),
        "not a quantised model",
    );
    let wrong = chain.corpus.output("val");
    refused(
        chain.evaluate(trained.output("model"), Some(wrong)),
        "val.bin",
    );
    refused(
        chain.evaluate(wrong, Some(trained.output("config"))),
        "not a safetensors file",
    );
    let inputs = [("model", trained.output("model"))];
    refused(
        run(
            nanoflow_stage_prune::stage(),
            json!({}),
            &inputs,
            &[("model", "p")],
            1,
        ),
        "not a quantised model",
    );
    refused(
        run(
            nanoflow_stage_prune::stage(),
            json!({ "ratio": 2 }),
            &inputs,
            &[("model", "p")],
            1,
        ),
        "ratio",
    );
}

/// Quantises what stage train made.
fn quantize(chain: &Chain, trained: &Finished) -> Finished {
    let inputs = [
        ("model", trained.output("model")),
        ("config", trained.output("config")),
        ("calib", chain.corpus.output("train")),
    ];
    let outputs = [("model", "q.safetensors")];
    let stage = nanoflow_stage_smoothquant::stage();
    run(stage, json!({}), &inputs, &outputs, 2).expect("quantise")
}

#[test]
fn training_after_pruning_wins_back_what_was_lost() {
    let chain = Chain::new();
    let trained = chain.train(CONFIG, json!({})).expect("train");
    let quantized = quantize(&chain, &trained);
    let prune = nanoflow_stage_prune::stage();
    let outputs = [("model", "p.safetensors"), ("heads", "heads.csv")];
    let mut tables = Vec::new();
    for criterion in ["l2", "taylor", "measured"] {
        let inputs = [
            ("model", quantized.output("model")),
            ("calib", chain.corpus.output("train")),
            ("trained", trained.output("model")),
            ("config", trained.output("config")),
        ];
        let params = json!({ "ratio": 0.5, "criterion": criterion, "sequences": 32 });
        let done = run(prune, params, &inputs, &outputs, 2).expect(criterion);
        let table = std::fs::read_to_string(done.output("heads")).expect("table");
        assert_eq!(table.matches(",true").count(), 5, "{table}");
        tables.push(done);
    }
    let perplexity = |model: &Path| {
        let done = chain.evaluate(model, None).expect("evaluate");
        done.metrics["perplexity"].value
    };
    let [l2, _, measured] = [0, 1, 2].map(|index: usize| perplexity(tables[index].output("model")));
    assert!(
        measured <= l2 * 1.02,
        "what was measured should do no worse than norms: {measured} {l2}"
    );
    // Train on with the heads held silent, quantise, remove the same heads.
    let heads = tables[0].output("heads");
    let config = chain.config(CONFIG);
    let inputs = [
        ("data", chain.corpus.output("train")),
        ("val", chain.corpus.output("val")),
        ("config", &config),
        ("init", trained.output("model")),
        ("heads", heads),
    ];
    let outputs_of_train = [
        ("model", "model.safetensors"),
        ("config", "model.json"),
        ("curve", "loss.csv"),
        ("events", "events"),
    ];
    let params = json!({ "steps": 40, "learning_rate": 2e-3 });
    let stage = nanoflow_stage_train::stage();
    let recovered = run(stage, params, &inputs, &outputs_of_train, 2).expect("train");
    let events = recovered
        .output("events")
        .join("events.out.tfevents.0.nanoflow");
    assert!(events.metadata().expect("events").len() > 1000);
    let again = quantize(&chain, &recovered);
    let inputs = [("model", again.output("model")), ("heads", heads)];
    let pruned = run(prune, json!({ "ratio": 0.5 }), &inputs, &outputs, 1).expect("prune");
    let recovered = perplexity(pruned.output("model"));
    eprintln!("half of the heads removed: {l2:.2} by L2, {measured:.2} measured, {recovered:.2} trained on");
    assert!(recovered < 0.97 * l2, "{recovered} {l2}");
}

#[test]
fn a_reference_gives_the_increase_and_the_table() {
    let chain = Chain::new();
    let trained = chain.train(CONFIG, json!({ "steps": 60 })).expect("train");
    let quantized = quantize(&chain, &trained);
    let (model, config) = (trained.output("model"), trained.output("config"));
    let first = chain.evaluate(model, Some(config)).expect("evaluate");
    let inputs = [
        ("model", quantized.output("model")),
        ("val", chain.corpus.output("val")),
        ("tokenizer", chain.corpus.output("tokenizer")),
        ("reference", first.output("report")),
    ];
    let outputs = [("report", "eval.json")];
    let stage = nanoflow_stage_evaluate::stage();
    let second = run(stage, json!({}), &inputs, &outputs, 2).expect("evaluate");
    let value = |finished: &Finished, name: &str| finished.metrics[name].value;
    let ratio = value(&second, "perplexity") / value(&first, "perplexity");
    let increase = value(&second, "perplexity_increase_percent");
    assert!(
        (increase - 100.0 * (ratio - 1.0)).abs() < 1e-6,
        "{increase} {ratio}"
    );
    let (low, high) = (
        value(&first, "perplexity_low"),
        value(&first, "perplexity_high"),
    );
    let middle = value(&first, "perplexity");
    assert!(
        low < middle && middle < high && high / low < 1.5,
        "{low} {middle} {high}"
    );
    let inputs = [
        ("fp32", first.output("report")),
        ("w8a8", second.output("report")),
    ];
    let outputs = [("table", "variants.md")];
    let stage = nanoflow_stage_evaluate::table_stage();
    let done = run(stage, json!({}), &inputs, &outputs, 1).expect("table");
    let table = std::fs::read_to_string(done.output("table")).expect("table");
    assert!(
        table.contains("| fp32 | ") && table.contains("| w8a8 | "),
        "{table}"
    );
}
