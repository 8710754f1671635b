// The processor: fetches instructions from memory and carries them out with the multiply-accumulate lanes and one
// bit-serial scalar unit. It keeps no vectors: they live in memory. `stages/accel/ISA.md` describes the instruction set.
`default_nettype none
module nanoflow_core #(
  parameter LANES = 8,          // bytes of a memory word, int8 multipliers: 8 or 16
  parameter LANE_BITS = 3,      // log2(LANES)
  parameter ACC_BITS = 24,      // accumulator width
  parameter ADDRESS_BITS = 24,  // word addresses
  parameter COUNT_BITS = 10,    // words of the longest vector, less one
  parameter POSITION_BITS = 12
) (
  input  wire                    clk,
  input  wire                    rst,
  // control and status
  input  wire                    enable,
  input  wire                    clear,          // one cycle: position and error become 0
  input  wire                    argmax_only,
  input  wire [ADDRESS_BITS-1:0] program_base,
  output wire                    busy,
  output reg                     error,
  output reg [POSITION_BITS-1:0] position,
  output reg [15:0]              best,           // index of the largest logit of the last token
  // tokens in
  input  wire                    token_valid,
  output wire                    token_ready,
  input  wire [15:0]             token_data,
  // logits out
  output wire                    logit_valid,
  input  wire                    logit_ready,
  output wire [15:0]             logit_data,
  output wire                    logit_last,
  // memory: requests are answered in order; write data stands for every 16-bit part of the word
  output wire                    request_valid,
  input  wire                    request_ready,
  output wire                    request_write,
  output wire [ADDRESS_BITS-1:0] request_address,
  output wire [15:0]             request_data,
  output wire [LANES-1:0]        request_strobe,
  input  wire                    response_valid,
  output wire                    response_ready,
  input  wire [8*LANES-1:0]      response_data
);
  localparam HALF_BITS = LANE_BITS - 1;           // log2 of the int16 values in a word
  localparam SUM_BITS = ACC_BITS + 2;
  localparam GROUP_BITS = POSITION_BITS - LANE_BITS;

  localparam [3:0] CLEAR = 0, IDLE = 1, FETCH = 2, MAC = 3, ELEMENT = 4, PARAMETER = 5, MULTIPLY = 6, ADD = 7,
    SHIFT = 8, RESIDUAL = 9, ACCUMULATE = 10, SATURATE = 11, WRITE = 12, EMIT = 13, NEXT = 14, BEST = 15;
  localparam [1:0] LOOP_NONE = 0, LOOP_DRAIN = 1, LOOP_VECTOR = 2, LOOP_SCALAR = 3;
  localparam [2:0] OUT_NONE = 0, OUT_BYTE = 1, OUT_HALF = 2, OUT_COLUMN = 3, OUT_STREAM = 4;
  localparam [1:0] SECOND_STREAM = 1, SECOND_TABLE = 2;
  localparam [1:0] POINT_PROGRAM = 0, POINT_X = 1, POINT_Y = 2, POINT_W = 3;

  reg [3:0] state;
  reg       sent;                                 // the read of this state is accepted, its answer is awaited
  reg       second;                               // second stage of a two-stage element
  reg [LANE_BITS-1:0]  lane;                      // element within a group of LANES
  reg [COUNT_BITS-1:0] count;                     // groups or words left, less one
  reg [15:0] token;
  reg [15:0] row;                                 // logits sent so far

  // ---- instruction: the mode register and what is kept of the last instruction
  reg [1:0] mode_loop, mode_second, mode_reduce;
  reg [2:0] mode_out;
  reg       mode_mac, mode_weights, mode_hold, mode_fixed, mode_mask, mode_residual, mode_square, mode_count;
  reg [LANE_BITS-1:0] mode_lane, mode_last;
  reg       first, final_group, last_tile;
  reg       discard;                              // the next word is the parameter of a skipped instruction

  wire [31:0] low = response_data[31:0];
  wire [31:0] high = response_data[63:32];
  wire [GROUP_BITS-1:0] group = position[POSITION_BITS-1:LANE_BITS];
  wire [11:0] tile = low[29:18];
  wire [11:0] tile_now = {{(12-GROUP_BITS){1'b0}}, group};
  wire skip = tile > tile_now;

  // ---- pointers: one incrementer for all four
  reg [ADDRESS_BITS-1:0] program_pointer, x_pointer, y_pointer, w_pointer;
  reg [1:0] point;
  reg       advance;                              // the pointer moves on with this request
  wire [ADDRESS_BITS-1:0] pointer = point[1] ? (point[0] ? w_pointer : y_pointer)
                                             : (point[0] ? x_pointer : program_pointer);
  wire [ADDRESS_BITS-1:0] pointer_next = pointer + 1'b1;
  wire [16:0] position_wide = {{(17-POSITION_BITS){1'b0}}, position};
  wire [16:0] offset = low[5] ? (low[4] ? position_wide : {position_wide[15:0], 1'b0})
                              : (low[4] ? {token, 1'b0} : 17'd0);
  wire [ADDRESS_BITS-1:0] load_address = high[ADDRESS_BITS-1:0] | {{(ADDRESS_BITS-17){1'b0}}, offset};

  // ---- x word: activations (bytes) or elements (int16)
  reg [8*LANES-1:0] x_word;
  reg [LANE_BITS:0] asked, got;                   // of one activation word and its LANES weight words
  reg               asked_all;
  reg [3:0]         outstanding;
  wire [LANE_BITS-1:0] x_byte = got[LANE_BITS-1:0] - 1'b1;
  wire [HALF_BITS-1:0] out_half = lane[HALF_BITS-1:0] + mode_lane[HALF_BITS-1:0];
  wire [HALF_BITS-1:0] x_half = state == MAC ? x_byte[LANE_BITS-1:1] :
                                state == ACCUMULATE ? out_half : lane[HALF_BITS-1:0];
  wire [15:0] element = x_word[16*x_half +: 16];
  wire [7:0] activation = x_byte[0] ? element[15:8] : element[7:0];

  // ---- lanes
  wire take = response_valid && response_ready;
  wire take_weight = state == MAC && take && got != 0;
  wire signed [ACC_BITS-1:0] head;
  wire lane_shift = state == CLEAR || (state == NEXT && mode_loop == LOOP_DRAIN);
  nanoflow_mac #(.LANES(LANES), .ACC_BITS(ACC_BITS)) mac (
    .clk(clk), .shift(lane_shift), .activation(activation & {8{take_weight}}), .weights(response_data), .head(head));

  // ---- scalar unit: y = saturate((((a * m) >> 15) + b) >> s), one bit of m a cycle
  reg signed [SUM_BITS-1:0] sum;
  reg signed [23:0] total;                        // reduction over elements: sum or maximum
  reg [15:0] result;
  reg [3:0]  step;
  wire one_stage = mode_second == 0;
  wire last_stage = second || one_stage;
  wire signed [ACC_BITS-1:0] operand =
    second                   ? {{(ACC_BITS-24){result[15]}}, result, 8'd0} :
    mode_loop == LOOP_DRAIN  ? head :
    mode_loop == LOOP_VECTOR ? {{(ACC_BITS-24){element[15]}}, element, 8'd0} :
                               {{(ACC_BITS-24){total[23]}}, total};
  wire [15:0] multiplier = mode_square && !second ? element : low[15:0];
  wire multiply_now = state == MULTIPLY && multiplier[step];
  wire reduce_now = state == SATURATE;
  wire negate = state == MULTIPLY ? step == 4'd15 && multiplier[15] : reduce_now && mode_reduce[1];
  wire [SUM_BITS-1:0] addend =
    ({SUM_BITS{multiply_now}} & {{2{operand[ACC_BITS-1]}}, operand}) |
    ({SUM_BITS{state == ADD}} & {{(SUM_BITS-24){high[31]}}, high[31:8]}) |
    ({SUM_BITS{state == ACCUMULATE}} & {{(SUM_BITS-16){element[15]}}, element}) |
    ({SUM_BITS{reduce_now}} & {{(SUM_BITS-24){total[23]}}, total});
  // A maximum looks at sum - total - 1, so that an equal value does not replace the first.
  wire carry = negate && state == MULTIPLY;
  wire signed [SUM_BITS-1:0] added = sum + (addend ^ {SUM_BITS{negate}}) + {{(SUM_BITS-1){1'b0}}, carry};
  wire shift_sum = (state == MULTIPLY && step != 4'd15) || state == SHIFT;

  wire narrow = (mode_out == OUT_BYTE || mode_out == OUT_COLUMN) && last_stage;
  wire sign = sum[SUM_BITS-1];
  wire fits16 = sum[SUM_BITS-2:15] == {(SUM_BITS-16){sign}};
  wire fits8 = fits16 && sum[14:7] == {8{sign}};
  wire [15:0] saturated = narrow ? {{8{sign}}, fits8 ? sum[7:0] : {sign, {7{~sign}}}}
                                 : fits16 ? sum[15:0] : {sign, {15{~sign}}};
  wire masked = mode_mask && last_tile && lane > position[LANE_BITS-1:0];
  wire replace = mode_reduce[1] ? first || !added[SUM_BITS-1] : mode_reduce[0];

  // Index into a table: small values one by one, the others in steps of 64.
  wire coarse = result[14:9] != {6{result[15]}};
  wire [10:0] table_index = {result[15], coarse, coarse ? result[14:6] : result[8:0]};
  wire table_read = state == PARAMETER && second && mode_second == SECOND_TABLE;

  // ---- loops
  wire lane_end = &lane;
  wire loop_end = mode_loop == LOOP_SCALAR || (lane_end && (mode_loop == LOOP_DRAIN || count == 0));

  // ---- memory requests
  wire reading = ((state == FETCH || state == ELEMENT || state == PARAMETER || state == RESIDUAL) && !sent)
              || (state == MAC && !asked_all && outstanding != 4'd15);
  wire accepted = request_valid && request_ready;
  assign request_write = state == WRITE;
  assign request_valid = reading || request_write;
  assign request_address = table_read ? {w_pointer[ADDRESS_BITS-1:11], table_index} : pointer;
  assign request_data = {mode_out == OUT_HALF ? result[15:8] : result[7:0], result[7:0]};
  wire [LANE_BITS-1:0] byte_lane = mode_out == OUT_COLUMN ? position[LANE_BITS-1:0] : lane;
  genvar g;
  generate
    for (g = 0; g < LANES; g = g + 1) begin : strobe
      assign request_strobe[g] = mode_out == OUT_HALF ? out_half == g / 2 : byte_lane == g;
    end
  endgenerate
  // A parameter stays on the response channel until its last use, in ADD.
  assign response_ready = state == FETCH || state == MAC || state == ELEMENT || state == RESIDUAL || state == ADD;

  always @* begin
    point = POINT_PROGRAM;
    advance = 1'b1;
    case (state)
      MAC: point = asked == 0 ? POINT_X : mode_weights ? POINT_W : POINT_PROGRAM;
      ELEMENT: begin
        point = POINT_X;
        advance = &lane[HALF_BITS-1:0];
      end
      PARAMETER: begin
        if (mode_fixed && !second) point = POINT_W;
        advance = second ? mode_second == SECOND_STREAM : !mode_fixed && (!mode_hold || loop_end);
      end
      RESIDUAL: begin
        point = POINT_Y;
        advance = 1'b0;
      end
      WRITE: begin
        point = POINT_Y;
        advance = mode_out == OUT_BYTE ? lane_end : mode_out == OUT_HALF ? &out_half : 1'b1;
      end
      default: ;
    endcase
  end

  // ---- streams
  wire real_row = lane <= mode_last;
  assign token_ready = state == IDLE && enable && !error && !clear;
  assign logit_valid = (state == EMIT && real_row && !argmax_only) || state == BEST;
  assign logit_data = state == BEST ? best : result;
  assign logit_last = state == BEST || (final_group && lane == mode_last);
  assign busy = state != IDLE;
  wire emitted = !logit_valid || logit_ready;
  wire [3:0] after_scale = mode_residual ? RESIDUAL : SATURATE;
  wire [3:0] loop_start = mode_loop == LOOP_VECTOR ? ELEMENT : PARAMETER;

  always @(posedge clk) begin
    if (accepted && advance) case (point)
      POINT_X: x_pointer <= pointer_next;
      POINT_Y: y_pointer <= pointer_next;
      POINT_W: w_pointer <= pointer_next;
      default: program_pointer <= pointer_next;
    endcase
    if (take) sent <= 1'b0;
    else if (accepted && reading) sent <= 1'b1;
    if (take && (state == ELEMENT || state == RESIDUAL || (state == MAC && got == 0))) x_word <= response_data;
    sum <= state == PARAMETER ? {SUM_BITS{1'b0}} : shift_sum ? {added[SUM_BITS-1], added[SUM_BITS-1:1]} : added;
    if (state == MULTIPLY || state == SHIFT || state == CLEAR) step <= step + 1'b1;

    case (state)
      CLEAR: if (step == 4'd15) state <= IDLE;
      IDLE: begin
        lane <= 0;
        second <= 1'b0;
        asked <= 0;
        got <= 0;
        asked_all <= 1'b0;
        discard <= 1'b0;
        row <= 16'd0;
        token <= token_data;
        program_pointer <= program_base;
        if (clear) {error, position} <= 0;
        if (token_valid && token_ready) state <= FETCH;
      end
      FETCH: if (take && discard) begin
        discard <= 1'b0;
      end else if (take && low[0]) begin
        mode_loop <= low[5:4];
        {mode_fixed, mode_hold, mode_weights, mode_mac} <= low[11:8];
        mode_second <= low[13:12];
        mode_out <= low[16:14];
        mode_reduce <= low[18:17];
        {mode_count, mode_square, mode_residual, mode_mask} <= low[22:19];
        mode_lane <= low[23 +: LANE_BITS];
        mode_last <= low[27 +: LANE_BITS];
      end else if (take && skip) begin
        discard <= low[1] && mode_hold;
      end else if (take) begin
        case (low[3:2])
          POINT_X: x_pointer <= load_address;
          POINT_Y: y_pointer <= load_address;
          POINT_W: w_pointer <= load_address;
          default: ;
        endcase
        first <= low[7];
        final_group <= low[30];
        last_tile <= tile == tile_now;
        count <= mode_count ? {{(COUNT_BITS-GROUP_BITS){1'b0}}, group} : low[8 +: COUNT_BITS];
        if (low[31]) begin
          error <= 1'b1;
          state <= IDLE;
        end else if (low[6]) begin
          position <= position + 1'b1;
          state <= argmax_only ? BEST : IDLE;
        end else if (low[1]) begin
          state <= mode_mac ? MAC : loop_start;
        end
      end
      MAC: begin
        outstanding <= outstanding + {3'b0, accepted} - {3'b0, take};
        if (accepted) begin
          asked <= asked == LANES ? 0 : asked + 1'b1;
          if (asked == LANES) begin
            count <= count - 1'b1;
            asked_all <= count == 0;
          end
        end
        if (take) got <= got == LANES ? 0 : got + 1'b1;
        if (take && asked_all && outstanding == 4'd1) begin
          asked_all <= 1'b0;
          state <= mode_loop == LOOP_NONE ? FETCH : PARAMETER;
        end
      end
      ELEMENT: if (take) state <= PARAMETER;
      PARAMETER: if (sent && response_valid) state <= MULTIPLY;
      MULTIPLY: if (step == 4'd15) state <= ADD;
      ADD: begin
        step <= -high[3:0];
        state <= high[3:0] == 4'd0 ? after_scale : SHIFT;
      end
      SHIFT: if (step == 4'd15) state <= after_scale;
      RESIDUAL: if (take) state <= ACCUMULATE;
      ACCUMULATE: state <= SATURATE;
      SATURATE: begin
        result <= masked ? 16'h8000 : saturated;
        if (last_stage && !masked && real_row) begin
          first <= 1'b0;
          if (first || replace) total <= mode_reduce[1] || first ? sum[23:0] : added[23:0];
          if (replace) best <= row;
        end
        second <= !last_stage;
        state <= !last_stage ? PARAMETER : mode_out == OUT_NONE ? NEXT : mode_out == OUT_STREAM ? EMIT : WRITE;
      end
      WRITE: if (request_ready) state <= NEXT;
      EMIT: if (emitted) begin
        if (real_row) row <= row + 1'b1;
        state <= NEXT;
      end
      NEXT: begin
        lane <= loop_end ? 0 : lane + 1'b1;
        if (lane_end) count <= count - 1'b1;
        state <= loop_end ? FETCH : loop_start;
      end
      BEST: if (logit_ready) state <= IDLE;
      default: ;
    endcase

    if (rst) begin
      state <= CLEAR;
      step <= 4'd0;
      sent <= 1'b0;
      outstanding <= 4'd0;
      error <= 1'b0;
      position <= 0;
    end
  end
endmodule
`default_nettype wire
