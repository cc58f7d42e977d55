/* SPDX-License-Identifier: Apache-2.0 */
/* A QEMU plug-in that records what `trace.h` describes. With the argument `memory=off` accesses are not recorded,
 * which is several times faster. */
#include "qemu_plugin.h"
#include "trace.h"

/* Interface version: newer QEMU refuses 1, older ones 2; what is used here is the same in both. */
QEMU_PLUGIN_EXPORT int qemu_plugin_version = THIMBLE_PLUGIN_VERSION;

static uint64_t executed; /* instructions, counted when their block is entered */
static int memory = 1;

/* A mark within a block, and how many instructions of the block come from the mark on. */
typedef struct {
  const trace_mark_at *mark;
  uint64_t rest;
} marked;

static void on_block(unsigned cpu, void *data) {
  (void)cpu;
  executed += (uintptr_t)data;
}

static void on_mark(unsigned cpu, void *data) {
  const marked *at = data;
  (void)cpu;
  trace_mark(at->mark, executed - at->rest, 0, 0);
}

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
  (void)cpu;
  trace_access(address, 1u << qemu_plugin_mem_size_shift(info), qemu_plugin_mem_is_store(info), (uintptr_t)data,
               executed);
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  const size_t count = qemu_plugin_tb_n_insns(tb);
  (void)id;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)count);
  for (size_t i = 0; i < count; i++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
    const uint64_t pc = qemu_plugin_insn_vaddr(insn);
    const trace_mark_at *mark = trace_mark_of(pc);
    if (mark) {
      marked *at = malloc(sizeof(marked)); /* lives as long as the block: as long as the process */
      if (!at) {
        trace_fail("no memory");
      }
      at->mark = mark;
      at->rest = count - i;
      qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, QEMU_PLUGIN_CB_NO_REGS, at);
    }
    if (memory) {
      qemu_plugin_register_vcpu_mem_cb(insn, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
                                       (void *)(uintptr_t)pc);
    }
  }
}

static void on_exit_(qemu_plugin_id_t id, void *data) {
  (void)id;
  (void)data;
  trace_save();
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    memory = memory && strcmp(argv[i], "memory=off") != 0;
  }
  trace_load();
  qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
  qemu_plugin_register_atexit_cb(id, on_exit_, NULL);
  return 0;
}
