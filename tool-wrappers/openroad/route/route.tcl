read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.tlef]
read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.lef]
read_liberty {{ inputs.liberty }}
read_def {{ inputs.def }}
source wire-rc.tcl
create_clock -name {{ params.clock }} -period {{ params["period-ns"] }} [get_ports {{ params.clock }}]
set_propagated_clock [all_clocks]

set_routing_layers -signal met1-met5 -clock met3-met5
set_global_routing_layer_adjustment met1-met5 {{ params["layer-adjustment"] }}
pin_access
global_route -guide_file route.guide -congestion_iterations 50
repair_antennas sky130_fd_sc_hd__diode_2
detailed_route -output_drc drc.rpt -verbose 1
check_antennas

set report [open drc.rpt]
set violations [regexp -all -line {^violation type} [read $report]]
close $report
set metrics [open metrics.json w]
puts $metrics "{\"violations\": {\"value\": $violations}}"
close $metrics

write_def {{ outputs.def }}
