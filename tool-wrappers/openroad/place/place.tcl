read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.tlef]
read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.lef]
read_liberty {{ inputs.liberty }}
read_def {{ inputs.def }}
source wire-rc.tcl
create_clock -name {{ params.clock }} -period {{ params["period-ns"] }} [get_ports {{ params.clock }}]

set_placement_padding -global -left {{ params["padding-sites"] }} -right {{ params["padding-sites"] }}
global_placement -density {{ params.density }}
estimate_parasitics -placement
repair_design
detailed_placement
optimize_mirroring
check_placement -verbose

write_def {{ outputs.def }}
