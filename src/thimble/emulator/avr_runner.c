/* SPDX-License-Identifier: Apache-2.0 */
/* Runs flash.bin on simavr, one instruction at a time, and records what `trace.h` describes, in cycles too.
 *
 * usage: avr_runner MCU REQUEST_PC REQUEST_ADDRESS LIMIT     in the folder of flash.bin, inputs.bin, trace.txt
 *
 * REQUEST_PC and REQUEST_ADDRESS are `host_request_now` and `host_request` of host_avr.c; LIMIT ends endless loops.
 * Data addresses are shown as the linker has them, from 0x800000 on.
 */
#include <simavr/sim_avr.h>
#include <simavr/sim_core.h>

#include "trace.h"

enum { DATA = 0x800000, ADDRESS_BYTES = 3, X = 26, Y = 28, Z = 30, RAMPZ = 0x5B, SPL = 0x5D };
enum { REQUEST_READ = 1, REQUEST_WRITE = 2, REQUEST_EXIT = 3 };

typedef struct {
  avr_t *avr;
  FILE *inputs, *outputs;
  uint32_t request_pc, request_address;
} machine;

static unsigned pair(const avr_t *avr, unsigned at) { return avr->data[at] | (unsigned)avr->data[at + 1] << 8; }

static unsigned opcode_at(const avr_t *avr, uint32_t pc) {
  return avr->flash[pc] | (unsigned)avr->flash[pc + 1] << 8;
}

static void data_access(const avr_t *avr, unsigned address, unsigned size, int write) {
  trace_access(DATA + address, size, write, avr->pc, avr->cycle);
}

static void flash_access(const avr_t *avr, int far) {
  trace_access(pair(avr, Z) | (far ? (uint32_t)avr->data[RAMPZ] << 16 : 0), 1, 0, avr->pc, avr->cycle);
}

/* LD, ST, LDS, STS, LPM, ELPM, PUSH, POP: opcodes 1001 00sd dddd xxxx, where s is a store. */
static void trace_move(const avr_t *avr, unsigned opcode) {
  const int write = (opcode & 0x0200) != 0;
  switch (opcode & 15) {
    case 0x0: data_access(avr, opcode_at(avr, avr->pc + 2), 1, write); break;
    case 0x1: data_access(avr, pair(avr, Z), 1, write); break;
    case 0x2: data_access(avr, pair(avr, Z) - 1, 1, write); break;
    case 0x4: case 0x5: flash_access(avr, 0); break;
    case 0x6: case 0x7: flash_access(avr, 1); break;
    case 0x9: data_access(avr, pair(avr, Y), 1, write); break;
    case 0xA: data_access(avr, pair(avr, Y) - 1, 1, write); break;
    case 0xC: case 0xD: data_access(avr, pair(avr, X), 1, write); break;
    case 0xE: data_access(avr, pair(avr, X) - 1, 1, write); break;
    case 0xF: data_access(avr, pair(avr, SPL) + (write ? 0 : 1), 1, write); break;
    default: break;
  }
}

/* Accesses of the instruction that is about to run. Source: AVR Instruction Set Manual (DS40002198). */
static void trace_instruction(const avr_t *avr) {
  const unsigned opcode = opcode_at(avr, avr->pc);
  if ((opcode & 0xFC00) == 0x9000) {
    trace_move(avr, opcode);
  } else if ((opcode & 0xD000) == 0x8000) { /* LDD, STD: 10q0 qqsd dddd yqqq */
    const unsigned offset = (opcode & 7) | (opcode >> 7 & 0x18) | (opcode >> 8 & 0x20);
    data_access(avr, pair(avr, opcode & 8 ? Y : Z) + offset, 1, (opcode & 0x0200) != 0);
  } else if (opcode == 0x95C8 || opcode == 0x95D8) { /* LPM, ELPM to r0 */
    flash_access(avr, opcode == 0x95D8);
  } else if (opcode == 0x9508 || opcode == 0x9518) { /* RET, RETI */
    data_access(avr, pair(avr, SPL) + 1, ADDRESS_BYTES, 0);
  } else if ((opcode & 0xFE0E) == 0x940E || (opcode & 0xF000) == 0xD000 || (opcode & 0xFFEF) == 0x9509) {
    data_access(avr, pair(avr, SPL) - (ADDRESS_BYTES - 1), ADDRESS_BYTES, 1); /* CALL, RCALL, ICALL, EICALL */
  }
}

static int serve(machine *m) {
  const uint8_t *request = m->avr->data + m->request_address;
  const unsigned address = request[1] | (unsigned)request[2] << 8, bytes = request[3] | (unsigned)request[4] << 8;
  if (request[0] == REQUEST_EXIT) {
    return (int)address;
  }
  if (address + bytes > m->avr->ramend + 1u) {
    trace_fail("a request outside RAM");
  }
  if (request[0] == REQUEST_READ && fread(m->avr->data + address, 1, bytes, m->inputs) != bytes) {
    trace_fail("inputs.bin is too short");
  }
  if (request[0] == REQUEST_WRITE && fwrite(m->avr->data + address, 1, bytes, m->outputs) != bytes) {
    trace_fail("outputs.bin cannot be written");
  }
  return -1;
}

static void load_flash(avr_t *avr) {
  FILE *file = fopen("flash.bin", "rb");
  uint8_t *bytes = calloc(1, avr->flashend + 1u);
  if (!file || !bytes) {
    trace_fail("no flash.bin");
  }
  avr_loadcode(avr, bytes, (uint32_t)fread(bytes, 1, avr->flashend + 1u, file), 0);
  fclose(file);
  free(bytes);
}

/* For each byte of flash, whether a mark is there: asked before every instruction. */
static uint8_t *marked_bytes(const avr_t *avr) {
  uint8_t *marked = calloc(1, avr->flashend + 1u);
  for (size_t i = 0; marked && i < trace.mark_count; i++) {
    marked[trace.marks[i].pc & avr->flashend] = 1;
  }
  return marked ? marked : (trace_fail("no memory"), NULL);
}

static int run(machine *m, uint64_t limit) {
  avr_t *avr = m->avr;
  const uint8_t *marked = marked_bytes(avr); /* lives as long as the process */
  for (uint64_t instructions = 0; instructions < limit; instructions++) {
    if (marked[avr->pc]) {
      trace_mark(trace_mark_of(avr->pc), instructions, avr->cycle, 1);
    }
    if (avr->pc == m->request_pc) {
      const int code = serve(m);
      if (code >= 0) {
        return code;
      }
    }
    trace_instruction(avr);
    avr->run_cycle_count = 0; /* one instruction at a time */
    avr->pc = avr_run_one(avr);
    if (avr->state == cpu_Crashed || avr->state == cpu_Done) {
      printf("fault 0x%x 0x%x 0x0\n", avr->state, avr->pc);
      return 5;
    }
  }
  fprintf(stderr, "no end after %llu instructions\n", (unsigned long long)limit);
  return 7;
}

int main(int count, char **arguments) {
  machine m = {0};
  int code;
  if (count != 5 || !(m.avr = avr_make_mcu_by_name(arguments[1])) || avr_init(m.avr)) {
    trace_fail("no such microcontroller");
  }
  load_flash(m.avr);
  m.avr->state = cpu_Running;
  m.request_pc = (uint32_t)strtoul(arguments[2], NULL, 0);
  m.request_address = (uint32_t)strtoul(arguments[3], NULL, 0) - DATA;
  m.inputs = fopen("inputs.bin", "rb");
  m.outputs = fopen("outputs.bin", "wb");
  if (!m.inputs || !m.outputs) {
    trace_fail("no inputs.bin or outputs.bin");
  }
  trace_load();
  code = run(&m, strtoull(arguments[4], NULL, 0));
  trace_save();
  fclose(m.outputs);
  return code;
}
