//! Integer model, instruction set and program of the accelerator core
