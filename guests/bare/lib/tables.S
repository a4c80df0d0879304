// SPDX-License-Identifier: Apache-2.0
// The processor's tables, complete in the image: GDT, IDT, one TSS per CPU, and page tables that map
// the low 4 GiB one to one, open to ring 3, in 2 MiB pages.
#include "machine.h"

#define PRESENT_WRITE_USER 7
#define LARGE_PAGE 0x80
#define IO_BITMAP_SIZE 8192

    .data
    .balign 16
    .global gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    // 0x08 ring-0 code, 32 bits
    .quad 0x00af9b000000ffff    // 0x10 ring-0 code, 64 bits
    .quad 0x00cf93000000ffff    // 0x18 ring-0 data
    .quad 0
    .quad 0x00cff3000000ffff    // 0x28 ring-3 data
    .quad 0x00affb000000ffff    // 0x30 ring-3 code, 64 bits
    .quad 0
    .set cpu, 0                 // 0x40 one 16-byte TSS descriptor for each CPU
    .rept MAX_CPUS
    .word io_bitmap_end - tss_array - cpu * TSS_STRIDE - 1
    .word tss_low + cpu * TSS_STRIDE
    .byte tss_middle, 0x89, 0, tss_high
    .quad 0
    .set cpu, cpu + 1
    .endr

gdt_pointer:
    .word GDT_SIZE - 1
    .long gdt

    .balign 8
    .global idt_pointer, null_idt_pointer
idt_pointer:
    .word 256 * 16 - 1
    .quad idt
null_idt_pointer:
    .word 0
    .quad 0

// The array is page-aligned and smaller than 64 KiB, so that tss_low + n never carries.
    .balign 4096
    .global tss_array
tss_array:
    .set cpu, 0
    .rept MAX_CPUS
    .long 0
    .quad cpu_blocks + (cpu + 1) * CPU_BLOCK_SIZE // rsp0
    .skip 90
    .word io_bitmap - tss_array - cpu * TSS_STRIDE
    .skip TSS_STRIDE - 104
    .set cpu, cpu + 1
    .endr
io_bitmap:
    .skip IO_BITMAP_SIZE        // all zero: ring 3 may use every port
    .byte 0xff                  // SDM vol. 1, 19.5.2: a last byte of ones
io_bitmap_end:

    .balign 4096
idt:
    .set vector, 0
    .rept 256
    .word trap_stubs_low + vector * 16
    .word KERNEL_CODE64
    .if vector == 3             // `int3` is the kernel call: ring 3 may use the gate
    .word 0xee00
    .else
    .word 0x8e00
    .endif
    .word trap_stubs_high
    .quad 0
    .set vector, vector + 1
    .endr

    .balign 4096
    .global page_map
page_map:
    .quad page_directory_pointers + PRESENT_WRITE_USER
    .skip 4096 - 8
page_directory_pointers:
    .set gigabyte, 0
    .rept 4
    .quad page_directories + gigabyte * 4096 + PRESENT_WRITE_USER
    .set gigabyte, gigabyte + 1
    .endr
    .skip 4096 - 4 * 8
page_directories:
    .set large_page, 0
    .rept 4 * 512
    .quad large_page * 0x200000 + LARGE_PAGE + PRESENT_WRITE_USER
    .set large_page, large_page + 1
    .endr

    .section .note.GNU-stack, "", @progbits
