# Wire and via R and C: OpenROAD-flow-scripts, platform sky130hd (kilohm and pF, per micron and per cut).
set_layer_rc -layer li1  -resistance 7.176e-2    -capacitance 1.499e-4
set_layer_rc -layer met1 -resistance 8.92857e-4  -capacitance 1.72375e-4
set_layer_rc -layer met2 -resistance 8.92857e-4  -capacitance 1.36233e-4
set_layer_rc -layer met3 -resistance 1.56667e-4  -capacitance 2.14962e-4
set_layer_rc -layer met4 -resistance 1.56667e-4  -capacitance 1.48128e-4
set_layer_rc -layer met5 -resistance 1.77778e-5  -capacitance 1.54087e-4
set_layer_rc -via mcon -resistance 9.249146e-3
set_layer_rc -via via  -resistance 4.5e-3
set_layer_rc -via via2 -resistance 3.368786e-3
set_layer_rc -via via3 -resistance 0.376635e-3
set_layer_rc -via via4 -resistance 0.00580e-3
set_wire_rc -signal -layer met2
set_wire_rc -clock -layer met5
