// AXI4-Lite control and status registers. Offsets in bytes:
//   00 control   bit 0 enable, bit 1 clear (position, error, cycles; reads 0), bit 2 argmax only
//   04 status    bit 0 busy, bit 1 error
//   08 program   word address of the program
//   0C position  tokens taken since the last clear
//   10 cycles    clock cycles spent on the last token
//   14 version   hardware version and parameters
//   18 best      index of the largest logit of the last token
`default_nettype none
module nanoflow_csr #(
  parameter ADDRESS_BITS = 24,
  parameter POSITION_BITS = 12,
  parameter [31:0] VERSION = 0
) (
  input  wire                     clk,
  input  wire                     rst,
  input  wire                     awvalid,
  output wire                     awready,
  input  wire [4:0]               awaddr,
  input  wire                     wvalid,
  output wire                     wready,
  input  wire [31:0]              wdata,
  output reg                      bvalid,
  input  wire                     bready,
  input  wire                     arvalid,
  output wire                     arready,
  input  wire [4:0]               araddr,
  output reg                      rvalid,
  input  wire                     rready,
  output wire [31:0]              rdata,
  output reg                      enable,
  output reg                      clear,
  output reg                      argmax_only,
  output reg [ADDRESS_BITS-1:0]   program_base,
  input  wire                     busy,
  input  wire                     error,
  input  wire [POSITION_BITS-1:0] position,
  input  wire [15:0]              best
);
  reg [31:0] cycles;
  reg was_busy;
  reg [2:0] read_index;
  wire write = awvalid && wvalid && !bvalid;
  assign awready = write;
  assign wready = write;
  assign arready = !rvalid;

  // The selected register is read while the answer waits: counters may move until it is taken.
  wire [31:0] values [0:7];
  assign values[0] = {29'b0, argmax_only, 1'b0, enable};
  assign values[1] = {30'b0, error, busy};
  assign values[2] = {{(32-ADDRESS_BITS){1'b0}}, program_base};
  assign values[3] = {{(32-POSITION_BITS){1'b0}}, position};
  assign values[4] = cycles;
  assign values[5] = VERSION;
  assign values[6] = {16'b0, best};
  assign values[7] = 32'b0;
  assign rdata = values[read_index];

  always @(posedge clk) begin
    clear <= write && awaddr[4:2] == 3'd0 && wdata[1];
    if (write && awaddr[4:2] == 3'd0) {argmax_only, enable} <= {wdata[2], wdata[0]};
    if (write && awaddr[4:2] == 3'd2) program_base <= wdata[ADDRESS_BITS-1:0];
    if (write) bvalid <= 1'b1;
    else if (bready) bvalid <= 1'b0;
    if (arvalid && arready) begin
      rvalid <= 1'b1;
      read_index <= araddr[4:2];
    end else if (rready) rvalid <= 1'b0;
    was_busy <= busy;
    if (busy) cycles <= (was_busy ? cycles : 32'd0) + 1'b1;
    if (rst) begin
      enable <= 1'b0;
      clear <= 1'b0;
      bvalid <= 1'b0;
      rvalid <= 1'b0;
    end
  end
endmodule
`default_nettype wire
