// Test bench of the core: main MEMORY WORDS SCRIPT LOG ENTRY. MEMORY is a binary image; SCRIPT has a hexadecimal word a line (0000tttt token,
// 0001tttt token after a clear, 0003tttt the same with argmax only, ffffffff end); LOG gets a line for each memory write (W), word
// of the logits stream (L) and token (T), as the Verilog test bench writes them.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "nanoflow_core.h"
#ifdef NANOFLOW_VENDOR_AC
#include <mc_scverify.h>
#else
#define CCS_MAIN(a, b) int main(a, b)
#define CCS_DESIGN(name) name
#define CCS_RETURN(value) return value
#endif

static FILE* log_file = 0;

void nanoflow_written(unsigned address, unsigned strobe, unsigned data) {
  std::fprintf(log_file, "W %x %x %x\n", address, strobe, data);
}

CCS_MAIN(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s MEMORY WORDS SCRIPT LOG ENTRY\n", argv[0]);
    CCS_RETURN(2);
  }
  const size_t words = std::strtoul(argv[2], 0, 10);
  std::vector<word_t> memory(words > (size_t)MEMORY_WORDS ? words : (size_t)MEMORY_WORDS);
  FILE* image = std::fopen(argv[1], "rb");
  FILE* script = std::fopen(argv[3], "r");
  log_file = std::fopen(argv[4], "w");
  if (!image || !script || !log_file) {
    std::fprintf(stderr, "%s: a file cannot be opened\n", argv[0]);
    CCS_RETURN(2);
  }
  int byte;
  for (size_t i = 0; (byte = std::fgetc(image)) != EOF && i < words * LANES; i++)
    memory[i / LANES].byte[i % LANES] = byte_t(byte);
  ac_channel<command_t> commands;
  ac_channel<logit_t> logits;
  ac_channel<status_t> status;
  unsigned line;
  while (std::fscanf(script, "%x", &line) == 1 && line != 0xffffffffu) {
    command_t command;
    command.token = line & 0xffff;
    command.clear = line >> 16 & 1;
    command.argmax_only = line >> 17 & 1;
    commands.write(command);
    CCS_DESIGN(nanoflow_core)(commands, logits, status, &memory[0], address_t((unsigned)std::strtoul(argv[5], 0, 10)));
    while (logits.available(1)) {
      logit_t logit = logits.read();
      std::fprintf(log_file, "L %x %x\n", logit.value.to_uint(), (unsigned)logit.last);
    }
    status_t state = status.read();
    std::fprintf(log_file, "T 0 %x %x %x\n", state.best.to_uint(), state.position.to_uint(), state.error ? 2u : 0u);
  }
  std::fclose(log_file);
  CCS_RETURN(0);
}
