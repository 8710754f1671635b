"""Where the time of training and evaluation goes, by Linux's `perf`: a table in Markdown, in percent of all samples.

    cargo bench -p nanoflow-model --bench training --no-run      # prints the program's path
    python stages/model/benches/time_spent.py PROGRAM [--write PAGE]

Needs `perf`, `addr2line` and `readelf`. A sample counts for the function of this crate that it fell into, by way of inlined ones too. With
--write the table replaces what stands between `<!-- profile -->` and `<!-- end of profile -->` of the page.
"""

import bisect
import collections
import os
import re
import subprocess
import sys
import tempfile

SHAPES = {"T": "512 64 2 2 64 16", "S": "2048 128 4 4 128 8", "D": "50257 256 4 4 256 4"}
SECONDS = 4
# (row of the table, pattern of function names)
ROWS = [
    ("matrix products", r"microkernel|gemm_basic|gemm_f32"),
    ("packing matrices for them", r"gemm_common|pack"),
    ("GELU", r"\b(gelu|activate)"),
    ("softmax of attention", r" softmax"),
    ("softmax and cross-entropy of the head", r"\b(cross_entropy|add_columns)"),
    ("LayerNorm", r"\blayer_norm"),
    ("biases, residual sums", r"\b(add_into|column_sums|multiply_elements|add_bias|add_to_rows)"),
    ("AdamW, clipping", r"optimizer"),
    ("copies", r"mem(move|cpy|set)"),
    ("operating system", r"^\[kernel\]"),
]


def samples(program, arguments):
    """Addresses in the program, and names of functions elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        data = os.path.join(folder, "perf.data")
        command = ["perf", "record", "-q", "-F", "2000", "-o", data, program, "--child", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        script = ["perf", "script", "-i", data, "-F", "ip,sym,dso", "--show-mmap-events"]
        text = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    base, inside, elsewhere = None, collections.Counter(), collections.Counter()
    mapped = re.compile(r"\[0x([0-9a-f]+)\(0x[0-9a-f]+\) @ (0x[0-9a-f]+|0) .*r-xp.*" + re.escape(os.path.basename(program)))
    for line in text.splitlines():
        if "PERF_RECORD_MMAP" in line:
            if found := mapped.search(line):
                base = int(found[1], 16) - int(found[2], 16)
            continue
        if found := re.match(r"\s*([0-9a-f]+) (.*) \((.*)\)$", line):
            if found[3] == program:
                inside[int(found[1], 16)] += 1
            else:
                elsewhere["[kernel]" if "kernel" in found[3] else found[2]] += 1
    return collections.Counter({address - base: count for address, count in inside.items()}), elsewhere


def functions_of(source, cache={}):
    """(first lines, names) of the functions of one source file."""
    if source not in cache:
        found = []
        for number, line in enumerate(open(source), 1):
            if match := re.match(r"\s*(?:pub(?:\(crate\))? )?(?:const )?fn (\w+)", line):
                found.append((number, match[1]))
        cache[source] = ([number for number, _ in found], [name for _, name in found])
    return cache[source]


def names(program, offsets):
    """The function that counts for each offset in the file."""
    headers = subprocess.run(["readelf", "-lW", program], check=True, capture_output=True, text=True).stdout
    segments = re.findall(r"LOAD\s+0x(\w+)\s+0x(\w+)\s+0x\w+\s+0x(\w+)", headers)
    segments = [tuple(int(value, 16) for value in segment) for segment in segments]
    address = {}
    for offset in offsets:
        for start, virtual, size in segments:
            if start <= offset < start + size:
                address[offset - start + virtual] = offset
    command = ["addr2line", "-f", "-i", "-C", "-a", "-e", program]
    text = subprocess.run(command, input="\n".join(map(hex, address)), capture_output=True, text=True, check=True).stdout
    result, offset, lines = {}, None, []
    for line in [*text.splitlines(), "0x0"]:
        if not line.startswith("0x"):
            lines.append(line)
            continue
        if offset is not None:
            result[offset] = chosen(lines)
        offset, lines = address.get(int(line, 16)), []
    return result


def chosen(frames):
    own = None
    for place in frames[1::2]:
        found = re.match(r"(.*/stages/model/src/\S+?):(\d+)", place)
        if found and not found[1].endswith("wide.rs"):
            starts, functions = functions_of(found[1])
            index = bisect.bisect_right(starts, int(found[2])) - 1
            own = os.path.basename(found[1]) + " " + (functions[index] if index >= 0 else "")
    return own or (frames[-2] if len(frames) > 1 else "?")


def profile(program, mode, shape):
    inside, elsewhere = samples(program, [mode, *shape.split(), "1", str(SECONDS)])
    found = names(program, inside)
    counts = elsewhere
    for offset, count in inside.items():
        counts[found.get(offset, "?")] += count
    rows = collections.Counter()
    for name, count in counts.items():
        row = next((row for row, pattern in ROWS if re.search(pattern, name)), "all else")
        rows[row] += 100 * count / counts.total()
    return rows


def main():
    program = os.path.realpath(sys.argv[1])
    columns = [(f"{shape} {mode}", profile(program, mode, numbers)) for shape, numbers in SHAPES.items() for mode in ["train", "evaluate"]]
    table = "| of the time, in % | " + " | ".join(name for name, _ in columns) + " |\n" + "|---" * (1 + len(columns)) + "|\n"
    for row in [*(row for row, _ in ROWS), "all else"]:
        table += f"| {row} | " + " | ".join(f"{rows[row]:.0f}" for _, rows in columns) + " |\n"
    print(table)
    if "--write" in sys.argv:
        page = sys.argv[sys.argv.index("--write") + 1]
        before, rest = open(page).read().split("<!-- profile -->\n")
        after = rest.split("<!-- end of profile -->")[1]
        open(page, "w").write(f"{before}<!-- profile -->\n{table}<!-- end of profile -->{after}")


if __name__ == "__main__":
    main()
