// SPDX-License-Identifier: Apache-2.0
// Constants shared by the assembly and the C++ of the bare guests. Preprocessor only: the assembler
// reads it too.
#pragma once

#define MAX_CPUS 16

// Selectors. Ring 3 has the values that Linux uses: a KVM that runs ring 3 natively beside an
// emulated ring 0 is happiest with those.
#define KERNEL_CODE32 0x08
#define KERNEL_CODE64 0x10
#define KERNEL_DATA 0x18
#define USER_DATA 0x2b
#define USER_CODE64 0x33
#define FIRST_TSS 0x40
#define GDT_SIZE (FIRST_TSS + MAX_CPUS * 16)

// What ring 3 runs with. IOPL 3 and the TSS's bitmap both let it use ports, because neither does
// everywhere: a KVM that runs ring 3 natively drops IOPL, and QEMU's software emulation takes a TSS
// for invalid whose cached descriptor says busy, as KVM's always does once state was restored.
#define FLAGS_IOPL_3 0x3000
#define FLAGS_RESERVED_1 0x2
#define FLAGS_IF 0x200
#define USER_FLAGS (FLAGS_RESERVED_1 | FLAGS_IF | FLAGS_IOPL_3)

// TSSes stand at this distance, before the one I/O bitmap that they share.
#define TSS_STRIDE 128

// Each CPU's block: interrupt counters at the bottom, the ring-0 stack growing down from the top.
#define CPU_BLOCK_SIZE 4096
#define USER_STACK_SIZE 32768

// Kernel calls: `int3` with the number in eax.
#define CALL_WAIT 0
#define CALL_WRITE_MSR 1
#define CALL_CPUID 2
#define CALL_TRIPLE_FAULT 3
#define CALL_HALT 4
#define CALL_ENABLE_AVX 5

// Vectors from here on are interrupts: counted and acknowledged at the local APIC.
#define FIRST_INTERRUPT 32
#define SPURIOUS_VECTOR 255
#define LAPIC_BASE 0xfee00000

// Where application processors start (real mode); the SIPI vector is this page's number.
#define TRAMPOLINE_ADDRESS 0x8000
