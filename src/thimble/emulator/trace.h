/* SPDX-License-Identifier: Apache-2.0 */
/* What an emulated processor did between marks: instructions per segment, and accesses per window of memory.
 *
 * trace.txt says what to look for, one line each:
 *   window NAME LOW HIGH WRITABLE   addresses [LOW, HIGH) that may be read, and written if WRITABLE is 1
 *   mark PC SEGMENT                 from the instruction at PC on, this segment runs; segment 0 is not recorded
 * report.txt says what was found:
 *   segment SEGMENT INSTRUCTIONS CYCLES           in the order in which they ran, without the marks themselves
 *   words NAME READ WRITTEN                       of the segment before: words of a window, counted once for each
 *                                                 instruction that accesses a byte of them
 *   window NAME LOADS STORES READ WRITTEN (bytes touched) READ_LOW READ_HIGH WRITE_LOW WRITE_HIGH
 *   outside COUNT ADDRESS PC WRITE                of which the first is shown
 */
#ifndef THIMBLE_TRACE_H
#define THIMBLE_TRACE_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRACE_WINDOWS = 64, TRACE_READ = 1, TRACE_WRITTEN = 2 };

typedef struct {
  uint64_t low, high; /* addresses [low, high) */
} trace_range;

typedef struct {
  char name[32];
  trace_range range;
  int writable;
  uint8_t *touched;
  uint64_t loads, stores;
  uint64_t words[2]; /* read and written, in this segment */
  trace_range read, written;
} trace_window;

typedef struct {
  uint64_t pc;
  unsigned segment;
} trace_mark_at;

typedef struct {
  trace_window windows[TRACE_WINDOWS];
  int count, latest; /* the window of the latest access is tried first */
  trace_mark_at *marks;
  size_t mark_count;
  unsigned segment;
  uint64_t instructions, cycles; /* when the segment began */
  uint64_t pc, moment, word;     /* of the latest access */
  uint64_t outside, outside_address, outside_pc;
  int outside_write;
  FILE *report;
} trace_state;

static trace_state trace;

static void trace_fail(const char *what) {
  fprintf(stderr, "trace: %s\n", what);
  exit(3);
}

static void trace_add_window(FILE *file) {
  trace_window *w = &trace.windows[trace.count];
  if (trace.count == TRACE_WINDOWS ||
      fscanf(file, "%31s %" SCNi64 " %" SCNi64 " %d", w->name, (int64_t *)&w->range.low, (int64_t *)&w->range.high,
             &w->writable) != 4) {
    trace_fail("bad window");
  }
  w->touched = calloc(1, (size_t)(w->range.high - w->range.low) + 1);
  w->read.low = w->written.low = UINT64_MAX;
  if (!w->touched) {
    trace_fail("no memory");
  }
  trace.count++;
}

static void trace_add_mark(FILE *file) {
  trace_mark_at *mark;
  trace.marks = realloc(trace.marks, (trace.mark_count + 1) * sizeof(trace_mark_at));
  if (!trace.marks) {
    trace_fail("no memory");
  }
  mark = &trace.marks[trace.mark_count++];
  if (fscanf(file, "%" SCNi64 " %u", (int64_t *)&mark->pc, &mark->segment) != 2) {
    trace_fail("bad mark");
  }
}

static void trace_load(void) {
  char word[16];
  FILE *file = fopen("trace.txt", "r");
  trace.report = fopen("report.txt", "w");
  if (!file || !trace.report) {
    trace_fail("no trace.txt or report.txt");
  }
  while (fscanf(file, "%15s", word) == 1) {
    if (strcmp(word, "window") == 0) {
      trace_add_window(file);
    } else if (strcmp(word, "mark") == 0) {
      trace_add_mark(file);
    } else {
      trace_fail("bad word in trace.txt");
    }
  }
  fclose(file);
}

/* The mark at an address, or NULL. */
static const trace_mark_at *trace_mark_of(uint64_t pc) {
  for (size_t i = 0; i < trace.mark_count; i++) {
    if (trace.marks[i].pc == pc) {
      return &trace.marks[i];
    }
  }
  return NULL;
}

/* A mark is executed; the counts are those before it, and it takes one instruction and `own` cycles itself. */
static void trace_mark(const trace_mark_at *mark, uint64_t instructions, uint64_t cycles, uint64_t own) {
  if (trace.segment) {
    fprintf(trace.report, "segment %u %" PRIu64 " %" PRIu64 "\n", trace.segment, instructions - trace.instructions,
            cycles - trace.cycles);
  }
  for (int i = 0; i < trace.count; i++) {
    trace_window *w = &trace.windows[i];
    if (trace.segment && w->words[0] + w->words[1]) {
      fprintf(trace.report, "words %s %" PRIu64 " %" PRIu64 "\n", w->name, w->words[0], w->words[1]);
    }
    w->words[0] = w->words[1] = 0;
  }
  trace.segment = mark->segment;
  trace.instructions = instructions + 1;
  trace.cycles = cycles + own;
}

static void trace_extend(trace_range *range, uint64_t address, unsigned size) {
  if (address < range->low) {
    range->low = address;
  }
  if (address + size > range->high) {
    range->high = address + size;
  }
}

static int trace_within(const trace_window *w, uint64_t address, unsigned size, int write) {
  return address >= w->range.low && address + size <= w->range.high && (w->writable || !write);
}

/* How many words an access begins: a vector's elements are accesses of their own, which may lie in the same word. */
static unsigned trace_words(uint64_t address, unsigned size, uint64_t pc, uint64_t moment) {
  const uint64_t first = address / 4, last = (address + size - 1) / 4;
  const int same = trace.pc == pc && trace.moment == moment && trace.word == first;
  trace.pc = pc;
  trace.moment = moment;
  trace.word = last;
  return (unsigned)(last - first) + (same ? 0 : 1);
}

/* `moment` tells executions of the same instruction apart. */
static void trace_access(uint64_t address, unsigned size, int write, uint64_t pc, uint64_t moment) {
  if (!trace.segment) {
    return;
  }
  const unsigned words = trace_words(address, size, pc, moment);
  for (int i = 0; i < trace.count; i++) {
    const int index = (trace.latest + i) % trace.count;
    trace_window *w = &trace.windows[index];
    if (trace_within(w, address, size, write)) {
      trace.latest = index;
      *(write ? &w->stores : &w->loads) += 1;
      w->words[write ? 1 : 0] += words;
      trace_extend(write ? &w->written : &w->read, address, size);
      for (unsigned k = 0; k < size; k++) {
        w->touched[address - w->range.low + k] |= write ? TRACE_WRITTEN : TRACE_READ;
      }
      return;
    }
  }
  if (trace.outside++ == 0) {
    trace.outside_address = address;
    trace.outside_pc = pc;
    trace.outside_write = write;
  }
}

static void trace_print_window(const trace_window *w) {
  uint64_t read = 0, written = 0;
  for (uint64_t i = 0; i < w->range.high - w->range.low; i++) {
    read += w->touched[i] & TRACE_READ ? 1 : 0;
    written += w->touched[i] & TRACE_WRITTEN ? 1 : 0;
  }
  fprintf(trace.report, "window %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, w->name, w->loads, w->stores, read,
          written);
  fprintf(trace.report, " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", read ? w->read.low : 0, w->read.high,
          written ? w->written.low : 0, w->written.high);
}

static void trace_save(void) {
  for (int i = 0; i < trace.count; i++) {
    trace_print_window(&trace.windows[i]);
  }
  fprintf(trace.report, "outside %" PRIu64 " %" PRIu64 " %" PRIu64 " %d\n", trace.outside, trace.outside_address,
          trace.outside_pc, trace.outside_write);
  fclose(trace.report);
}

#endif
