//! Programs on the machine against the integer model, on random models of awkward shapes.
use super::*;
use crate::{assemble, Dims, Golden, IntModel, QuantModel};

fn check(seed: u64, dims: &Dims, lanes: usize, tokens: usize) {
    let model = IntModel::from_quant(&QuantModel::random(seed, dims)).unwrap();
    let hardware = Hardware {
        lanes,
        ..Hardware::default()
    };
    let program = assemble(&model, &hardware).unwrap();
    let prompt: Vec<u16> = (0..tokens)
        .map(|i| ((i * 7 + 3) % dims.vocab) as u16)
        .collect();
    let golden = Golden::record(&model, &[prompt.clone(), prompt[..tokens / 2].to_vec()]).unwrap();
    let mut noise = seed as u8;
    let mut machine = Machine::new(&program, &hardware, || {
        noise = noise.wrapping_mul(29).wrapping_add(17);
        noise
    });
    for prompt in &golden.prompts {
        machine.clear();
        for (position, step) in prompt.steps.iter().enumerate() {
            let found = machine.step(step.token).unwrap();
            let trace = trace_of(&program, &found.effects);
            for expected in &step.trace {
                let found = trace.iter().find(|entry| entry.name == expected.name);
                let found = found.unwrap_or_else(|| panic!("no operation {}", expected.name));
                let found = &found.values[..expected.values.len().min(found.values.len())];
                assert_eq!(
                    found, expected.values,
                    "seed {seed}, position {position}, {}",
                    expected.name
                );
            }
            assert_eq!(found.logits, step.logits, "position {position}");
            assert_eq!(found.best, step.best, "position {position}");
        }
    }
}

#[test]
fn programs_compute_what_the_integer_model_computes() {
    let dims = |vocab, block, width, hidden, head_dim, heads: &[usize]| Dims {
        vocab,
        block,
        width,
        hidden,
        head_dim,
        heads: heads.to_vec(),
    };
    // Multiples of the lanes, then nothing a multiple of anything, then pruned layers, then one of everything.
    check(1, &dims(32, 16, 16, 32, 8, &[2, 2]), 8, 16);
    check(2, &dims(37, 21, 19, 43, 5, &[3, 1]), 8, 21);
    check(3, &dims(29, 11, 23, 30, 9, &[0, 2, 0]), 8, 11);
    check(4, &dims(2, 3, 3, 1, 1, &[1]), 8, 3);
    check(5, &dims(41, 40, 33, 50, 17, &[2]), 16, 40);
    check(6, &dims(33, 9, 16, 16, 4, &[]), 16, 9);
}

#[test]
fn a_full_context_stops_the_program() {
    let dims = Dims {
        vocab: 9,
        block: 8,
        width: 8,
        hidden: 8,
        head_dim: 4,
        heads: vec![1],
    };
    let model = IntModel::from_quant(&QuantModel::random(1, &dims)).unwrap();
    let hardware = Hardware::default();
    let program = assemble(&model, &hardware).unwrap();
    let mut machine = Machine::new(&program, &hardware, || 0x5a);
    for _ in 0..8 {
        machine.step(1).unwrap();
    }
    assert!(machine
        .step(1)
        .unwrap_err()
        .to_string()
        .contains("position 8"));
}

#[test]
fn models_beyond_the_hardware_are_refused() {
    let dims = Dims {
        vocab: 9,
        block: 8,
        width: 8,
        hidden: 8,
        head_dim: 4,
        heads: vec![1],
    };
    let model = IntModel::from_quant(&QuantModel::random(1, &dims)).unwrap();
    let mut big = model.clone();
    big.dims.block = 5000;
    let error = assemble(&big, &Hardware::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("5000 context"), "{error}");
    let error = assemble(
        &model,
        &Hardware {
            lanes: 5,
            ..Hardware::default()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("'lanes'"), "{error}");
}
