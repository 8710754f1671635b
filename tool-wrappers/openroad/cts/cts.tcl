read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.tlef]
read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.lef]
read_liberty {{ inputs.liberty }}
read_def {{ inputs.def }}
source wire-rc.tcl
create_clock -name {{ params.clock }} -period {{ params["period-ns"] }} [get_ports {{ params.clock }}]

repair_clock_inverters
clock_tree_synthesis -root_buf sky130_fd_sc_hd__clkbuf_4 -buf_list sky130_fd_sc_hd__clkbuf_4 -sink_clustering_enable
set_propagated_clock [all_clocks]
estimate_parasitics -placement
repair_clock_nets
detailed_placement
estimate_parasitics -placement
repair_timing -setup
repair_timing -hold -hold_margin {{ params["hold-slack-margin-ns"] }}
detailed_placement
check_placement -verbose

write_def {{ outputs.def }}
