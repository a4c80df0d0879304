// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu_boot.h"

#include <array>

#include "vmm/board/layout.h"
#include "vmm/cpu/segment.h"
#include "vmm/kvm/kvm.h"

namespace fmvm {

namespace {

// Segment descriptors as both protocols ask: flat code and data, index 2 = __BOOT_CS and
// 3 = __BOOT_DS (Linux boot.rst), a task segment for PVH.
enum GdtIndex : std::uint16_t { gdt_code = 2, gdt_data = 3, gdt_task = 4, gdt_entries = 5 };

constexpr std::uint64_t cr0_pe = 1U << 0;
constexpr std::uint64_t cr0_et = 1U << 4;
constexpr std::uint64_t cr0_pg = 1U << 31;
constexpr std::uint64_t cr4_pae = 1U << 5;
constexpr std::uint64_t efer_lme = 1U << 8;
constexpr std::uint64_t efer_lma = 1U << 10;

kvm_segment code_segment(bool long_mode) {
    return flat_segment(true, gdt_code * 8, long_mode);
}
kvm_segment data_segment() {
    return flat_segment(false, gdt_data * 8, false);
}

kvm_segment task_segment() {
    kvm_segment segment{};
    segment.limit = 0x67;
    segment.selector = gdt_task * 8;
    segment.type = 0xb;  // busy TSS
    segment.present = 1;
    return segment;
}

// Intel SDM 3A, figure 3-8.
std::uint64_t encode(const kvm_segment& segment) {
    const std::uint64_t limit = segment.g != 0 ? segment.limit >> 12 : segment.limit;
    return (limit & 0xffff) | (segment.base & 0xffffff) << 16 | std::uint64_t{segment.type} << 40 |
           std::uint64_t{segment.s} << 44 | std::uint64_t{segment.dpl} << 45 |
           std::uint64_t{segment.present} << 47 | (limit >> 16 & 0xf) << 48 |
           std::uint64_t{segment.l} << 53 | std::uint64_t{segment.db} << 54 |
           std::uint64_t{segment.g} << 55 | (segment.base >> 24 & 0xff) << 56;
}

Result<void> write_page_tables(GuestMemory& memory) {
    constexpr std::uint64_t present_writable = 0x3;
    constexpr std::uint64_t large_page = 0x80;
    constexpr std::uint64_t directories = 4;  // 1 GiB each
    const std::uint64_t base = layout::boot_page_tables.value();
    std::array<std::uint64_t, 512 * (2 + directories)> tables{};
    tables[0] = (base + page_size) | present_writable;
    for (std::uint64_t i = 0; i < directories; ++i) {
        tables[512 + i] = (base + (2 + i) * page_size) | present_writable;
    }
    for (std::uint64_t i = 0; i < 512 * directories; ++i) {
        tables[1024 + i] = i * 2 * mib | present_writable | large_page;
    }
    if (!memory.write_object(layout::boot_page_tables, tables)) {
        return Error("guest memory is too small for the boot page tables");
    }
    return {};
}

}  // namespace

Result<void> write_boot_tables(GuestMemory& memory, const BootEntry& entry) {
    const bool long_mode = entry.protocol == BootProtocol::linux64;
    const std::array<std::uint64_t, gdt_entries> gdt{
        0, 0, encode(code_segment(long_mode)), encode(data_segment()), encode(task_segment())};
    if (!memory.write_object(layout::boot_gdt, gdt)) {
        return Error("guest memory is too small for the boot descriptor table");
    }
    if (!long_mode) return {};
    return write_page_tables(memory);
}

Result<void> write_boot_registers(int vcpu_fd, const BootEntry& entry) {
    const bool long_mode = entry.protocol == BootProtocol::linux64;
    kvm_sregs sregs{};
    if (retry_ioctl(vcpu_fd, KVM_GET_SREGS, &sregs) != 0) {
        return errno_error(errno, "KVM_GET_SREGS failed");
    }
    sregs.cs = code_segment(long_mode);
    const kvm_segment data = data_segment();
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.tr = task_segment();
    sregs.gdt.base = layout::boot_gdt.value();
    sregs.gdt.limit = gdt_entries * 8 - 1;
    sregs.cr0 = cr0_pe | cr0_et;
    sregs.cr4 = 0;
    sregs.efer = 0;
    if (long_mode) {
        sregs.cr0 |= cr0_pg;
        sregs.cr4 |= cr4_pae;
        sregs.cr3 = layout::boot_page_tables.value();
        sregs.efer |= efer_lme | efer_lma;
    }
    if (retry_ioctl(vcpu_fd, KVM_SET_SREGS, &sregs) != 0) {
        return errno_error(errno, "KVM_SET_SREGS failed");
    }
    kvm_regs regs{};
    regs.rflags = 0x2;  // the always-one bit; interrupts off
    regs.rip = entry.entry.value();
    (long_mode ? regs.rsi : regs.rbx) = entry.info.value();
    if (retry_ioctl(vcpu_fd, KVM_SET_REGS, &regs) != 0) {
        return errno_error(errno, "KVM_SET_REGS failed");
    }
    return {};
}

}  // namespace fmvm
