// The accelerator core for high-level synthesis: same instruction set and same results as the Verilog, described in ISA.md.
#ifndef NANOFLOW_CORE_H
#define NANOFLOW_CORE_H

// The vendor's headers where they are installed, else the small subset that lies beside this file.
#if defined(__has_include)
#if __has_include(<ac_int.h>) && __has_include(<ac_channel.h>)
#define NANOFLOW_VENDOR_AC 1
#endif
#endif
#ifdef NANOFLOW_VENDOR_AC
#include <ac_channel.h>
#include <ac_int.h>
#else
#include "nanoflow_ac.h"
#endif

static const int LANES = @LANES@;           // bytes of a memory word, int8 multipliers
static const int LANE_BITS = @LANE_BITS@;
static const int ACC_BITS = @ACC_BITS@;
static const int ADDRESS_BITS = @ADDRESS_BITS@;
static const int COUNT_BITS = @COUNT_BITS@;
static const int POSITION_BITS = @POSITION_BITS@;
static const int MEMORY_WORDS = 1 << 20;    // words of the interface's memory in synthesis

typedef ac_int<8, true> byte_t;
typedef ac_int<16, true> half_t;
typedef ac_int<24, true> offset_t;
typedef ac_int<ACC_BITS, true> sum_t;       // accumulators and operands
typedef ac_int<ACC_BITS + 2, true> scaled_t;
typedef ac_int<ADDRESS_BITS, false> address_t;
typedef ac_int<POSITION_BITS, false> position_t;
typedef ac_int<64, false> code_t;           // instruction or parameter

struct word_t {
  byte_t byte[LANES];
};

struct command_t {
  ac_int<16, false> token;
  bool clear;                               // start an empty context first
  bool argmax_only;
};

struct logit_t {
  ac_int<16, false> value;
  bool last;
};

struct status_t {
  ac_int<16, false> best;
  position_t position;
  bool error;
};

// Takes one command, carries out the program for it, gives its logits and status.
void nanoflow_core(ac_channel<command_t>& commands, ac_channel<logit_t>& logits, ac_channel<status_t>& status,
                   word_t memory[MEMORY_WORDS], address_t program_base);

#ifndef __SYNTHESIS__
// Called for every memory write; the test bench compares them one by one.
void nanoflow_written(unsigned address, unsigned strobe, unsigned data);
#endif

#endif
