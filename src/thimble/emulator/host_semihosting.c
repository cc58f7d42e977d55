/* SPDX-License-Identifier: Apache-2.0 */
/* host.h by semihosting: the emulator reads and writes files and the tensors' memory by itself.
 * Source: Semihosting for AArch32 and AArch64 (Arm), operations 0x01, 0x04, 0x05, 0x06, 0x20; RISC-V Semihosting. */
#include "host.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { READ_BINARY = 1, WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026, SHORT_FILE = 4 };

static uint32_t inputs, outputs;

static uint32_t semihosting(uint32_t operation, const void *argument) {
#if defined(__arm__)
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory", "cc");
  return r0;
#else
  register uint32_t a0 __asm__("a0") = operation;
  register const void *a1 __asm__("a1") = argument;
  __asm__ volatile(
      ".option push\n.option norvc\n.balign 16\nslli zero, zero, 0x1f\nebreak\nsrai zero, zero, 7\n.option pop"
      : "+r"(a0)
      : "r"(a1)
      : "memory");
  return a0;
#endif
}

static uint32_t open_file(const char *name, uint32_t length, uint32_t mode) {
  const uint32_t arguments[3] = {(uint32_t)name, mode, length};
  return semihosting(SYS_OPEN, arguments);
}

void host_open(void) {
  inputs = open_file("inputs.bin", 10, READ_BINARY);
  outputs = open_file("outputs.bin", 11, WRITE_BINARY);
}

/* The operation answers how many bytes are missing. */
static void transfer(uint32_t operation, uint32_t file, const void *memory, uint32_t bytes) {
  const uint32_t arguments[3] = {file, (uint32_t)memory, bytes};
  if (bytes && semihosting(operation, arguments)) {
    host_exit(SHORT_FILE);
  }
}

void host_read(void *to, uint32_t bytes) { transfer(SYS_READ, inputs, to, bytes); }

void host_write(const void *from, uint32_t bytes) { transfer(SYS_WRITE, outputs, from, bytes); }

_Noreturn void host_exit(int code) {
  const uint32_t arguments[2] = {APPLICATION_EXIT, (uint32_t)code};
  for (;;) {
    semihosting(SYS_EXIT_EXTENDED, arguments);
  }
}

/* " 0x" and eight digits; no array is initialised, which might call the C library. */
static void print_hex(uint32_t value) {
  char text[12];
  text[0] = ' ';
  text[1] = '0';
  text[2] = 'x';
  for (int i = 0; i < 8; i++) {
    text[3 + i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
  }
  text[11] = 0;
  semihosting(SYS_WRITE0, text);
}

_Noreturn void host_fault(uint32_t kind, uint32_t pc, uint32_t address) {
  semihosting(SYS_WRITE0, "fault");
  print_hex(kind);
  print_hex(pc);
  print_hex(address);
  semihosting(SYS_WRITE0, "\n");
  host_exit(5);
}
