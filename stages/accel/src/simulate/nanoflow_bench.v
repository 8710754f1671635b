// Test bench of @TOP@ for Verilator and Icarus. It only has a clock; everything else comes from files:
//   +memory=FILE   every word of memory, hexadecimal, one a line
//   +script=FILE   one hexadecimal word a line: 0000tttt token, 0001tttt token after a clear, 0003tttt the same with argmax
//                  only, ffffffff end
//   +log=FILE      what the accelerator did, a line each:
//                  W address strobe data   memory write       L data last   word of the logits stream
//                  T cycles best position status   end of a token        E reason   the bench gave up
//   +latency_min=N +latency_max=N   clock cycles from request to response, 1 to 200
//   +stall=N       each handshake is held back with probability N / 256
//   +limit=N       clock cycles after which a token is given up
`default_nettype none
module nanoflow_bench (
  input wire clk
);
  localparam LANES = @LANES@;
  localparam ADDRESS_BITS = @ADDRESS_BITS@;
  localparam WORDS = @WORDS@;
  localparam STEPS = @STEPS@;

  reg [8*LANES-1:0] memory [0:WORDS-1];
  reg [31:0] script [0:STEPS-1];
  reg [8*256-1:0] name;
  integer log, latency_min, latency_max, stall, limit;
  initial begin
    latency_min = 1;
    latency_max = 1;
    stall = 0;
    limit = 100000000;
    if ($value$plusargs("memory=%s", name)) $readmemh(name, memory);
    if ($value$plusargs("script=%s", name)) $readmemh(name, script);
    log = 0;
    if ($value$plusargs("log=%s", name)) log = $fopen(name, "w");
    if (!$value$plusargs("latency_min=%d", latency_min)) latency_min = 1;
    if (!$value$plusargs("latency_max=%d", latency_max)) latency_max = 1;
    if (!$value$plusargs("stall=%d", stall)) stall = 0;
    if (!$value$plusargs("limit=%d", limit)) limit = 100000000;
  end

  // ---- random numbers: one xorshift for all, other bits for other uses
  reg [31:0] random = 32'h2545F491;
  wire [31:0] random1 = random ^ (random << 13);
  wire [31:0] random2 = random1 ^ (random1 >> 17);
  wire [31:0] random3 = random2 ^ (random2 << 5);
  always @(posedge clk) random <= random3;
  wire go_request = random[7:0] >= stall;
  wire go_response = random[15:8] >= stall;
  wire go_token = random[23:16] >= stall;
  wire go_logit = random[31:24] >= stall;

  // ---- the accelerator
  reg rst = 1'b1;
  reg awvalid = 1'b0, wvalid = 1'b0, arvalid = 1'b0, token_valid = 1'b0;
  reg [4:0] axil_address = 5'd0;
  reg [31:0] axil_data = 32'd0;
  reg [15:0] token = 16'd0;
  wire awready, wready, bvalid, arready, rvalid, token_ready, logit_valid, logit_last;
  wire [1:0] bresp, rresp;
  wire [31:0] rdata;
  wire [15:0] logit, request_data;
  wire request_valid, request_write, response_ready;
  wire [ADDRESS_BITS-1:0] request_address;
  wire [LANES-1:0] request_strobe;
  reg request_ready = 1'b0, response_valid = 1'b0, logit_ready = 1'b0;
  reg [8*LANES-1:0] response_data = 0;
  @TOP@ dut (
    .clk(clk), .rst(rst),
    .s_axil_awvalid(awvalid), .s_axil_awready(awready), .s_axil_awaddr(axil_address),
    .s_axil_wvalid(wvalid), .s_axil_wready(wready), .s_axil_wdata(axil_data),
    .s_axil_bvalid(bvalid), .s_axil_bready(1'b1), .s_axil_bresp(bresp),
    .s_axil_arvalid(arvalid), .s_axil_arready(arready), .s_axil_araddr(axil_address),
    .s_axil_rvalid(rvalid), .s_axil_rready(1'b1), .s_axil_rdata(rdata), .s_axil_rresp(rresp),
    .s_axis_tvalid(token_valid), .s_axis_tready(token_ready), .s_axis_tdata(token),
    .m_axis_tvalid(logit_valid), .m_axis_tready(logit_ready), .m_axis_tdata(logit), .m_axis_tlast(logit_last),
    .mem_request_valid(request_valid), .mem_request_ready(request_ready), .mem_request_write(request_write),
    .mem_request_address(request_address), .mem_request_data(request_data), .mem_request_strobe(request_strobe),
    .mem_response_valid(response_valid), .mem_response_ready(response_ready), .mem_response_data(response_data)
    @EXTRA_PORTS@
  );

  // ---- memory: requests in order, each answered after a random time
  reg [8*LANES-1:0] queue_data [0:31];
  reg [31:0] queue_due [0:31];
  reg [4:0] put = 5'd0, get = 5'd0;
  reg [31:0] now = 32'd0;
  reg [31:0] due;
  integer i;
  wire [4:0] waiting = put - get;
  always @(posedge clk) begin
    now <= now + 1;
    request_ready <= go_request && waiting < 28;
    if (request_valid && request_ready) begin
      if (request_address >= WORDS) begin
        $fwrite(log, "E address %0h is outside the memory\n", request_address);
        $fclose(log);
        $finish;
      end else if (request_write) begin
        $fwrite(log, "W %0h %0h %0h\n", request_address, request_strobe, request_data);
        for (i = 0; i < LANES; i = i + 1)
          if (request_strobe[i]) memory[request_address][8*i +: 8] <= request_data[8*(i%2) +: 8];
      end else begin
        // The response register itself takes one cycle, so a due time of now + 1 is a latency of 1.
        due = now + latency_min + (latency_max > latency_min ? random % (latency_max - latency_min + 1) : 0);
        queue_data[put] <= memory[request_address];
        queue_due[put] <= due;
        put <= put + 1'b1;
      end
    end
    if (!response_valid || response_ready) begin
      if (latency_max <= 1 && stall == 0 && waiting == 0 && request_valid && request_ready && !request_write) begin
        response_valid <= 1'b1;
        response_data <= memory[request_address];
        get <= get + 1'b1;
      end else if (waiting != 0 && queue_due[get] <= now + 1 && go_response) begin
        response_valid <= 1'b1;
        response_data <= queue_data[get];
        get <= get + 1'b1;
      end else begin
        response_valid <= 1'b0;
        // Nobody may look at the data of an invalid word.
        response_data <= {LANES{random[7:0]}};
      end
    end
  end

  // ---- sequence: registers, then for each line of the script a token, its logits, the status registers
  localparam [3:0] RESET = 0, BASE = 1, CONTROL = 2, TOKEN = 3, LOGITS = 4, STATUS = 5, CYCLES = 6, LARGEST = 7, POSITION = 8,
    NEXT = 9;
  reg [3:0] phase = RESET;
  reg asked = 1'b0;
  reg [31:0] line = 32'd0;
  reg [31:0] started = 32'd0, cycles = 32'd0, best = 32'd0, status = 32'd0;
  wire [31:0] command = script[line];
  wire written = bvalid;
  wire logit_taken = logit_valid && logit_ready;

  task write_register(input [4:0] address, input [31:0] data, input [3:0] next);
    begin
      axil_address <= address;
      axil_data <= data;
      if (!asked) begin
        {awvalid, wvalid} <= 2'b11;
        asked <= 1'b1;
      end else begin
        if (awready) awvalid <= 1'b0;
        if (wready) wvalid <= 1'b0;
        if (written) begin
          asked <= 1'b0;
          phase <= next;
        end
      end
    end
  endtask

  task read_register(input [4:0] address);
    begin
      axil_address <= address;
      if (!asked) begin
        arvalid <= 1'b1;
        asked <= 1'b1;
      end else begin
        if (arready) arvalid <= 1'b0;
        if (rvalid) asked <= 1'b0;
      end
    end
  endtask

  always @(posedge clk) begin
    logit_ready <= go_logit;
    if (logit_taken) $fwrite(log, "L %0h %0h\n", logit, logit_last);
    if (phase != RESET && now - started > limit) begin
      $fwrite(log, "E no end of the token after %0d cycles\n", limit);
      $fclose(log);
      $finish;
    end
    case (phase)
      RESET: if (now == 20) begin
        rst <= 1'b0;
        phase <= BASE;
      end
      BASE: write_register(5'h08, 32'd@ENTRY@, NEXT);
      NEXT: begin
        started <= now;
        if (command == 32'hffffffff) begin
          $fclose(log);
          $finish;
        end else phase <= command[16] ? CONTROL : TOKEN;
      end
      CONTROL: write_register(5'h00, {29'd0, command[17], 2'b11}, TOKEN);
      TOKEN: begin
        token <= command[15:0];
        if (token_valid && token_ready) begin
          token_valid <= 1'b0;
          phase <= LOGITS;
        end else if (go_token) token_valid <= 1'b1;
      end
      LOGITS: if (logit_taken && logit_last) phase <= STATUS;
      STATUS: begin
        read_register(5'h04);
        if (rvalid) begin
          status <= rdata;
          if (!rdata[0]) phase <= CYCLES;
        end
      end
      CYCLES: begin
        read_register(5'h10);
        if (rvalid) begin
          cycles <= rdata;
          phase <= LARGEST;
        end
      end
      LARGEST: begin
        read_register(5'h18);
        if (rvalid) begin
          best <= rdata;
          phase <= POSITION;
        end
      end
      POSITION: begin
        read_register(5'h0c);
        if (rvalid) begin
          $fwrite(log, "T %0h %0h %0h %0h\n", cycles, best, rdata, status);
          line <= line + 1;
          phase <= NEXT;
        end
      end
      default: ;
    endcase
  end
endmodule
`default_nettype wire
