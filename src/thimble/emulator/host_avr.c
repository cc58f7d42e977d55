/* SPDX-License-Identifier: Apache-2.0 */
/* host.h on AVR: avr_runner.c carries out the request when the instruction at `host_request_now` is reached. */
#include "host.h"

enum { REQUEST_READ = 1, REQUEST_WRITE = 2, REQUEST_EXIT = 3 };

volatile struct {
  uint8_t what;
  uint16_t address, bytes;
} host_request;

static __attribute__((noinline)) void request(uint8_t what, uint16_t address, uint16_t bytes) {
  host_request.what = what;
  host_request.address = address;
  host_request.bytes = bytes;
  __asm__ volatile(".globl host_request_now\nhost_request_now: nop" ::: "memory");
}

void host_open(void) {}

void host_read(void *to, uint32_t bytes) { request(REQUEST_READ, (uint16_t)to, (uint16_t)bytes); }

void host_write(const void *from, uint32_t bytes) { request(REQUEST_WRITE, (uint16_t)from, (uint16_t)bytes); }

_Noreturn void host_exit(int code) {
  for (;;) {
    request(REQUEST_EXIT, (uint16_t)code, 0);
  }
}
