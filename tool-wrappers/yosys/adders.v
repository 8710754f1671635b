// Carries of $alu as a ripple; full adders are then found in it.
(* techmap_celltype = "$lcu" *)
module ripple_carry (P, G, CI, CO);
  parameter WIDTH = 2;
  (* force_downto *) input [WIDTH-1:0] P, G;
  input CI;
  (* force_downto *) output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry;
  assign carry[0] = CI;
  assign CO = carry[WIDTH:1];
  genvar i;
  generate
    for (i = 0; i < WIDTH; i = i + 1) begin : bits
      assign carry[i+1] = G[i] | (P[i] & carry[i]);
    end
  endgenerate
endmodule
