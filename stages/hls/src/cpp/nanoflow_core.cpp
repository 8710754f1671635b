// One token of the accelerator as a program in the synthesisable subset of C++.
#include "nanoflow_core.h"

enum loop_t { LOOP_NONE = 0, LOOP_DRAIN = 1, LOOP_VECTOR = 2, LOOP_SCALAR = 3 };
enum second_t { SECOND_NONE = 0, SECOND_STREAM = 1, SECOND_TABLE = 2 };
enum out_t { OUT_NONE = 0, OUT_BYTE = 1, OUT_HALF = 2, OUT_COLUMN = 3, OUT_STREAM = 4 };
enum reduce_t { REDUCE_NONE = 0, REDUCE_SUM = 1, REDUCE_MAXIMUM = 2 };

struct core_t {
  // mode register
  ac_int<2, false> loop, second, reduce;
  ac_int<3, false> out;
  ac_int<4, false> lane, last;
  bool mac, weights_at_w, hold, fixed, mask, residual, square, count_position;
  // what is kept of the last instruction
  bool first, last_tile, last_group;
  ac_int<COUNT_BITS, false> count;
  // registers
  address_t pc, x, y, w;
  sum_t accumulator[LANES];
  offset_t total;
  ac_int<16, false> row, best;
  position_t position;
};

// The lower eight bytes of a word: an instruction or a parameter.
static code_t code_at(const word_t memory[MEMORY_WORDS], address_t address) {
  code_t code = 0;
#pragma hls_unroll yes
  for (int i = 0; i < 8; i++) code.set_slc(8 * i, ac_int<8, false>(memory[address.to_uint()].byte[i]));
  return code;
}

static half_t half_at(const word_t memory[MEMORY_WORDS], address_t address, int half) {
  ac_int<16, false> value = 0;
  value.set_slc(0, ac_int<8, false>(memory[address.to_uint()].byte[2 * half]));
  value.set_slc(8, ac_int<8, false>(memory[address.to_uint()].byte[2 * half + 1]));
  return half_t(value);
}

static void store(word_t memory[MEMORY_WORDS], address_t address, ac_int<LANES, false> strobe, half_t value) {
#pragma hls_unroll yes
  for (int i = 0; i < LANES; i++)
    if (strobe[i]) memory[address.to_uint()].byte[i] = (i & 1) ? byte_t(value >> 8) : byte_t(value);
#ifndef __SYNTHESIS__
  nanoflow_written(address.to_uint(), strobe.to_uint(), ac_int<16, false>(value).to_uint());
#endif
}

static half_t saturate16(scaled_t value) {
  if (value > 32767) return half_t(32767);
  if (value < -32768) return half_t(-32768);
  return half_t(value);
}

static half_t saturate8(scaled_t value) {
  if (value > 127) return half_t(127);
  if (value < -128) return half_t(-128);
  return half_t(value);
}

// (((a * m) >> 15) + b) >> s
static scaled_t scale(sum_t a, half_t m, code_t parameter) {
  ac_int<ACC_BITS + 16, true> product = a * m;
  scaled_t sum = scaled_t(product >> 15);
  offset_t b = offset_t(parameter.slc<24>(40));
  sum = sum + b;
  return scaled_t(sum >> parameter.slc<4>(32).to_int());
}

static ac_int<11, false> table_index(half_t value) {
  ac_int<16, false> bits = ac_int<16, false>(value);
  bool coarse = value < -512 || value > 511;
  ac_int<11, false> index = 0;
  index.set_slc(0, coarse ? bits.slc<9>(6) : bits.slc<9>(0));
  index.set_slc(9, ac_int<1, false>(coarse));
  index.set_slc(10, bits.slc<1>(15));
  return index;
}

static void load_mode(core_t& core, code_t code) {
  core.loop = code.slc<2>(4);
  core.mac = code[8];
  core.weights_at_w = code[9];
  core.hold = code[10];
  core.fixed = code[11];
  core.second = code.slc<2>(12);
  core.out = code.slc<3>(14);
  core.reduce = code.slc<2>(17);
  core.mask = code[19];
  core.residual = code[20];
  core.square = code[21];
  core.count_position = code[22];
  core.lane = code.slc<4>(23);
  core.last = code.slc<4>(27);
}

// Multiplies count + 1 words at X with LANES times as many words of weights.
static void accumulate(core_t& core, const word_t memory[MEMORY_WORDS]) {
  ac_int<COUNT_BITS + 1, false> words = core.count + 1;
  for (int i = 0; i < words.to_int(); i++) {
    word_t activations = memory[core.x.to_uint()];
    core.x = core.x + 1;
#pragma hls_pipeline_init_interval 1
    for (int j = 0; j < LANES; j++) {
      address_t address = core.weights_at_w ? core.w : core.pc;
      word_t weights = memory[address.to_uint()];
      if (core.weights_at_w) core.w = core.w + 1;
      else core.pc = core.pc + 1;
#pragma hls_unroll yes
      for (int lane = 0; lane < LANES; lane++)
        core.accumulator[lane] = core.accumulator[lane] + activations.byte[j] * weights.byte[lane];
    }
  }
}

// One row or element: one or two requantisations, reduction, output.
static void element(core_t& core, word_t memory[MEMORY_WORDS], ac_channel<logit_t>& logits, bool argmax_only, int lane,
                    bool last, sum_t a) {
  address_t address = core.fixed ? core.w : core.pc;
  code_t parameter = code_at(memory, address);
  if (!core.fixed && (!core.hold || last)) core.pc = core.pc + 1;
  half_t multiplier = core.square ? half_t(a >> 8) : half_t(parameter.slc<16>(0));
  scaled_t sum = scale(a, multiplier, parameter);
  if (core.second != SECOND_NONE) {
    half_t result = saturate16(sum);
    code_t next;
    if (core.second == SECOND_STREAM) {
      next = code_at(memory, core.pc);
      core.pc = core.pc + 1;
    } else {
      address_t entry = core.w;
      entry.set_slc(0, table_index(result));
      next = code_at(memory, entry);
    }
    sum = scale(sum_t(result) << 8, half_t(next.slc<16>(0)), next);
  }
  int half = (lane + core.lane.to_int()) & (LANES / 2 - 1);
  if (core.residual) sum = sum + half_at(memory, core.y, half);
  int position_lane = core.position.slc<LANE_BITS>(0).to_int();
  bool masked = core.mask && core.last_tile && lane > position_lane;
  bool real = lane <= core.last.to_int();
  if (!masked && real) {
    bool replace = core.reduce == REDUCE_SUM || core.first || (core.reduce == REDUCE_MAXIMUM && sum > core.total);
    if (replace) {
      bool start = core.first || core.reduce == REDUCE_MAXIMUM;
      core.total = start ? offset_t(sum) : offset_t(core.total + sum);
      core.best = core.row;
    }
    core.first = false;
  }
  half_t value = masked ? half_t(-32768)
                 : core.out == OUT_BYTE || core.out == OUT_COLUMN ? saturate8(sum) : saturate16(sum);
  ac_int<LANES, false> strobe = 0;
  if (core.out == OUT_BYTE) strobe = ac_int<LANES, false>(1) << lane;
  else if (core.out == OUT_HALF) strobe = ac_int<LANES, false>(3) << (2 * half);
  else if (core.out == OUT_COLUMN) strobe = ac_int<LANES, false>(1) << position_lane;
  if (core.out == OUT_BYTE || core.out == OUT_COLUMN) {
    // A byte goes out on both halves of the 16 bits.
    ac_int<16, false> both = 0;
    both.set_slc(0, ac_int<8, false>(value));
    both.set_slc(8, ac_int<8, false>(value));
    value = half_t(both);
  }
  if (core.out == OUT_STREAM) {
    if (real) {
      logit_t logit;
      logit.value = ac_int<16, false>(value);
      logit.last = core.last_group && lane == core.last.to_int();
      if (!argmax_only) logits.write(logit);
      core.row = core.row + 1;
    }
  } else if (core.out != OUT_NONE) {
    store(memory, core.y, strobe, value);
    if (core.out == OUT_COLUMN || (core.out == OUT_BYTE && lane == LANES - 1) ||
        (core.out == OUT_HALF && half == LANES / 2 - 1))
      core.y = core.y + 1;
  }
}

static void execute(core_t& core, word_t memory[MEMORY_WORDS], ac_channel<logit_t>& logits, bool argmax_only) {
  if (core.mac) accumulate(core, memory);
  if (core.loop == LOOP_SCALAR) {
    element(core, memory, logits, argmax_only, 0, true, sum_t(core.total));
  } else if (core.loop == LOOP_DRAIN) {
    for (int lane = 0; lane < LANES; lane++)
      element(core, memory, logits, argmax_only, lane, lane == LANES - 1, core.accumulator[lane]);
#pragma hls_unroll yes
    for (int lane = 0; lane < LANES; lane++) core.accumulator[lane] = 0;
  } else if (core.loop == LOOP_VECTOR) {
    int groups = core.count.to_int() + 1;
    for (int group = 0; group < groups; group++) {
      for (int lane = 0; lane < LANES; lane++) {
        int half = lane & (LANES / 2 - 1);
        half_t x = half_at(memory, core.x, half);
        if (half == LANES / 2 - 1) core.x = core.x + 1;
        element(core, memory, logits, argmax_only, lane, group == groups - 1 && lane == LANES - 1, sum_t(x) << 8);
      }
    }
  }
}

#pragma hls_design top
void nanoflow_core(ac_channel<command_t>& commands, ac_channel<logit_t>& logits, ac_channel<status_t>& status,
                   word_t memory[MEMORY_WORDS], address_t program_base) {
  static core_t core;
  static bool error = false;
  command_t command = commands.read();
  if (command.clear) {
    core.position = 0;
    error = false;
  }
  core.pc = program_base;
  core.row = 0;
  bool discard = false;
  bool running = !error;
#pragma hls_unroll yes
  for (int lane = 0; lane < LANES; lane++) core.accumulator[lane] = 0;
  while (running) {
    code_t code = code_at(memory, core.pc);
    core.pc = core.pc + 1;
    int tile_now = core.position.to_int() >> LANE_BITS;
    int tile = code.slc<12>(18).to_int();
    if (discard) {
      discard = false;
    } else if (code[0]) {
      load_mode(core, code);
    } else if (tile > tile_now) {
      discard = code[1] && core.hold;
    } else {
      address_t address = address_t(code.slc<32>(32));
      ac_int<17, false> offset = 0;
      switch (code.slc<2>(4).to_int()) {
        case 1: offset = ac_int<17, false>(command.token) << 1; break;
        case 2: offset = ac_int<17, false>(core.position) << 1; break;
        case 3: offset = ac_int<17, false>(core.position); break;
        default: break;
      }
      address = address | address_t(offset);
      switch (code.slc<2>(2).to_int()) {
        case 1: core.x = address; break;
        case 2: core.y = address; break;
        case 3: core.w = address; break;
        default: break;
      }
      core.first = code[7];
      core.last_group = code[30];
      core.last_tile = tile == tile_now;
      if (core.count_position) core.count = tile_now;
      else core.count = code.slc<10>(8);
      if (code[31]) {
        error = true;
        running = false;
      } else if (code[6]) {
        core.position = core.position + 1;
        running = false;
      } else if (code[1]) {
        execute(core, memory, logits, command.argmax_only);
      }
    }
  }
  if (command.argmax_only && !error) {
    logit_t logit;
    logit.value = core.best;
    logit.last = true;
    logits.write(logit);
  }
  status_t state;
  state.best = core.best;
  state.position = core.position;
  state.error = error;
  status.write(state);
}
