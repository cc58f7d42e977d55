/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of RISC-V in machine mode. The emulator has filled .data and .bss already; errno lies behind `tp`. */
  .option arch, +zicsr
  .section .vectors, "ax"
  .globl thimble_start
thimble_start:
  la sp, thimble_stack_top
  la tp, __tls_base
  la t0, trap
  csrw mtvec, t0
  li t0, 0x2000 /* mstatus.FS: floating point on, where there is any */
  csrs mstatus, t0
  call main
  li a0, 6
  call host_exit
  .balign 4
trap:
  csrr a0, mcause
  csrr a1, mepc
  csrr a2, mtval
  call host_fault
