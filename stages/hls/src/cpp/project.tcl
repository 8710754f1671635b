# Catapult: analyse, compile, choose the technology, build the architecture, extract RTL, verify.
#   catapult -shell -file project.tcl
set here [file dirname [file normalize [info script]]]
project new -name nanoflow
solution new -state initial
solution options set /Input/CppStandard c++11
solution options set /Flows/SCVerify/USE_CCS_BLOCK true
solution options set /Output/OutputVHDL false
solution file add [file join $here nanoflow_core.cpp] -type C++
solution file add [file join $here nanoflow_core.h] -type CHEADER
solution file add [file join $here nanoflow_tb.cpp] -type C++ -exclude true

go analyze
solution design set nanoflow_core -top
go compile
solution library add nangate-45nm_beh -- -rtlsyntool DesignCompiler -vendor Nangate -technology 045nm
solution library add ccs_sample_mem
go libraries
directive set -CLOCKS {clk {-CLOCK_PERIOD 20.0 -CLOCK_EDGE rising -CLOCK_UNCERTAINTY 0.0 -RESET_SYNC_NAME rst -RESET_SYNC_ACTIVE high}}
directive set /nanoflow_core/memory:rsc -MAP_TO_MODULE ccs_sample_mem.ccs_ram_sync_1R1W
go assembly
directive set /nanoflow_core/core -DESIGN_GOAL area
go architect
go allocate
go schedule
go extract

flow package require /SCVerify
flow run /SCVerify/launch_make ./scverify/Verify_orig_cxx_osci.mk {} SIMTOOL=osci sim
flow run /SCVerify/launch_make ./scverify/Verify_rtl_v_msim.mk {} SIMTOOL=msim sim
