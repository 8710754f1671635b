"""Makes the golden data of ../golden.rs with PyTorch: run it in an environment with torch, transformers, safetensors and tiktoken.

    python make.py R50K       # writes gpt.safetensors, gpt2/ and torture.json beside itself

R50K is the path of GPT-2's table r50k_base.tiktoken, which the crate tiktoken-rs brings in its folder assets; without it
torture.json is left as it is.

Everything is small and seeded. The network is written out here in plain PyTorch, as in nanoGPT's model.py, so that it shares
nothing with the Rust side. Figures are float32 results of a float64 computation, so that only the Rust side's rounding shows.
"""

import json
import math
import os
import sys

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
VOCABULARY, BLOCK, LAYERS, HEADS, WIDTH, BATCH = 23, 8, 2, 2, 12, 3
STEPS = 50


def parameters(generator):
    """Names and shapes of GPT-2 on the hub; large enough for every part to matter."""
    shapes = {"transformer.wte.weight": (VOCABULARY, WIDTH), "transformer.wpe.weight": (BLOCK, WIDTH)}
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        shapes |= {
            at + "ln_1.weight": (WIDTH,), at + "ln_1.bias": (WIDTH,),
            at + "attn.c_attn.weight": (WIDTH, 3 * WIDTH), at + "attn.c_attn.bias": (3 * WIDTH,),
            at + "attn.c_proj.weight": (WIDTH, WIDTH), at + "attn.c_proj.bias": (WIDTH,),
            at + "ln_2.weight": (WIDTH,), at + "ln_2.bias": (WIDTH,),
            at + "mlp.c_fc.weight": (WIDTH, 4 * WIDTH), at + "mlp.c_fc.bias": (4 * WIDTH,),
            at + "mlp.c_proj.weight": (4 * WIDTH, WIDTH), at + "mlp.c_proj.bias": (WIDTH,),
        }
    shapes |= {"transformer.ln_f.weight": (WIDTH,), "transformer.ln_f.bias": (WIDTH,)}
    result = {}
    for name, shape in shapes.items():
        values = 0.25 * torch.randn(shape, generator=generator, dtype=torch.float64)
        if ".ln_" in name and name.endswith("weight"):
            values = 1.0 + values
        # What Rust reads is float32; the computation starts from the same numbers.
        result[name] = values.float().double().requires_grad_()
    return result


def norm(x, p, name):
    return F.layer_norm(x, (WIDTH,), p[name + ".weight"], p[name + ".bias"], 1e-5)


def linear(x, p, name):
    return x @ p[name + ".weight"] + p[name + ".bias"]


def logits(p, tokens, approximate="none", observe=None):
    x = p["transformer.wte.weight"][tokens] + p["transformer.wpe.weight"]
    count = tokens.shape[0]
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        normal = norm(x, p, at + "ln_1")
        q, k, v = (
            part.view(count, BLOCK, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in linear(normal, p, at + "attn.c_attn").split(WIDTH, dim=2)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(WIDTH // HEADS)
        scores = scores.masked_fill(torch.tril(torch.ones(BLOCK, BLOCK)) == 0, float("-inf"))
        mixed = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).reshape(count, BLOCK, WIDTH)
        x = x + linear(mixed, p, at + "attn.c_proj")
        normal2 = norm(x, p, at + "ln_2")
        hidden = F.gelu(linear(normal2, p, at + "mlp.c_fc"), approximate=approximate)
        if observe is not None:
            observe[layer] = (normal, normal2)
        x = x + linear(hidden, p, at + "mlp.c_proj")
    return norm(x, p, "transformer.ln_f") @ p["transformer.wte.weight"].T


def loss_of(p, inputs, targets, approximate="none"):
    return F.cross_entropy(logits(p, inputs, approximate).view(-1, VOCABULARY), targets.reshape(-1))


def rate(step):
    """Warm-up over 10 steps to 1e-2, then a cosine to 1e-3 at the last step."""
    if step < 10:
        return 1e-2 * (step + 1) / 10
    return 1e-3 + 0.5 * (1 + math.cos(math.pi * (step - 10) / (STEPS - 10))) * 9e-3


def adamw(p, inputs, targets):
    """nanoGPT's groups: decay for what has two dimensions or more; clipping at 1."""
    decay = [value for value in p.values() if value.dim() >= 2]
    rest = [value for value in p.values() if value.dim() < 2]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.99), eps=1e-8)
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = rate(step)
        optimizer.zero_grad()
        loss = loss_of(p, inputs, targets)
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(p.values()), 1.0))
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), torch.stack(norms)


def smooth(p, tokens, alpha):
    """SmoothQuant's factors (Xiao et al. 2023, eq. 4) of both norms of each layer, and the int8 codes of what follows."""
    observe = {}
    with torch.no_grad():
        logits(p, tokens, observe=observe)
    result = {}
    for layer, (first, second) in observe.items():
        at = f"transformer.h.{layer}."
        for values, name, matrix in ((first, "ln_1", "attn.c_attn"), (second, "ln_2", "mlp.c_fc")):
            weight = p[at + matrix + ".weight"].detach()
            activation = values.abs().amax(dim=(0, 1))
            factors = activation**alpha / weight.abs().amax(dim=1) ** (1 - alpha)
            smoothed = weight * factors[:, None]
            step = smoothed.abs().amax(dim=0) / 127
            key = f"smooth.{layer}.{name}."
            result[key + "factors"] = factors
            result[key + "activation_step"] = (activation / factors).amax().reshape(1) / 127
            result[key + "codes"] = (smoothed / step).round().T
            result[key + "weight_step"] = step
    return result


def plain():
    generator = torch.Generator().manual_seed(1337)
    p = parameters(generator)
    tokens = torch.randint(0, VOCABULARY, (BATCH, BLOCK + 1), generator=generator)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    out = {"inputs": inputs, "targets": targets, "logits": logits(p, inputs)}
    out |= {"weight." + name: value.detach().clone() for name, value in p.items()}
    for prefix, approximate in (("", "none"), ("tanh.", "tanh")):
        loss = loss_of(p, inputs, targets, approximate)
        gradients = torch.autograd.grad(loss, list(p.values()))
        out[prefix + "loss"] = loss.reshape(1)
        out |= {f"{prefix}gradient.{name}": value for name, value in zip(p, gradients)}
    out |= smooth(p, inputs, 0.5)
    out["adamw.losses"], out["adamw.norms"] = adamw(p, inputs, targets)
    out |= {"adamw.weight." + name: value.detach() for name, value in p.items()}
    small = {
        name: (value.to(torch.int32) if name in ("inputs", "targets") else value.detach().float()).contiguous()
        for name, value in out.items()
    }
    save_file(small, os.path.join(HERE, "gpt.safetensors"))


def hub():
    """A random GPT-2 made and saved by transformers, and its logits."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = os.path.join(HERE, "gpt2")
    torch.manual_seed(42)
    config = GPT2Config(vocab_size=61, n_positions=16, n_embd=24, n_layer=2, n_head=3, initializer_range=0.2)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(folder)
    tokens = torch.randint(0, 61, (1, 16))
    with torch.no_grad():
        result = model(tokens).logits[0]
    with open(os.path.join(folder, "logits.json"), "w") as file:
        json.dump({"tokens": tokens[0].tolist(), "logits": [round(x, 7) for x in result.flatten().tolist()]}, file)


TORTURE = [
    "", " ", "  ", "\n", "\r\n", "\t\t", "a", " a", "Hello world, don't!", "I'll we've they're he'd I'm it's IT'S",
    "'''", "0 12 345 6789 0123456789 1e-5 3.14 ½ ²³", "    four\n        eight\n\n\nthree", "end  ", "\u00a0nbsp\u2003em\u200bzero\ufeffbom",
    "<|endoftext|>", "<|endoftext|><|endoftext|> x", "ÄÖÜ ß ñ ç é e\u0301", "漢字かなカナ한글", "שלום עולם مرحبا", "हिन्दी ไทย",
    "🙂👍🏽👩‍👩‍👧‍👦🏳️‍🌈", "\x00\x01\x7f", "!!!???...---___***", "http://example.com/a?b=c&d=%20#e", "fn main() { let x = y[0] as f32; }",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ﬁ ﬂ ℵ ∑ √ ∞ ≠ → ⇒", "\U0010ffff \ufffd", "SCREAMING snake_case CamelCase kebab-case", " \n \n ",
    "Once upon a time there was a brave rabbit named Mia.", "ǅ ǆ ŉ İı ſ K Å", "١٢٣ १२३ 一二三 Ⅳ",
]


def tokens(table):
    """GPT-2's tokens of the torture texts by OpenAI's own tiktoken, on the same table of merges."""
    import tiktoken
    from tiktoken.load import load_tiktoken_bpe

    pattern = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
    ranks = load_tiktoken_bpe(table)
    encoding = tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50256})
    cases = [[text, encoding.encode_ordinary(text)] for text in TORTURE]
    with open(os.path.join(HERE, "torture.json"), "w") as file:
        json.dump(cases, file, separators=(",", ":"))


if __name__ == "__main__":
    plain()
    hub()
    if len(sys.argv) > 1:
        tokens(sys.argv[1])
