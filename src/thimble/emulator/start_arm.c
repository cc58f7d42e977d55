/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of Cortex-M. The emulator has filled .data and .bss already. Faults are reported with where they happened. */
#include "host.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SHCSR REGISTER(0xE000ED24u) /* which faults have handlers of their own */
#define CFSR REGISTER(0xE000ED28u)  /* what happened, and whether the next two hold the address */
#define MMFAR REGISTER(0xE000ED34u)
#define BFAR REGISTER(0xE000ED38u)
#define CPACR REGISTER(0xE000ED88u) /* floating point and Helium on */

extern void thimble_stack_top(void); /* an address of the linker script, in a table of functions' addresses */
int main(void);
_Noreturn void thimble_start(void);
_Noreturn void thimble_fault(const uint32_t *frame, uint32_t number);

_Noreturn void thimble_fault(const uint32_t *frame, uint32_t number) {
  uint32_t address = 0;
#if __ARM_ARCH >= 7
  if (CFSR & 1u << 7) {
    address = MMFAR;
  } else if (CFSR & 1u << 15) {
    address = BFAR;
  }
#endif
  host_fault(number, frame[6], address);
}

static __attribute__((naked)) void fault_entry(void) {
  __asm__ volatile("mov r0, sp\n mrs r1, ipsr\n ldr r2, =thimble_fault\n bx r2\n .ltorg");
}

_Noreturn void thimble_start(void) {
#if __ARM_ARCH >= 7
  SHCSR |= 7u << 16;
  CPACR |= 0xFu << 20;
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
#if defined(__ARM_FEATURE_MVE)
  /* FPSCR.LTPSIZE = 4: no tail predication until a loop asks for it. Source: Armv8-M ARM, D1.2.81. */
  __asm__ volatile("vmrs r0, fpscr\n bic r0, r0, #0x70000\n orr r0, r0, #0x40000\n vmsr fpscr, r0" ::: "r0");
#endif
  main();
  host_exit(6);
}

typedef void (*vector)(void);
extern const vector thimble_vectors[16];
__attribute__((section(".vectors"), used)) const vector thimble_vectors[16] = {
    thimble_stack_top, (vector)thimble_start, fault_entry, fault_entry, fault_entry, fault_entry,
    fault_entry, fault_entry, 0, 0, 0, fault_entry, fault_entry, 0, fault_entry, fault_entry};
