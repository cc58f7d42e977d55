/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of AVR; libgcc adds what fills .data and .bss between .init2 and .init9. */
#include <avr/io.h>
  .section .init0, "ax"
  .globl thimble_start
thimble_start:
  clr r1
  out _SFR_IO_ADDR(SREG), r1
  ldi r28, lo8(RAMEND)
  ldi r29, hi8(RAMEND)
  out _SFR_IO_ADDR(SPH), r29
  out _SFR_IO_ADDR(SPL), r28
  .section .init9, "ax"
  call main
  jmp thimble_start
