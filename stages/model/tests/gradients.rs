//! The hand-written backward pass against finite differences and against candle's own autograd on stock operations.

use std::sync::Arc;

use candle_core::{DType, Device, Var};
use nanoflow_model::backward::{Pass, Teacher, Workspace};
use nanoflow_model::config::Activation;
use nanoflow_model::data::Batch;
use nanoflow_model::loss::{thread_pool, BatchLoss};
use nanoflow_model::network::Network;
use nanoflow_model::{stock, Gpt, ModelConfig};

fn config() -> ModelConfig {
    ModelConfig {
        vocabulary: 23,
        block: 8,
        layers: 2,
        heads: 2,
        width: 12,
        activation: Default::default(),
        share_layers: false,
    }
}

/// A model whose weights are large enough for every part to matter.
fn model(config: ModelConfig) -> Gpt {
    let mut model = Gpt::new(config, 3);
    for (index, value) in model.parameters.iter_mut().enumerate() {
        // Norms are 1, biases 0, matrices about 0.02.
        let factor = if *value == 1.0 { 1.0 } else { 8.0 };
        *value = *value * factor + 0.1 * ((index * 37 % 101) as f32 / 101.0 - 0.5);
    }
    model
}

fn batch() -> Batch {
    let tokens: Vec<u16> = (0..200u32)
        .map(|index| (index * index % 23) as u16)
        .collect();
    Batch::random(&tokens, 8, 3, 5, 0)
}

/// Sum of the losses, and the gradient of `pass.scale` times it.
fn gradient(model: &Gpt, batch: &Batch, pass: Pass) -> (f64, Vec<f32>) {
    let sequences = batch.inputs.len() / model.config.block;
    let mut workspace = Workspace::new(&model.config, &model.table, sequences, 2);
    let sum = workspace.run(&model.network(), batch, pass);
    (sum, workspace.gradient)
}

/// Every option that changes the loss or the way to it.
fn variants<'a>(teacher: &'a Network<'a>) -> Vec<(ModelConfig, Pass<'a>)> {
    let shared = ModelConfig {
        share_layers: true,
        activation: Activation::GeluTanh,
        ..config()
    };
    let plain = Pass {
        scale: 1.0 / batch().targets.len() as f32,
        seed: 99,
        ..Pass::default()
    };
    let dropped = Pass {
        dropout: 0.2,
        head_dropout: 0.3,
        ..plain
    };
    let taught = Pass {
        teacher: Some(Teacher {
            network: teacher,
            weight: 0.7,
            temperature: 2.0,
        }),
        ..plain
    };
    vec![
        (config(), plain),
        (config(), dropped),
        (shared, plain),
        (config(), taught),
    ]
}

#[test]
fn gradient_matches_finite_differences() {
    let teacher = Gpt::new(config(), 77);
    for (config, pass) in variants(&teacher.network()) {
        let (model, batch) = (model(config), batch());
        let result = gradient(&model, &batch, pass).1;
        let loss = |parameters: Vec<f32>| {
            let changed = Gpt {
                parameters,
                ..model.clone()
            };
            gradient(&changed, &batch, pass).0 * f64::from(pass.scale)
        };
        for segment in &model.table.segments {
            // A direction inside this tensor: its own gradient, so that no error can hide.
            let gradient = &result[segment.range.clone()];
            let norm = gradient
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(norm > 1e-6, "{}: no gradient", segment.name);
            // Small enough to be straight, large enough to be seen in f32.
            let step = (0.02 / norm).min(2e-2);
            let moved = |sign: f64| {
                let mut parameters = model.parameters.clone();
                for (value, g) in parameters[segment.range.clone()].iter_mut().zip(gradient) {
                    *value += (sign * step * f64::from(*g) / norm) as f32;
                }
                loss(parameters)
            };
            let measured = (moved(1.0) - moved(-1.0)) / (2.0 * step);
            let error = (measured / norm - 1.0).abs();
            assert!(
                error < 1e-2,
                "{}: {measured} instead of {norm}",
                segment.name
            );
        }
    }
}

#[test]
fn loss_and_gradient_match_candle_on_stock_operations() {
    // Attention goes over blocks of 64 rows: 80 positions take two.
    for block in [8, 80] {
        match_candle(block);
    }
}

fn match_candle(block: usize) {
    let model = model(ModelConfig { block, ..config() });
    let tokens: Vec<u16> = (0..200u32)
        .map(|index| (index * index % 23) as u16)
        .collect();
    let batch = Batch::random(&tokens, block, 3, 5, 0);
    let length = model.parameters.len();
    let variable = Var::from_vec(model.parameters.clone(), length, &Device::Cpu).expect("variable");
    let reference =
        stock::loss(variable.as_tensor(), &model.config, &model.table, &batch).expect("reference");
    let gradients = reference.backward().expect("backward");
    let reference_gradient = gradients.get(variable.as_tensor()).expect("gradient");

    let operation = BatchLoss::new(
        Arc::new(model.config.clone()),
        Arc::new(model.table.clone()),
        batch,
        (2, 0.0, 0),
        thread_pool(2).expect("threads"),
    );
    // Half the loss, so that the chain rule through the operation counts.
    let fused = (variable.as_tensor().apply_op1(operation).expect("forward") * 0.5).expect("half");
    let gradient = fused
        .backward()
        .expect("backward")
        .remove(variable.as_tensor())
        .expect("gradient");
    let difference = (fused
        .to_dtype(DType::F64)
        .expect("f64")
        .to_scalar::<f64>()
        .expect("scalar")
        * 2.0
        - reference
            .to_dtype(DType::F64)
            .expect("f64")
            .to_scalar::<f64>()
            .expect("scalar"))
    .abs();
    assert!(difference < 1e-5, "loss differs by {difference}");
    let ours = (gradient * 2.0)
        .expect("double")
        .to_vec1::<f32>()
        .expect("values");
    let theirs = reference_gradient.to_vec1::<f32>().expect("values");
    for segment in &model.table.segments {
        let (ours, theirs) = (&ours[segment.range.clone()], &theirs[segment.range.clone()]);
        let largest = theirs
            .iter()
            .fold(0.0f32, |largest, value| largest.max(value.abs()));
        let error = ours
            .iter()
            .zip(theirs)
            .fold(0.0f32, |error, (a, b)| error.max((a - b).abs()))
            / largest;
        assert!(error < 1e-4, "{}: relative error {error}", segment.name);
    }
}

#[test]
fn accumulated_gradients_are_the_gradient_of_the_larger_batch() {
    let model = model(config());
    let whole = batch();
    let scale = 1.0 / whole.targets.len() as f32;
    let pass = Pass {
        scale,
        ..Pass::default()
    };
    let (_, wanted) = gradient(&model, &whole, pass);
    let mut workspace = Workspace::new(&model.config, &model.table, 1, 1);
    for sequence in 0..3 {
        let window = sequence * 8..(sequence + 1) * 8;
        let micro = Batch {
            inputs: whole.inputs[window.clone()].to_vec(),
            targets: whole.targets[window].to_vec(),
        };
        let pass = Pass {
            scale,
            dropout: 0.0,
            seed: 0,
            accumulate: sequence > 0,
            ..Pass::default()
        };
        let _ = workspace.run(&model.network(), &micro, pass);
    }
    for (ours, wanted) in workspace.gradient.iter().zip(&wanted) {
        assert!((ours - wanted).abs() < 1e-6, "{ours} instead of {wanted}");
    }
}

#[test]
fn importance_is_the_slope_of_the_loss_in_a_head_s_gate() {
    // A gate of 1 ± ε on head 1 of layer 0 is its rows of the projection times 1 ± ε.
    let (model, batch) = (model(config()), batch());
    let one = Batch {
        inputs: batch.inputs[..8].to_vec(),
        targets: batch.targets[..8].to_vec(),
    };
    let pass = Pass {
        scale: 1.0,
        ..Pass::default()
    };
    let mut workspace = Workspace::new(&model.config, &model.table, 1, 1);
    let _ = workspace.run(&model.network(), &one, pass);
    let importance = workspace.head_importance();
    let mut moved = |factor: f32| {
        let mut changed = model.clone();
        let rows = changed.table.blocks[0].projection.weight.start + 6 * 12;
        changed.parameters[rows..rows + 6 * 12]
            .iter_mut()
            .for_each(|value| *value *= factor);
        workspace.run(&changed.network(), &one, pass)
    };
    let slope = (moved(1.02) - moved(0.98)) / 0.04;
    assert!(
        (importance[1] / slope.abs() - 1.0).abs() < 2e-2,
        "{importance:?} {slope}"
    );
}

#[test]
fn gradient_has_the_same_bits_for_any_number_of_threads() {
    let model = model(config());
    let run = |threads| {
        let operation = BatchLoss::new(
            Arc::new(model.config.clone()),
            Arc::new(model.table.clone()),
            batch(),
            (3, 0.1, 11),
            thread_pool(threads).expect("threads"),
        );
        operation.evaluate(&model.parameters)
    };
    let (first, second) = (run(1), run(3));
    assert_eq!(first.0.to_bits(), second.0.to_bits());
    assert_eq!(first.1, second.1);
}
