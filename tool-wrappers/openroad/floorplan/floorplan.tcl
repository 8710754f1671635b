read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.tlef]
read_lef [file join {{ inputs.pdk }} sky130_fd_sc_hd.lef]
read_liberty {{ inputs.liberty }}
read_verilog {{ inputs.netlist }}
link_design {{ params.top }}

initialize_floorplan -utilization {{ params.utilization }} -aspect_ratio {{ params["aspect-ratio"] }} \
  -core_space {{ params["core-margin-um"] }} -site unithd
make_tracks
place_pins -hor_layers met3 -ver_layers met2
tapcell -distance 13 -tapcell_master sky130_fd_sc_hd__tapvpwrvgnd_1

add_global_connection -net VPWR -inst_pattern .* -pin_pattern {^VPWR$|^VPB$} -power
add_global_connection -net VGND -inst_pattern .* -pin_pattern {^VGND$|^VNB$} -ground
global_connect
set_voltage_domain -name CORE -power VPWR -ground VGND
define_pdn_grid -name grid -voltage_domains CORE -pins {met4 met5}
add_pdn_stripe -grid grid -layer met1 -width 0.48 -pitch 5.44 -offset 0 -followpins
add_pdn_stripe -grid grid -layer met4 -width 1.6 -pitch 27.14 -offset 13.57
add_pdn_stripe -grid grid -layer met5 -width 1.6 -pitch 27.2 -offset 13.6
add_pdn_connect -grid grid -layers {met1 met4}
add_pdn_connect -grid grid -layers {met4 met5}
pdngen

write_def {{ outputs.def }}
