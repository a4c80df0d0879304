// SPDX-License-Identifier: Apache-2.0
// All that runs in ring 0 after the start: 256 stubs of 16 bytes, and behind them three things. An
// interrupt is counted in this CPU's block and acknowledged; `int3` is the kernel call; any other
// exception is noted and handed to ring 3 (fault_main), which reports it at native speed.
#include "machine.h"

#define CR4_OSXSAVE 0x40000

#define LAPIC_EOI 0xb0

    .text
    .balign 4096
    .global trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 3
    jmp kernel_call
    .elseif vector == SPURIOUS_VECTOR
    iretq
    .elseif vector >= FIRST_INTERRUPT
    push $vector
    jmp interrupt
    .elseif vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    push $vector                // the processor has pushed an error code
    jmp exception
    .else
    push $0
    push $vector
    jmp exception
    .endif
    .set vector, vector + 1
    .endr

interrupt:
    push %rax
    push %rcx
    mov 16(%rsp), %rcx
    mov %rsp, %rax
    and $-CPU_BLOCK_SIZE, %rax
    incq (%rax, %rcx, 8)
    mov $(LAPIC_BASE + LAPIC_EOI), %eax
    movl $0, (%rax)
    cmpq $halt_of_wait, 24(%rsp)    // the interrupted RIP
    jne 1f
    incq 24(%rsp)               // behind the halt
1:  pop %rcx
    pop %rax
    add $8, %rsp
    iretq

exception:                      // vector, error code, rip, cs, rflags, rsp, ss
    pop %rax
    mov %rax, fault_vector
    pop %rax
    mov %rax, fault_error
    mov %cr2, %rax
    mov %rax, fault_address
    mov (%rsp), %rax
    mov %rax, fault_rip
    mov 8(%rsp), %rax
    mov %rax, fault_cs
    push $USER_DATA
    push $(fault_stack_end - 8)
    push $(USER_FLAGS & ~FLAGS_IF) // no more interrupts
    push $USER_CODE64
    push $fault_main
    iretq

// eax = call, arguments in rdi, rsi, rdx; result in rax; rcx, rbx may change.
kernel_call:
    cmp $CALL_WAIT, %eax
    je call_wait
    cmp $CALL_WRITE_MSR, %eax
    je call_write_msr
    cmp $CALL_CPUID, %eax
    je call_cpuid
    cmp $CALL_TRIPLE_FAULT, %eax
    je call_triple_fault
    cmp $CALL_ENABLE_AVX, %eax
    je call_enable_avx
1:  hlt                         // CALL_HALT: interrupts are off here
    jmp 1b

// Halts unless the counter of vector rdi differs from rsi already; returns the counter. `sti` takes
// effect after `hlt` (SDM vol. 2, STI), so that no interrupt slips in between. QEMU's emulation of SVM
// forgets that when its host is interrupted there (it saves the VMCB's interrupt shadow and does not load
// it): an interrupt that slips in all the same ends the halt before it begins.
call_wait:
    mov %rsp, %rcx
    and $-CPU_BLOCK_SIZE, %rcx
    mov (%rcx, %rdi, 8), %rax
    cmp %rsi, %rax
    jne 1f
    sti
halt_of_wait:
    hlt
    cli
    mov (%rcx, %rdi, 8), %rax
1:  iretq

call_write_msr:                 // index edi, value rsi
    mov %edi, %ecx
    mov %rsi, %rdx
    shr $32, %rdx
    mov %esi, %eax
    wrmsr
    iretq

call_cpuid:                     // leaf edi, result to the four words at rsi
    mov %edi, %eax
    xor %ecx, %ecx
    cpuid
    mov %eax, (%rsi)
    mov %ebx, 4(%rsi)
    mov %ecx, 8(%rsi)
    mov %edx, 12(%rsi)
    iretq

call_enable_avx:                // on this CPU: XSAVE, and in XCR0 x87, SSE and AVX state
    mov %cr4, %rax
    or $CR4_OSXSAVE, %rax
    mov %rax, %cr4
    xor %ecx, %ecx
    xor %edx, %edx
    mov $7, %eax
    xsetbv
    iretq

call_triple_fault:
    lidt null_idt_pointer
    xor %ecx, %ecx
    div %ecx

    .bss
    .balign 16
    .global fault_vector, fault_error, fault_address, fault_rip, fault_cs
fault_vector:   .quad 0
fault_error:    .quad 0
fault_address:  .quad 0
fault_rip:      .quad 0
fault_cs:       .quad 0
    .balign 16
fault_stack:
    .skip 8192
fault_stack_end:

    .section .note.GNU-stack, "", @progbits
