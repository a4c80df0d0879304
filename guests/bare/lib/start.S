// SPDX-License-Identifier: Apache-2.0
// From the PVH entry (32-bit protected mode, paging off, ebx = hvm_start_info) to ring 3. Everything in
// this file runs in ring 0, so it is as short as it can be: all tables are in the image (tables.S).
#include "machine.h"

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define MARKER_PORT 0x80

#define CR0_VALUE 0x80000033 /* PG NE ET MP PE */
#define CR4_VALUE 0x620      /* PAE OSFXSR OSXMMEXCPT */
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100

    .section .note.pvh, "a", @note
    .long 4, 4, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry

    .text
    .code32
    .global pvh_entry
pvh_entry:
    mov $1, %al
    out %al, $MARKER_PORT       // a VMM can time-stamp the first guest instructions
    mov %ebx, start_info
    mov $0xff, %al              // both 8259s masked: interrupts come through the APICs only
    out %al, $0x21
    out %al, $0xa1
    xor %esi, %esi

start_cpu:                      // esi = index of this CPU
    lgdt gdt_pointer
    mov $CR4_VALUE, %eax
    mov %eax, %cr4
    mov $page_map, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov $CR0_VALUE, %eax
    mov %eax, %cr0
    ljmp $KERNEL_CODE64, $long_mode

    .code64
long_mode:
    mov $KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    lidt idt_pointer
    mov %esi, %eax
    shl $4, %eax
    add $FIRST_TSS, %eax
    ltr %ax
    mov %esi, %edi              // first argument of user_main

    mov %esi, %eax
    inc %eax
    mov %eax, %ecx
    imul $CPU_BLOCK_SIZE, %eax, %eax
    lea cpu_blocks(%rax), %rsp
    imul $USER_STACK_SIZE, %ecx, %ecx
    lea user_stacks-8(%rcx), %rax // as if called: rsp + 8 is a multiple of 16
    push $USER_DATA
    push %rax
    push $USER_FLAGS
    push $USER_CODE64
    push $user_main
    iretq

// Application processors: real mode at TRAMPOLINE_ADDRESS, to which ring 3 has copied this.
    .code16
    .global ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl trampoline_gdt_pointer - ap_trampoline
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $KERNEL_CODE32, $ap_start
trampoline_gdt_pointer:
    .word GDT_SIZE - 1
    .long gdt
ap_trampoline_end:

    .code32
ap_start:
    mov $KERNEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $1, %esi
    lock xadd %esi, next_cpu_index
    cmp $MAX_CPUS, %esi
    jb start_cpu
1:  hlt
    jmp 1b

    .data
    .balign 8
    .global start_info
start_info:
    .quad 0
next_cpu_index:
    .long 1

    .bss
    .balign CPU_BLOCK_SIZE
    .global cpu_blocks
cpu_blocks:
    .skip MAX_CPUS * CPU_BLOCK_SIZE
user_stacks:
    .skip MAX_CPUS * USER_STACK_SIZE

    .section .note.GNU-stack, "", @progbits
