"""Keeps of a Liberty file only the cells that synthesis may use: ABC takes every cell it is shown."""
import re
import sys

source, listing, prefix, target = sys.argv[1:]
with open(listing) as lines:
    keep = {prefix + word for line in lines for word in line.split("#")[0].split()}

seen, skipping, depth = set(), False, 0
with open(source) as liberty, open(target, "w") as out:
    for line in liberty:
        if not skipping:
            cell = re.match(r'\s*cell\s*\(\s*"?(\w+)"?\s*\)', line)
            if cell:
                skipping = cell.group(1) not in keep
                depth = 0
                seen.add(cell.group(1))
        if skipping:
            depth += line.count("{") - line.count("}")
            skipping = depth > 0
        else:
            out.write(line)

missing = sorted(keep - seen)
if missing:
    sys.exit(f"{source}: cells of the synthesis list are missing: {' '.join(missing)}")
