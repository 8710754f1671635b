"""Where do the loss curves of nanoflow and PyTorch part, and is it the weights, the windows or the arithmetic?

    cargo build --release -p nanoflow-stage-evaluate --examples
    python stages/model/comparison/same_start.py --stages target/release/examples/run_stage \\
        --config configs/tiny.yaml --steps 400 --every 25 --name tiny --seeds 1337 42 7 --folder FOLDER

Needs torch, PyYAML and safetensors; FOLDER may be that of curves.py and keeps what is there. PyTorch trains four times for each seed: with
weights and windows of either program's generator. With both of ours it has to follow stage `train` step by step until rounding has grown;
the step at which it leaves it tells what differs (the first: initialisation, windows or the forward pass; the second: gradients, clipping,
the optimiser; later: the schedule). The other runs say, in differences of pairs that share all else, what weights and windows are worth.
Last, the drawn numbers themselves: deviation and tails of each matrix, and how evenly windows begin.
"""

import argparse
import functools
import json
import math
import os
import statistics

import torch
import yaml
from safetensors.torch import load_file

from curves import Model, read_config, read_curve, read_tokens, run_stage, train_pytorch

OWN, PYTORCH = "ours", "PyTorch's"


class ChaCha8:
    """The generator of the crate rand_chacha 0.9, seeded by rand_core's `seed_from_u64`: written anew from their documentation."""

    def __init__(self, seed, stream):
        key, state = [], seed
        for _ in range(8):
            state = (state * 6364136223846793005 + 11634580027462260723) % 2**64
            shifted, turn = (state >> 18 ^ state) >> 27 & 0xFFFFFFFF, state >> 59
            key.append((shifted >> turn | shifted << (-turn % 32)) & 0xFFFFFFFF)
        self.start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *key, 0, 0, stream & 0xFFFFFFFF, stream >> 32]
        self.words = []

    def block(self):
        x = list(self.start)

        def quarter(a, b, c, d):
            for to, add, turned, turn in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                x[to] = (x[to] + x[add]) & 0xFFFFFFFF
                mixed = x[turned] ^ x[to]
                x[turned] = (mixed << turn | mixed >> 32 - turn) & 0xFFFFFFFF

        for _ in range(4):
            for column in range(4):
                quarter(column, 4 + column, 8 + column, 12 + column)
            for column in range(4):
                quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
        self.words += [(a + b) & 0xFFFFFFFF for a, b in zip(x, self.start)]
        self.start[12] += 1

    def below(self, limit):
        """A number from 0 to limit - 1: the high half of a product with 64 random bits."""
        if len(self.words) < 2:
            self.block()
        low, high = self.words.pop(0), self.words.pop(0)
        return (low | high << 32) * limit >> 64


def own_starts(places, count, seed, draw):
    """Where the windows of a draw begin in stage `train`: `Batch::random`."""
    generator = ChaCha8(seed, draw)
    return [generator.below(places) for _ in range(count)]


def own_weights(options, config, data, path, seed):
    """What stage `train` begins with: one step at a learning rate of 0."""
    inputs = {"data": data["train"], "val": data["val"], "config": path}
    outputs = {"model": "model.safetensors", "config": "config.json", "curve": "loss.csv"}
    params = {"seed": seed, "steps": 1, "learning_rate": 0.0}
    made = run_stage(options, "train", f"{options.name}-start-{seed}", params, inputs, outputs)
    tensors = load_file(made["model"])
    names = {"attn.c_attn": "c_attn", "attn.c_proj": "c_proj", "mlp.c_fc": "c_fc", "mlp.c_proj": "c_out", "ln_1": "ln_1", "ln_2": "ln_2"}
    weights = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("transformer.")
        if name.startswith("h."):
            _, layer, part = name.split(".", 2)
            part, kind = part.rsplit(".", 1)
            name = f"blocks.{layer}.{names[part]}.{kind}"
            # GPT-2 keeps its matrices as inputs × outputs.
            tensor = tensor.T.contiguous() if tensor.dim() == 2 else tensor
        weights[name] = tensor
    return weights


def pytorch_run(options, config, data, seed, weights, windows, start):
    """(points, batch losses) of one of the four runs."""
    kind = f"{'own' if weights == OWN else 'torch'}-{'own' if windows == OWN else 'torch'}"
    kept = os.path.join(options.folder, f"{options.name}-{options.steps}-{seed}-{kind}.json")
    if not os.path.exists(kept):
        tokens = len(read_tokens(data["train"]))
        training, block = config["training"], config["model"]["block"]
        starts = functools.partial(own_starts, tokens - block, training["batch"], seed) if windows == OWN else None
        json.dump(train_pytorch(config, data, options.steps, seed, start if weights == OWN else None, starts), open(kept, "w"))
    return json.load(open(kept))


def parting(own, other):
    """For each bound the first step at which the batches' losses are further apart, relative to the loss."""
    far = [abs(a - b) / b for a, b in zip(own, other)]
    found = {}
    for bound in [1e-6, 1e-5, 1e-4, 1e-3, 1e-2]:
        found[f"{bound:.0e}"] = next((step for step, value in enumerate(far) if value > bound), None)
    return far, found


def pairs(label, differences):
    mean = statistics.mean(differences)
    if len(differences) < 2:
        return print(f"{label}: {mean:+.4f}")
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    print(f"{label}: {mean:+.4f} ± {error:.4f} (t = {mean / error:+.2f}, {len(differences)} pairs)")


def draws(options, config, data, starts, seeds):
    """Deviations and tails of the matrices, and where windows begin."""
    shape, training = config["model"], config["training"]
    print("\nmatrix: deviation over GPT-2's, share past 3 deviations (a normal has 0.0027), largest in deviations; ours | PyTorch's")
    rows = {}
    for seed in seeds:
        torch.manual_seed(seed)
        drawn = Model(shape["vocabulary"], shape["block"], shape["layers"], shape["heads"], shape["width"]).state_dict()
        for side, tensors in [(OWN, starts[seed]), (PYTORCH, drawn)]:
            for name, tensor in tensors.items():
                rows.setdefault(name, {}).setdefault(side, []).append(tensor.double().flatten())
    for name, sides in rows.items():
        values = [torch.cat(sides[side]) for side in [OWN, PYTORCH]]
        if "ln_" in name or name.endswith("bias"):
            assert torch.equal(*values), name
            continue
        residual = name.endswith(("c_proj.weight", "c_out.weight"))
        deviation = 0.02 / math.sqrt(2 * shape["layers"]) if residual else 0.02
        shown = []
        for value in values:
            z = value / deviation
            shown.append(f"{z.std().item():.4f} {(z.abs() > 3).double().mean().item():.4f} {z.abs().max().item():.2f}")
        print(f"  {name}: {' | '.join(shown)} (± {1 / math.sqrt(2 * values[0].numel()):.4f})")
    print("biases are 0 and norms 1 and 0 on both sides")
    places = len(read_tokens(data["train"])) - shape["block"]
    for side in [OWN, PYTORCH]:
        begun = []
        for seed in seeds:
            torch.manual_seed(seed)
            for draw in range(options.steps):
                count = training["batch"]
                begun += own_starts(places, count, seed, draw) if side == OWN else torch.randint(places, (count,)).tolist()
        counts = torch.bincount(torch.tensor(begun) * 64 // places, minlength=64).double()
        square = ((counts - counts.mean()) ** 2 / counts.mean()).sum().item()
        print(
            f"windows, {side}: {len(begun)} from {min(begun)} to {max(begun)} of 0 to {places - 1}, {len(begun) - len(set(begun))} twice; "
            f"χ² over 64 parts {square:.1f} (63 ± 11.2 if even)"
        )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stages", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--every", type=int, required=True, help="steps between looks at the validation loss")
    parser.add_argument("--name", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337, 42, 7])
    parser.add_argument("--corpus", type=json.loads, default={})
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    options.folder = os.path.abspath(options.folder)
    os.makedirs(options.folder, exist_ok=True)
    config = read_config(options.config)
    config["training"].update(steps=options.steps, evaluate_every=options.every)
    path = os.path.join(options.folder, options.name + ".yaml")
    yaml.safe_dump(config, open(path, "w"))
    outputs = {"train": "train.bin", "val": "val.bin", "tokenizer": "tokenizer.json"}
    data = run_stage(options, "corpus", options.name + "-corpus", options.corpus, {}, outputs)

    last, starts = {}, {}
    for seed in options.seeds:
        inputs = {"data": data["train"], "val": data["val"], "config": path}
        outputs = {"model": "model.safetensors", "config": "config.json", "curve": "loss.csv"}
        made = run_stage(options, "train", f"{options.name}-{options.steps}-{seed}", {"seed": seed}, inputs, outputs)
        starts[seed] = own_weights(options, config, data, path, seed)
        last["stage", seed] = read_curve(made["curve"])[-1][1]
        for weights in [OWN, PYTORCH]:
            for windows in [OWN, PYTORCH]:
                points, losses = pytorch_run(options, config, data, seed, weights, windows, starts[seed])
                last[weights, windows, seed] = points[-1][1]
                if (weights, windows) == (OWN, OWN):
                    rows = [line.split(",") for line in open(made["curve"]).read().splitlines()[1:]]
                    far, found = parting([float(row[1]) for row in rows if row[1]], losses)
                    print(f"seed {seed}: largest difference in steps 0 to 29 {max(far[:30]):.1e}; first step past {found}", flush=True)

    seeds = options.seeds
    mean = {key: statistics.mean(last[(*key, seed)] for seed in seeds) for key in [("stage",), *((a, b) for a in [OWN, PYTORCH] for b in [OWN, PYTORCH])]}
    for key, value in mean.items():
        print(f"{'stage train' if key == ('stage',) else f'PyTorch, weights {key[0]}, windows {key[1]}'}: {value:.4f} after {options.steps} steps")
    pairs("stage train against PyTorch on the same weights and windows", [last["stage", s] - last[OWN, OWN, s] for s in seeds])
    swap = [(last[OWN, w, s] - last[PYTORCH, w, s]) for w in [OWN, PYTORCH] for s in seeds]
    pairs("our weights against PyTorch's, the same windows", swap)
    swap = [(last[w, OWN, s] - last[w, PYTORCH, s]) for w in [OWN, PYTORCH] for s in seeds]
    pairs("our windows against PyTorch's, the same weights", swap)
    draws(options, config, data, starts, seeds)


if __name__ == "__main__":
    main()
