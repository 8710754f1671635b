exec python3 report.py {{ outputs.netlist }}{% if outputs.stat is defined %} {{ outputs.stat }}{% endif %}
