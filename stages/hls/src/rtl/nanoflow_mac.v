// Multiply-accumulate lanes: every lane multiplies the same activation with a weight of its own.
//
//   shift = 0:  accumulator[i] += activation * weight[i]      (hold: activation = 0)
//   shift = 1:  accumulator[i]  = accumulator[i + 1], the last one becomes 0
// After LANES shifts all accumulators are 0, which is also how they are cleared.
`default_nettype none
module nanoflow_mac #(
  parameter LANES = 8,
  parameter ACC_BITS = 24
) (
  input  wire                       clk,
  input  wire                       shift,
  input  wire signed [7:0]          activation,
  input  wire [8*LANES-1:0]         weights,
  output wire signed [ACC_BITS-1:0] head
);
  wire [ACC_BITS*(LANES+1)-1:0] chain;
  assign head = chain[ACC_BITS-1:0];
  assign chain[ACC_BITS*LANES +: ACC_BITS] = {ACC_BITS{1'b0}};

  genvar i;
  generate
    for (i = 0; i < LANES; i = i + 1) begin : lane
      nanoflow_lane #(.ACC_BITS(ACC_BITS)) unit (
        .clk(clk), .shift(shift), .activation(activation), .weight(weights[8*i +: 8]),
        .above(chain[ACC_BITS*(i+1) +: ACC_BITS]), .accumulator(chain[ACC_BITS*i +: ACC_BITS]));
    end
  endgenerate
endmodule

// One lane. The signed product is written as Baugh-Wooley partial products, all positive, so that product and
// accumulator become one carry-save tree with a single carry chain.
module nanoflow_lane #(
  parameter ACC_BITS = 24
) (
  input  wire                clk,
  input  wire                shift,
  input  wire [7:0]          activation,
  input  wire [7:0]          weight,
  input  wire [ACC_BITS-1:0] above,
  output reg  [ACC_BITS-1:0] accumulator
);
  // Row r holds activation * weight[r]; products with exactly one sign bit are inverted.
  wire [7:0] row0 = {~(activation[7] & weight[0]), activation[6:0] & {7{weight[0]}}};
  wire [7:0] row1 = {~(activation[7] & weight[1]), activation[6:0] & {7{weight[1]}}};
  wire [7:0] row2 = {~(activation[7] & weight[2]), activation[6:0] & {7{weight[2]}}};
  wire [7:0] row3 = {~(activation[7] & weight[3]), activation[6:0] & {7{weight[3]}}};
  wire [7:0] row4 = {~(activation[7] & weight[4]), activation[6:0] & {7{weight[4]}}};
  wire [7:0] row5 = {~(activation[7] & weight[5]), activation[6:0] & {7{weight[5]}}};
  wire [7:0] row6 = {~(activation[7] & weight[6]), activation[6:0] & {7{weight[6]}}};
  wire [7:0] row7 = {activation[7] & weight[7], ~(activation[6:0] & {7{weight[7]}})};
  // The inversions add 2^8 - 2^15 (mod 2^16) too little: this constant puts it back, sign extended.
  wire [ACC_BITS-1:0] correction = {{(ACC_BITS-15){1'b1}}, 15'h0100};
  wire [ACC_BITS-1:0] sum = accumulator + row0 + {row1, 1'b0} + {row2, 2'b0} + {row3, 3'b0} + {row4, 4'b0}
    + {row5, 5'b0} + {row6, 6'b0} + {row7, 7'b0} + correction;

  always @(posedge clk) accumulator <= shift ? above : sum;
endmodule
`default_nettype wire
