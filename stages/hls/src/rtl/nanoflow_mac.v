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

// One lane: a carry-save array of full adders, a row for each bit of the weight, then one carry chain. The rows are
// Baugh-Wooley partial products, all of them positive.
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
`ifdef __ICARUS__
  // Icarus follows every glitch through the array, which takes thousands of times longer: the same sum in one expression.
  wire signed [15:0] product = $signed(activation) * $signed(weight);
  wire [ACC_BITS-1:0] total = accumulator + {{(ACC_BITS-16){product[15]}}, product};
`else
  // sums[16*r +: 16] and carries[16*r +: 16]: the lower 16 bits of the running sum before row r. Row r touches columns r to r + 7.
  wire [16*9-1:0] sums, carries;
  wire [ACC_BITS-1:0] total;
  assign sums[15:0] = accumulator[15:0];
  assign carries[15:0] = 16'b0;

  genvar r, c;
  generate
    for (r = 0; r < 8; r = r + 1) begin : row
      for (c = 0; c < 16; c = c + 1) begin : column
        if (c >= r && c < r + 8) begin : adder
          // Products with exactly one sign bit are inverted.
          wire product = (activation[c-r] & weight[r]) ^ ((r == 7) != (c - r == 7));
          if (r == 0) begin : half
            assign sums[16*(r+1)+c] = sums[16*r+c] ^ product;
            assign carries[16*(r+1)+c+1] = sums[16*r+c] & product;
          end else begin : full
            nanoflow_full_adder unit (.a(sums[16*r+c]), .b(product), .c(carries[16*r+c]),
              .sum(sums[16*(r+1)+c]), .carry(carries[16*(r+1)+c+1]));
          end
        end else begin : pass
          assign sums[16*(r+1)+c] = sums[16*r+c];
          if (c != r + 8) begin : old_carry
            assign carries[16*(r+1)+c] = c > r + 8 ? carries[16*r+c] : 1'b0;
          end
        end
      end
      if (r > 0) begin : low
        assign carries[16*(r+1)+r] = 1'b0;
      end else begin : lowest
        assign carries[16] = 1'b0;
      end
    end
  endgenerate

  // The inversions leave the product too small by 2^8 and too large by 2^15: a carry into column 8, and all ones from column 15 up.
  wire [ACC_BITS:0] chain;
  assign total[7:0] = sums[16*8 +: 8];
  assign chain[8] = 1'b1;
  generate
    for (c = 8; c < 15; c = c + 1) begin : low_chain
      nanoflow_full_adder unit (.a(sums[16*8+c]), .b(carries[16*8+c]), .c(chain[c]), .sum(total[c]), .carry(chain[c+1]));
    end
  endgenerate
  // Column 15 has a fourth bit, the first of the ones: two of the four become a carry of their own.
  wire sum15 = ~(sums[16*8+15] ^ carries[16*8+15]);
  wire extra = sums[16*8+15] | carries[16*8+15];
  assign total[15] = sum15 ^ chain[15];
  wire carry15 = sum15 & chain[15];
  // Above it, extra + carry15 - 1 is +1, 0 or -1.
  wire plus = extra & carry15;
  wire minus = ~(extra | carry15);
  assign chain[16] = plus | minus;
  assign total[16] = accumulator[16] ^ chain[16];
  wire first_carry = accumulator[16] & chain[16];
  assign chain[17] = first_carry;
  generate
    for (c = 17; c < ACC_BITS; c = c + 1) begin : high_chain
      nanoflow_full_adder unit (.a(accumulator[c]), .b(minus), .c(chain[c]), .sum(total[c]), .carry(chain[c+1]));
    end
  endgenerate
`endif

  always @(posedge clk) accumulator <= shift ? above : total;
endmodule

module nanoflow_full_adder (
  input  wire a,
  input  wire b,
  input  wire c,
  output wire sum,
  output wire carry
);
  assign sum = a ^ b ^ c;
  assign carry = (a & b) | (c & (a ^ b));
endmodule
`default_nettype wire
