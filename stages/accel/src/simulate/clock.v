// Clock of the test bench in simulators with delays.
module nanoflow_clock;
  reg clk = 1'b0;
  always #10 clk = ~clk;
  nanoflow_bench bench (.clk(clk));
endmodule
