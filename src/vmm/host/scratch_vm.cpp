// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/scratch_vm.h"

#include <sys/mman.h>

#include <algorithm>

#include "base/little_endian.h"
#include "vmm/cpu/cpuid.h"
#include "vmm/cpu/segment.h"
#include "vmm/emulation/emulation_assist.h"

namespace fmvm {

namespace {

// The guest-physical map of the scratch VM; the names are those of Intel SDM volume 3.
constexpr std::size_t memory_size = 0x10000;
constexpr std::uint64_t pml4 = 0x1000;
constexpr std::uint64_t pdpt = 0x2000;
constexpr std::uint64_t page_directory = 0x3000;
constexpr std::uint64_t gdt = 0x4000;
constexpr std::uint64_t idt = 0x5000;
constexpr std::uint64_t fault_handler = 0x6000;
constexpr std::uint64_t breakpoint_handler = 0x6010;
constexpr std::uint64_t stack_top = 0x8000;
constexpr std::uint64_t data = 0x9000;
constexpr std::uint64_t code_start = 0xa000;

constexpr std::uint16_t code_selector = 0x08;
constexpr std::uint16_t data_selector = 0x10;
constexpr unsigned exception_count = 32;
constexpr unsigned breakpoint_vector = 3;

constexpr std::uint64_t cr0_pe_et_ne = 0x31;
constexpr std::uint64_t cr0_pg = 1ULL << 31;
constexpr std::uint64_t cr4_pae = 1U << 5;
constexpr std::uint64_t cr4_osfxsr_osxmmexcpt = 3U << 9;
constexpr std::uint64_t efer_lme_lma = 0x500;
constexpr std::uint8_t opcode_hlt = 0xf4;
constexpr std::size_t instruction_size_max = 15;

}  // namespace

void ScratchVm::Unmap::operator()(std::uint8_t* bytes) const {
    ::munmap(bytes, size);
}

Result<ScratchVm::Mapping> ScratchVm::map(std::size_t size, int flags, int fd) {
    void* bytes = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (bytes == MAP_FAILED) return errno_error(errno, "cannot map the scratch VM");
    return Mapping(static_cast<std::uint8_t*>(bytes), Unmap{size});
}

Result<ScratchVm> ScratchVm::create(const Kvm& kvm) {
    ScratchVm scratch;
    scratch.memory_ = FMVM_TRY(map(memory_size, MAP_PRIVATE | MAP_ANONYMOUS, -1));
    scratch.vm_ = FMVM_TRY(kvm.create_vm());
    kvm_userspace_memory_region region{};
    region.memory_size = memory_size;
    region.userspace_addr = reinterpret_cast<std::uintptr_t>(scratch.memory_.get());
    if (retry_ioctl(scratch.vm_.get(), KVM_SET_USER_MEMORY_REGION, &region) != 0) {
        return errno_error(errno, "KVM_SET_USER_MEMORY_REGION failed for the scratch VM");
    }
    scratch.vcpu_ = UniqueFd(retry_ioctl(scratch.vm_.get(), KVM_CREATE_VCPU, 0UL));
    if (!scratch.vcpu_) return errno_error(errno, "KVM_CREATE_VCPU failed for the scratch VM");
    scratch.run_ = FMVM_TRY(map(kvm.vcpu_mmap_size(), MAP_SHARED, scratch.vcpu_.get()));
    scratch.write_tables();
    return scratch;
}

Result<void> ScratchVm::set_cpuid(std::span<const kvm_cpuid_entry2> entries) {
    return set_vcpu_cpuid(vcpu_.get(), entries);
}

template <typename T>
void ScratchVm::store(std::uint64_t address, T value) {
    store_le(std::span(memory_.get(), memory_size), address, value);
}

void ScratchVm::write_tables() {
    constexpr std::uint64_t present_writable = 3;
    constexpr std::uint64_t page_2mib = 0x80;
    store(pml4, pdpt | present_writable);
    store(pdpt, page_directory | present_writable);
    store(page_directory, page_2mib | present_writable);

    store(gdt + code_selector, std::uint64_t{0x00af9b000000ffff});
    store(gdt + data_selector, std::uint64_t{0x00cf93000000ffff});

    // 64-bit interrupt gates (SDM 6.14.1); only the low 16 bits of an offset are ever non-zero.
    for (unsigned vector = 0; vector < exception_count; ++vector) {
        const std::uint64_t handler =
            vector == breakpoint_vector ? breakpoint_handler : fault_handler;
        store(idt + std::uint64_t{vector} * 16,
              handler | (std::uint64_t{code_selector} << 16) | (0x8eULL << 40));
    }
    store(fault_handler, opcode_hlt);
    store(breakpoint_handler, std::uint16_t{0xcf48});  // iretq
}

Result<void> ScratchVm::reset_registers(Mode mode, std::uint64_t rcx) {
    const bool is_long = mode == Mode::long64;
    kvm_sregs sregs{};
    if (retry_ioctl(vcpu_.get(), KVM_GET_SREGS, &sregs) != 0) {
        return errno_error(errno, "KVM_GET_SREGS failed for the scratch VM");
    }
    sregs.cs = flat_segment(true, code_selector, is_long);
    sregs.ss = flat_segment(false, data_selector, false);
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
    sregs.tr = kvm_segment{};
    sregs.tr.type = 0xb;  // busy TSS: VMX refuses to enter without one
    sregs.tr.present = 1;
    sregs.tr.limit = 0x67;
    sregs.ldt = kvm_segment{};
    sregs.ldt.unusable = 1;
    sregs.gdt = kvm_dtable{.base = gdt, .limit = 0x17, .padding = {}};
    // The gates are 64-bit ones: in 32-bit mode an exception becomes a triple fault instead.
    sregs.idt = kvm_dtable{};
    if (is_long) sregs.idt = {.base = idt, .limit = exception_count * 16 - 1, .padding = {}};
    sregs.cr0 = cr0_pe_et_ne | (is_long ? cr0_pg : 0);
    sregs.cr3 = is_long ? pml4 : 0;
    sregs.cr4 = cr4_osfxsr_osxmmexcpt | (is_long ? cr4_pae | extra_cr4_ : 0);
    sregs.efer = is_long ? efer_lme_lma : 0;
    if (retry_ioctl(vcpu_.get(), KVM_SET_SREGS, &sregs) != 0) {
        return errno_error(errno, "KVM_SET_SREGS failed for the scratch VM");
    }
    kvm_regs regs{};
    regs.rax = 3;
    regs.rcx = rcx;
    regs.rdi = data;
    regs.rsp = stack_top;
    regs.rip = code_start;
    regs.rflags = 2;
    if (retry_ioctl(vcpu_.get(), KVM_SET_REGS, &regs) != 0) {
        return errno_error(errno, "KVM_SET_REGS failed for the scratch VM");
    }
    return {};
}

Result<ScratchVm::Outcome> ScratchVm::run(Mode mode, std::span<const std::uint8_t> code,
                                          std::uint64_t rcx) {
    FMVM_CHECK(code.size() <= code_size_max);
    std::uint8_t* const bytes = memory_.get();
    std::fill(bytes + data, bytes + code_start, std::uint8_t{0});
    std::ranges::copy(code, bytes + code_start);
    bytes[code_start + code.size()] = opcode_hlt;
    FMVM_TRY(reset_registers(mode, rcx));
    return enter_guest();
}

Result<ScratchVm::Outcome> ScratchVm::run_on_assisted() {
    KvmAssistCpu cpu(vcpu_.get(), nullptr);
    const std::span<const std::uint8_t> code(memory_.get() + code_start, instruction_size_max);
    if (!complete_instruction(code, cpu)) return Outcome::refused;
    return enter_guest();
}

Result<ScratchVm::Outcome> ScratchVm::enter_guest() {
    if (retry_ioctl(vcpu_.get(), KVM_RUN, 0UL) != 0) {
        return errno_error(errno, "KVM_RUN failed for the scratch VM");
    }
    return classify_exit();
}

Result<ScratchVm::Outcome> ScratchVm::classify_exit() const {
    switch (exit().exit_reason) {
        case KVM_EXIT_SHUTDOWN:
            return Outcome::faulted;
        case KVM_EXIT_INTERNAL_ERROR:
            if (exit().internal.suberror == KVM_INTERNAL_ERROR_EMULATION) return Outcome::refused;
            break;
        case KVM_EXIT_HLT: {
            kvm_regs regs{};
            if (retry_ioctl(vcpu_.get(), KVM_GET_REGS, &regs) != 0) {
                return errno_error(errno, "KVM_GET_REGS failed for the scratch VM");
            }
            return regs.rip < code_start ? Outcome::faulted : Outcome::completed;
        }
        default:
            break;
    }
    return make_error("the scratch VM ended with KVM exit reason {}", exit().exit_reason);
}

}  // namespace fmvm
