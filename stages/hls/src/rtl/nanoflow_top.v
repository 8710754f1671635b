// Accelerator: tokens in, logits out by AXI4-Stream, control by AXI4-Lite, everything else behind a memory port.
//
// Memory port: a read is a request (valid, ready, word address) answered in order by one word (valid, ready); a
// write is a request with strobes and has no answer; the memory carries requests out in the order it accepts them.
// Write data is 16 bits wide and stands for every 16-bit part of the word; the strobes select bytes.
`default_nettype none
module nanoflow_top (
  input  wire        clk,
  input  wire        rst,
  input  wire        s_axil_awvalid,
  output wire        s_axil_awready,
  input  wire [4:0]  s_axil_awaddr,
  input  wire        s_axil_wvalid,
  output wire        s_axil_wready,
  input  wire [31:0] s_axil_wdata,
  output wire        s_axil_bvalid,
  input  wire        s_axil_bready,
  output wire [1:0]  s_axil_bresp,
  input  wire        s_axil_arvalid,
  output wire        s_axil_arready,
  input  wire [4:0]  s_axil_araddr,
  output wire        s_axil_rvalid,
  input  wire        s_axil_rready,
  output wire [31:0] s_axil_rdata,
  output wire [1:0]  s_axil_rresp,
  input  wire        s_axis_tvalid,
  output wire        s_axis_tready,
  input  wire [15:0] s_axis_tdata,
  output wire        m_axis_tvalid,
  input  wire        m_axis_tready,
  output wire [15:0] m_axis_tdata,
  output wire        m_axis_tlast,
  output wire        mem_request_valid,
  input  wire        mem_request_ready,
  output wire        mem_request_write,
  output wire [@ADDRESS_MSB@:0] mem_request_address,
  output wire [15:0] mem_request_data,
  output wire [@STROBE_MSB@:0] mem_request_strobe,
  input  wire        mem_response_valid,
  output wire        mem_response_ready,
  input  wire [@WORD_MSB@:0] mem_response_data
);
  wire enable, clear, argmax_only, busy, error;
  wire [@ADDRESS_MSB@:0] program_base;
  wire [@POSITION_MSB@:0] position;
  wire [15:0] best;
  assign s_axil_bresp = 2'b00;
  assign s_axil_rresp = 2'b00;

  nanoflow_csr #(.ADDRESS_BITS(@ADDRESS_BITS@), .POSITION_BITS(@POSITION_BITS@), .VERSION(@VERSION@)) csr (
    .clk(clk), .rst(rst),
    .awvalid(s_axil_awvalid), .awready(s_axil_awready), .awaddr(s_axil_awaddr),
    .wvalid(s_axil_wvalid), .wready(s_axil_wready), .wdata(s_axil_wdata),
    .bvalid(s_axil_bvalid), .bready(s_axil_bready),
    .arvalid(s_axil_arvalid), .arready(s_axil_arready), .araddr(s_axil_araddr),
    .rvalid(s_axil_rvalid), .rready(s_axil_rready), .rdata(s_axil_rdata),
    .enable(enable), .clear(clear), .argmax_only(argmax_only), .program_base(program_base),
    .busy(busy), .error(error), .position(position), .best(best));

  nanoflow_core #(.LANES(@LANES@), .LANE_BITS(@LANE_BITS@), .ACC_BITS(@ACC_BITS@), .ADDRESS_BITS(@ADDRESS_BITS@),
    .COUNT_BITS(@COUNT_BITS@), .POSITION_BITS(@POSITION_BITS@)) core (
    .clk(clk), .rst(rst),
    .enable(enable), .clear(clear), .argmax_only(argmax_only), .program_base(program_base),
    .busy(busy), .error(error), .position(position), .best(best),
    .token_valid(s_axis_tvalid), .token_ready(s_axis_tready), .token_data(s_axis_tdata),
    .logit_valid(m_axis_tvalid), .logit_ready(m_axis_tready), .logit_data(m_axis_tdata), .logit_last(m_axis_tlast),
    .request_valid(mem_request_valid), .request_ready(mem_request_ready), .request_write(mem_request_write),
    .request_address(mem_request_address), .request_data(mem_request_data), .request_strobe(mem_request_strobe),
    .response_valid(mem_response_valid), .response_ready(mem_response_ready), .response_data(mem_response_data));
endmodule
`default_nettype wire
