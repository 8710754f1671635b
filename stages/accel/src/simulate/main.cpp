// Drives the clock of the test bench until it calls $finish.
#include "Vnanoflow_bench.h"
#include "verilated.h"

int main(int argc, char** argv) {
  VerilatedContext context;
  context.commandArgs(argc, argv);
  Vnanoflow_bench bench{&context};
  while (!context.gotFinish()) {
    bench.clk = 0;
    bench.eval();
    bench.clk = 1;
    bench.eval();
  }
  bench.final();
  return 0;
}
