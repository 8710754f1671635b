# Cells without logic; they stay out of the netlist that timing and simulation read.
proc find_physical_cell_masters {} {
  set masters {}
  foreach name {fill_1 fill_2 fill_4 fill_8 tapvpwrvgnd_1} { lappend masters sky130_fd_sc_hd__$name }
  return $masters
}

read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.tlef]
read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.lef]
read_liberty {{ inputs.liberty }}
read_def {{ inputs.def }}
source wire-rc.tcl

filler_placement {sky130_fd_sc_hd__fill_8 sky130_fd_sc_hd__fill_4 sky130_fd_sc_hd__fill_2 sky130_fd_sc_hd__fill_1}
global_connect
write_def {{ outputs.def }}
write_verilog -remove_cells [find_physical_cell_masters] {{ outputs.netlist }}
write_cdl -include_fillers -masters [file join {{ inputs.pdk }} sky130_fd_sc_hd.cdl] {{ outputs.cdl }}

{% if inputs["extraction-rules"] is defined -%}
define_process_corner -ext_model_index 0 typical
extract_parasitics -ext_model_file {{ inputs["extraction-rules"] }}
write_spef {{ outputs.spef }}
{%- else -%}
# No extraction rules: what global routing estimates. The DEF is written already, so this does not touch the wires.
global_route
estimate_parasitics -global_routing -spef_file {{ outputs.spef }}
{%- endif %}
