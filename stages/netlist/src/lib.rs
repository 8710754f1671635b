//! Verilog netlists, Liberty libraries, logic and fault simulation
