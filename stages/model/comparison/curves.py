"""Loss curves of nanoflow's stage `train` and of nanoGPT's model in PyTorch: same data, recipe and steps, several seeds each.

    cargo build --release -p nanoflow-stage-evaluate --examples
    python stages/model/comparison/curves.py --stages target/release/examples/run_stage \\
        --config configs/tiny.yaml --steps 400 --name tiny --seeds 1337 42 7 --folder FOLDER --out docs/curves

Needs torch and PyYAML. FOLDER keeps what is made on the way; a run that is there already is not made again. Writes NAME.csv (validation loss at
every look, a column for each run), NAME.svg, and prints a table of the last losses. `--corpus '{"tokenizer": "characters", …}'` gives
parameters to stage `corpus`, and `--text FILE` a text of one's own.

PyTorch's side is written out here, from nanoGPT's model.py and train.py: initialisation, AdamW with decay on matrices only, warm-up and cosine,
clipping, random windows. Both sides look at the same windows of the same validation tokens. `head_sparsity`, which nanoGPT has not, is set
to 0 on our side too. Weights and windows are drawn by each side's own generator, so that the curves agree in distribution, not in bits.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import yaml


def run_stage(options, stage, name, params, inputs, outputs):
    """Runs one stage without the orchestrator; its outputs, by name."""
    folder = os.path.join(options.folder, name)
    made = {key: os.path.join(folder, file) for key, file in outputs.items()}
    wanted = json.dumps([stage, params, inputs])
    mark = os.path.join(folder, "done.json")
    if os.path.exists(mark) and open(mark).read() == wanted:
        return made
    os.makedirs(os.path.join(folder, "scratch"), exist_ok=True)
    request = {
        "protocol": 1,
        "stage": name,
        "params": params,
        "inputs": inputs,
        "outputs": made,
        "resources": {"cpu": 1},
        "scratch": os.path.join(folder, "scratch"),
    }
    path = os.path.join(folder, "request.json")
    json.dump(request, open(path, "w"))
    with open(os.path.join(folder, "log"), "w") as log:
        subprocess.run([os.path.abspath(options.stages), stage, path], cwd=folder, check=True, stdout=log, stderr=log)
    open(mark, "w").write(wanted)
    return made


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, width = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(width, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, width))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class Model(nn.Module):
    def __init__(self, vocabulary, block, layers, heads, width):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(block, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() > 1:
                onto_residual = name.endswith(("c_proj.weight", "c_out.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if onto_residual else 0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for part in self.blocks:
            x = part(x)
        logits = self.ln_f(x) @ self.wte.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def rate(training, steps, step):
    """Linear warm-up, then a cosine down to the minimum."""
    high, low, warmup = training["learning_rate"], training["minimum_learning_rate"], training["warmup_steps"]
    if step < warmup:
        return high * (step + 1) / warmup
    ratio = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return low + 0.5 * (1 + math.cos(math.pi * ratio)) * (high - low)


def read_tokens(path):
    return torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.uint16).to(torch.int64)


def windows(tokens, block, starts):
    rows = torch.stack([tokens[start : start + block + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:]


def train_pytorch(config, data, steps, seed, weights=None, starts_of=None):
    """Validation loss at every look, as (step, loss), and the loss of every step's batch. `weights` are loaded instead of those that PyTorch
    draws, `starts_of(draw)` says where the windows of a batch begin; what is left out is drawn from `seed`, the same with and without the
    other."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    shape, training = config["model"], config["training"]
    block = shape["block"]
    tokens, validation = read_tokens(data["train"]), read_tokens(data["val"])
    model = Model(shape["vocabulary"], block, shape["layers"], shape["heads"], shape["width"])
    if weights:
        model.load_state_dict(weights)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": training["weight_decay"]},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(training["beta1"], training["beta2"]), fused=True)
    count = training["evaluate_sequences"]
    fixed = windows(validation, block, [index * (len(validation) - block) // count for index in range(count)])

    def look():
        with torch.inference_mode():
            parts = zip(fixed[0].split(16), fixed[1].split(16))
            return sum(model(x, y).item() * len(x) for x, y in parts) / count

    points, losses = [], []
    for step in range(steps):
        if step % training["evaluate_every"] == 0:
            points.append((step, look()))
        for group in optimizer.param_groups:
            group["lr"] = rate(training, steps, step)
        optimizer.zero_grad(set_to_none=True)
        losses.append(0.0)
        for part in range(training["accumulation"]):
            drawn = torch.randint(len(tokens) - block, (training["batch"],))
            starts = starts_of(step * training["accumulation"] + part) if starts_of else drawn
            loss = model(*windows(tokens, block, starts)) / training["accumulation"]
            loss.backward()
            losses[-1] += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training["clip"])
        optimizer.step()
    points.append((steps, look()))
    return points, losses


def read_curve(path):
    rows = [line.split(",") for line in open(path).read().splitlines()[1:]]
    return [(int(row[0]), float(row[3])) for row in rows if row[3]]


def picture(curves, title):
    """Small SVG: validation loss over steps, our runs and PyTorch's, and the mean of each when there are several."""
    width, height, left, bottom = 560, 300, 44, 34
    points = [point for curve in curves.values() for point in curve]
    last = max(step for step, _ in points)
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)

    def place(step, loss):
        x = left + (width - left - 12) * step / last
        y = 26 + (height - 26 - bottom) * (high - loss) / (high - low)
        return f"{x:.1f},{y:.1f}"

    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">\n'
    text += f'<rect width="{width}" height="{height}" fill="white"/>\n<text x="{left}" y="15">{title}</text>\n'
    for index in range(5):
        loss = low + (high - low) * index / 4
        y = place(0, loss).split(",")[1]
        text += f'<path d="M{left} {y}H{width - 12}" stroke="#ddd"/><text x="6" y="{float(y) + 4:.1f}">{loss:.2f}</text>\n'
    for index in range(5):
        step = last * index // 4
        text += f'<text x="{place(step, low).split(",")[0]}" y="{height - 16}" text-anchor="middle">{step}</text>\n'
    for side, color, x in [("nanoflow", "#0b6", 330), ("PyTorch", "#c40", 430)]:
        text += f'<path d="M{x} 11h18" stroke="{color}" stroke-width="2"/><text x="{x + 24}" y="15">{side}</text>\n'
        own = [curve for (name, _), curve in curves.items() if name == side]
        mean = [(points[0][0], statistics.mean(loss for _, loss in points)) for points in zip(*own)]
        dash = ' stroke-dasharray="5 4"' if side == "PyTorch" else ""
        for curve in own[1:] and own:
            line = " ".join(place(*point) for point in curve)
            text += f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="0.5" stroke-opacity="0.35"/>\n'
        line = " ".join(place(*point) for point in mean)
        text += f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.5"{dash}/>\n'
    return text + "</svg>\n"


def welch(left, right):
    """Welch's test: difference of the means, its standard error, and the probability of one as large when there is none."""
    parts = [statistics.variance(values) / len(values) for values in (left, right)]
    error = math.sqrt(sum(parts))
    freedom = error**4 / sum(part**2 / (len(values) - 1) for part, values in zip(parts, (left, right)))
    t = (statistics.mean(left) - statistics.mean(right)) / error
    # Two tails of Student's distribution, by the midpoint rule over an angle: x = t at tan θ = t / √ν.
    angle = math.atan(abs(t) / math.sqrt(freedom))
    density = [math.cos((index + 0.5) / 10_000 * math.pi / 2) ** (freedom - 1) for index in range(10_000)]
    inside = sum(density[: round(angle / (math.pi / 2) * 10_000)])
    return t * error, error, t, 1 - inside / sum(density)


def read_config(path):
    """A file of configs/ with what it leaves to the defaults, and without head_sparsity."""
    config = yaml.safe_load(open(path))
    defaults = {"accumulation": 1, "beta1": 0.9, "beta2": 0.99, "clip": 1.0, "weight_decay": 0.1}
    config["training"] = {**defaults, **config["training"], "head_sparsity": 0.0}
    return config


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--stages", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--every", type=int, help="steps between looks at the validation loss")
    parser.add_argument("--name", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1337, 42, 7])
    parser.add_argument("--corpus", type=json.loads, default={})
    parser.add_argument("--text")
    parser.add_argument("--folder", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    options.folder = os.path.abspath(options.folder)
    os.makedirs(options.folder, exist_ok=True)
    os.makedirs(options.out, exist_ok=True)

    config = read_config(options.config)
    training = config["training"]
    steps = training["steps"] = options.steps or training["steps"]
    training["evaluate_every"] = options.every or training["evaluate_every"]
    path = os.path.join(options.folder, options.name + ".yaml")
    yaml.safe_dump(config, open(path, "w"))

    text = {"text": [os.path.abspath(options.text)]} if options.text else {}
    outputs = {"train": "train.bin", "val": "val.bin", "tokenizer": "tokenizer.json"}
    data = run_stage(options, "corpus", options.name + "-corpus", options.corpus, text, outputs)
    curves, seconds = {}, {"nanoflow": 0.0, "PyTorch": 0.0}
    for seed in options.seeds:
        before = time.perf_counter()
        inputs = {"data": data["train"], "val": data["val"], "config": path}
        outputs = {"model": "model.safetensors", "config": "config.json", "curve": "loss.csv"}
        made = run_stage(options, "train", f"{options.name}-{steps}-{seed}", {"seed": seed}, inputs, outputs)
        curves["nanoflow", seed] = read_curve(made["curve"])
        seconds["nanoflow"] += time.perf_counter() - before
        before = time.perf_counter()
        kept = os.path.join(options.folder, f"{options.name}-{steps}-{seed}-pytorch.json")
        if not os.path.exists(kept):
            json.dump(train_pytorch(config, data, steps, seed)[0], open(kept, "w"))
        curves["PyTorch", seed] = [tuple(point) for point in json.load(open(kept))]
        seconds["PyTorch"] += time.perf_counter() - before
        print(seed, {side: round(curves[side, seed][-1][1], 4) for side in seconds}, flush=True)

    lines = ["step," + ",".join(f"{side} {seed}" for side, seed in curves)]
    for index, (step, _) in enumerate(next(iter(curves.values()))):
        lines.append(f"{step}," + ",".join(f"{curve[index][1]:.4f}" for curve in curves.values()))
    base = os.path.join(options.out, options.name)
    open(base + ".csv", "w").write("\n".join(lines) + "\n")
    open(base + ".svg", "w").write(picture(curves, f"{options.name}: validation loss (nats) over steps"))
    last = {side: [curves[side, seed][-1][1] for seed in options.seeds] for side in seconds}
    for side, losses in last.items():
        spread = f" ± {statistics.stdev(losses):.4f}" if len(losses) > 1 else ""
        print(f"{side}: {statistics.mean(losses):.4f}{spread} nats after {steps} steps; {seconds[side]:.0f} s", flush=True)
    if len(options.seeds) > 1:
        difference, error, t, chance = welch(*last.values())
        print(f"difference {difference:+.4f} ± {error:.4f} (standard error); Welch's t {t:+.2f}, p {chance:.2f}")


if __name__ == "__main__":
    main()
