/* SPDX-License-Identifier: Apache-2.0 */
/* What emulated code asks of the emulator: bytes of inputs.bin, a place in outputs.bin for bytes, and an end. */
#ifndef THIMBLE_HOST_H
#define THIMBLE_HOST_H

#include <stdint.h>

void host_open(void);
void host_read(void *to, uint32_t bytes);
void host_write(const void *from, uint32_t bytes);
_Noreturn void host_exit(int code);

/* A fault, reported as its kind, where it happened, and the address that was accessed if that is known. */
_Noreturn void host_fault(uint32_t kind, uint32_t pc, uint32_t address);

#endif
