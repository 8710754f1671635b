"""Makes the netlist canonical, joins the statistics and writes the metrics."""
import json
import re
import sys

netlist = sys.argv[1]
with open(netlist) as lines:
    text = lines.read()
# The banner names the tool's build, which changes no gate.
text = re.sub(r"\A/\*.*?\*/\n*", "", text, flags=re.S)
with open(netlist, "w") as out:
    out.write(text)


def load(name):
    """The JSON of Yosys 0.23's `stat -json`, which holds the hierarchy as plain text and commas too many."""
    with open(name) as file:
        lines = [line for line in file if line.strip()[:1] in tuple('"{}[]')]
    text = re.sub(r",(\s*})", r"\1", "".join(lines))
    return json.JSONDecoder().raw_decode(text[text.index("{"):])[0]


def count(name):
    with open(name) as file:
        return int(re.search(r"(\d+) objects", file.read()).group(1))


def plain(name):
    """$paramod$hash\\mac or $paramod\\mac\\LANES=8 → mac"""
    return [part for part in name.split("\\") if part and not part.startswith("$")][0]


def areas(name):
    """Area of each cell of a Liberty file, in square microns (Yosys 0.23 leaves it out of its JSON)."""
    found, cell = {}, None
    with open(name) as file:
        for line in file:
            start = re.match(r'\s*cell\s*\(\s*"?(\w+)"?\s*\)', line)
            if start:
                cell = start.group(1)
            value = re.match(r"\s*area\s*:\s*([0-9.eE+-]+)", line)
            if value and cell and cell not in found:
                found[cell] = float(value.group(1))
    return found


AREA = areas("cells.lib")


def short(module):
    types = module["num_cells_by_type"]
    cells = {name: number for name, number in sorted(types.items()) if name in AREA}
    return {
        "cells": sum(cells.values()),
        "area_um2": round(sum(AREA[name] * number for name, number in cells.items()), 4),
        "cells_by_type": cells,
        "instances": {plain(name): number for name, number in sorted(types.items()) if name not in AREA},
    }


modules = load("modules.json")
flat = load("flat.json")
whole = flat["design"] if "design" in flat else next(iter(flat["modules"].values()))
stat = {
    "design": short(whole),
    "modules": {plain(name): short(module) for name, module in sorted(modules["modules"].items())},
}
if len(sys.argv) > 2:
    with open(sys.argv[2], "w") as out:
        json.dump(stat, out, indent=1, sort_keys=True)
        out.write("\n")

metrics = {
    "cells": {"value": stat["design"]["cells"]},
    "area_um2": {"value": stat["design"]["area_um2"], "unit": "um2"},
    "flipflops": {"value": count("flipflops.txt")},
    "latches": {"value": count("latches.txt")},
    "unmapped": {"value": count("unmapped.txt")},
}
with open("metrics.json", "w") as out:
    json.dump(metrics, out, indent=1)
