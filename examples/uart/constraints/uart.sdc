create_clock -name clk -period 10.0 [get_ports clk]
set_propagated_clock [get_clocks clk]
set_clock_uncertainty -setup 0.25 [get_clocks clk]
set_clock_uncertainty -hold 0.05 [get_clocks clk]
set_clock_transition 0.15 [get_clocks clk]
set inputs {}
foreach port [all_inputs] {
  if {[get_property $port full_name] ne "clk"} { lappend inputs $port }
}
set_input_delay -max 2.0 -clock clk $inputs
set_input_delay -min 0.5 -clock clk $inputs
set_output_delay -max 2.0 -clock clk [all_outputs]
set_output_delay -min 0.0 -clock clk [all_outputs]
set_input_transition 0.2 $inputs
set_load 0.02 [all_outputs]
