"""The peer of training.rs: nanoGPT's model in PyTorch on the CPU. Prints one line of JSON.

    python pytorch.py train|evaluate VOCABULARY BLOCK LAYERS HEADS WIDTH BATCH THREADS SECONDS
"""

import json
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

mode = sys.argv[1]
vocabulary, block, layers, heads, width, batch, threads = map(int, sys.argv[2:9])
seconds = float(sys.argv[9])
torch.set_num_threads(threads)
torch.manual_seed(1337)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.c_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (
            part.view(b, t, heads, width // heads).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(width, 2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).reshape(b, t, width))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(block, width)
        self.blocks = nn.ModuleList(Block() for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.wte.weight
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(block))
        for part in self.blocks:
            x = part(x)
        logits = self.head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, vocabulary), targets.view(-1))


model = Model()
decay = [p for p in model.parameters() if p.dim() >= 2]
rest = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=1e-3, betas=(0.9, 0.99), fused=True
)


def step():
    tokens = torch.randint(0, vocabulary, (batch, block))
    targets = torch.randint(0, vocabulary, (batch, block))
    if mode == "evaluate":
        with torch.inference_mode():
            return model(tokens, targets).item()
    loss = model(tokens, targets)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


for _ in range(2):
    step()
best, count, cpu, started = 1e9, 0, time.process_time(), time.perf_counter()
while time.perf_counter() - started < seconds or count < 3:
    before = time.perf_counter()
    step()
    best = min(best, time.perf_counter() - before)
    count += 1
tokens = batch * block
print(
    json.dumps(
        {
            "tokens_per_second": tokens / best,
            "cpu_microseconds_per_token": (time.process_time() - cpu) * 1e6 / (count * tokens),
            "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "version": torch.__version__,
        }
    )
)
