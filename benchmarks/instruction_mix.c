/* SPDX-License-Identifier: Apache-2.0 */
/* A QEMU plug-in that counts how often each instruction is executed, per segment. trace.txt names the marks between
 * segments as in `trace.h` of the package; mix.txt gets one line `segment pc count` per instruction and segment. */
#include "qemu_plugin.h"
#include "trace.h"

enum { SEGMENTS = 512 };

QEMU_PLUGIN_EXPORT int qemu_plugin_version = THIMBLE_PLUGIN_VERSION;

typedef struct counted {
  struct counted *next;
  uint64_t pc;
  const trace_mark_at *mark;
  uint64_t times[SEGMENTS];
} counted;

static counted *all;

static void on_instruction(unsigned cpu, void *data) {
  counted *at = data;
  (void)cpu;
  if (at->mark) {
    trace.segment = at->mark->segment;
  } else {
    at->times[trace.segment]++;
  }
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    counted *at = calloc(1, sizeof *at);
    if (!at) {
      trace_fail("no memory");
    }
    at->pc = qemu_plugin_insn_vaddr(insn);
    at->mark = trace_mark_of(at->pc);
    at->next = all;
    all = at;
    qemu_plugin_register_vcpu_insn_exec_cb(insn, on_instruction, QEMU_PLUGIN_CB_NO_REGS, at);
  }
}

static void on_exit_(qemu_plugin_id_t id, void *data) {
  FILE *file = fopen("mix.txt", "w");
  (void)id;
  (void)data;
  if (!file) {
    trace_fail("no mix.txt");
  }
  for (const counted *at = all; at; at = at->next) {
    for (unsigned segment = 1; segment < SEGMENTS; segment++) {
      if (at->times[segment]) {
        fprintf(file, "%u %" PRIu64 " %" PRIu64 "\n", segment, at->pc, at->times[segment]);
      }
    }
  }
  fclose(file);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  (void)argc;
  (void)argv;
  trace_load();
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
  return 0;
}
