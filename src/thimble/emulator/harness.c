/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a bundle: init once, then for each input of inputs.bin an inference whose outputs go to outputs.bin.
 *
 * inputs.bin: how many inferences (uint32_t), then for each the bytes of all inputs; those of one that is handed over
 * row by row come last.
 * outputs.bin: the stack pointer before the bundle is called (uint32_t), then for each inference all outputs; those of
 * one that is handed over row by row come first.
 */
#include "host.h"
#include "ports.h"

/* The emulator finds marks by their names, and counts from one to the next. They do nothing. */
#define MARK(name) __asm__ volatile(".globl thimble_mark_" #name "\nthimble_mark_" #name ": nop" ::: "memory")

#if defined(__AVR__)
#include <avr/io.h>
#define STACK_POINTER(value) ((value) = SP)
#elif defined(__arm__)
#define STACK_POINTER(value) __asm__ volatile("mov %0, sp" : "=r"(value))
#else
#define STACK_POINTER(value) __asm__ volatile("mv %0, sp" : "=r"(value))
#endif

/* What this function itself reads between marks (addresses that lie beside its code) is in a section of its own. */
__attribute__((section(".harness_main"))) int main(void);

int main(void) {
  MODEL_ARENA_POINTER arena = MODEL_ARENA;
  uint32_t stack, count = 0;
  STACK_POINTER(stack);
  host_open();
  host_read(&count, sizeof count);
  host_write(&stack, sizeof stack);
  MODEL_STARTUP();
  MARK(init);
  MODEL_INIT(arena);
  MARK(init_end);
  while (count--) {
    MODEL_READ_INPUTS(arena)
#if defined(MODEL_BEGIN) /* the inference stops for every row; what the harness does meanwhile is not a part of it */
    MARK(invoke);
    int event = MODEL_BEGIN(arena);
    MARK(invoke_end);
    while (event != MODEL_COMPLETE) {
      MODEL_HAND_OVER(arena, event)
      MARK(resume);
      event = MODEL_ROW_DONE(arena);
      MARK(resume_end);
    }
#else
    MARK(invoke);
    MODEL_INVOKE(arena);
    MARK(invoke_end);
#endif
    MODEL_WRITE_OUTPUTS(arena)
  }
  host_exit(0);
}
