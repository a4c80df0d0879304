// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/vcpu_state.h"

#include <algorithm>
#include <cstring>

#include "vmm/cpu/cpu_comparison.h"
#include "vmm/cpu/cpuid.h"
#include "vmm/cpu/memory_msrs.h"
#include "vmm/kvm/msr.h"

namespace fmvm {

namespace {

constexpr std::uint64_t efer_long_mode_active = 1 << 10;

Result<void> get(int fd, unsigned long request, void* out, const char* name) {
    if (retry_ioctl(fd, request, out) < 0)
        return errno_error(errno, fmt::format("{} failed", name));
    return {};
}

template <typename T>
Result<void> set(int fd, unsigned long request, const T& value, const char* name) {
    T copy = value;
    return get(fd, request, &copy, name);
}

template <typename T>
bool same_bytes(const std::vector<T>& one, const std::vector<T>& other) {
    return one.size() == other.size() &&
           std::memcmp(one.data(), other.data(), one.size() * sizeof(T)) == 0;
}

// The TSC and its deadline are not among them: both are set later.
std::vector<kvm_msr_entry> without_tsc(const std::vector<kvm_msr_entry>& msrs) {
    std::vector<kvm_msr_entry> others;
    std::ranges::copy_if(msrs, std::back_inserter(others), [](const kvm_msr_entry& entry) {
        return entry.index != msr_tsc && entry.index != msr_tsc_deadline;
    });
    return others;
}

// Those that a trial writes: guest memory stays untouched.
std::vector<kvm_msr_entry> to_be_tried(const VcpuState& state, const VcpuState* held) {
    std::vector<kvm_msr_entry> msrs = without_tsc(state.msrs);
    std::erase_if(msrs, [&](const kvm_msr_entry& entry) {
        if (names_guest_memory(entry.index)) return true;
        if (held == nullptr) return false;
        const auto last = std::ranges::find(held->msrs, entry.index, &kvm_msr_entry::index);
        return last != held->msrs.end() && last->data == entry.data;
    });
    return msrs;
}

}  // namespace

void VcpuState::encode(ByteWriter& out) const {
    out.u32(static_cast<std::uint32_t>(cpuid.size()));
    for (const kvm_cpuid_entry2& entry : cpuid)
        out.abi_struct(entry);
    out.u32(tsc_khz);
    out.abi_struct(mp_state);
    out.abi_struct(regs);
    out.abi_struct(sregs);
    out.blob({reinterpret_cast<const std::uint8_t*>(xsave.data()), xsave.size() * 4});
    out.abi_struct(xcrs);
    out.abi_struct(debugregs);
    out.abi_struct(lapic);
    out.u32(static_cast<std::uint32_t>(msrs.size()));
    for (const kvm_msr_entry& entry : msrs) {
        out.u32(entry.index);
        out.u64(entry.data);
    }
    out.abi_struct(events);
}

VcpuState VcpuState::decode(ByteReader& in) {
    VcpuState state;
    state.cpuid.resize(in.count(sizeof(kvm_cpuid_entry2)));
    for (kvm_cpuid_entry2& entry : state.cpuid)
        entry = in.abi_struct<kvm_cpuid_entry2>();
    state.tsc_khz = in.u32();
    state.mp_state = in.abi_struct<kvm_mp_state>();
    state.regs = in.abi_struct<kvm_regs>();
    state.sregs = in.abi_struct<kvm_sregs>();
    const auto xsave = in.blob();
    if (xsave.size() % 4 != 0) in.fail();
    state.xsave.resize(xsave.size() / 4);
    std::ranges::copy(xsave, reinterpret_cast<std::uint8_t*>(state.xsave.data()));
    state.xcrs = in.abi_struct<kvm_xcrs>();
    state.debugregs = in.abi_struct<kvm_debugregs>();
    state.lapic = in.abi_struct<kvm_lapic_state>();
    state.msrs.resize(in.count(12));
    for (kvm_msr_entry& entry : state.msrs) {
        entry.index = in.u32();
        entry.data = in.u64();
    }
    state.events = in.abi_struct<kvm_vcpu_events>();
    return state;
}

// Sources: kvm_vcpu_ioctl_x86_set_vcpu_events() and kvm_is_valid_sregs() in arch/x86/kvm/x86.c.
void VcpuState::make_restorable() {
    // A vCPU that waits for its start-up interrupt may have a system management interrupt pending.
    // No guest of fmvm has code to serve one.
    if (mp_state.mp_state == KVM_MP_STATE_INIT_RECEIVED) events.smi.pending = 0;
    // Outside long mode the CPU ignores CS.L, which a guest may have loaded.
    if ((sregs.efer & efer_long_mode_active) == 0) sregs.cs.l = 0;
}

std::uint64_t VcpuState::msr(std::uint32_t index) const {
    const auto entry = std::ranges::find(msrs, index, &kvm_msr_entry::index);
    return entry == msrs.end() ? 0 : entry->data;
}

Result<VcpuStateAccess> VcpuStateAccess::create(const Kvm& kvm, const Vm& vm) {
    VcpuStateAccess access;
    access.supported_cpuid_ = FMVM_TRY(kvm.supported_cpuid());
    access.msr_indices_ = FMVM_TRY(kvm.msr_indices());
    access.has_xcrs_ = kvm.extension(KVM_CAP_XCRS) != 0;
    access.has_tsc_control_ = kvm.extension(KVM_CAP_TSC_CONTROL) != 0;
    // Larger than struct kvm_xsave once a guest may use AMX; only the VM knows.
    const int size =
        retry_ioctl(vm.fd(), KVM_CHECK_EXTENSION, static_cast<unsigned long>(KVM_CAP_XSAVE2));
    access.has_xsave2_ = size > 0;
    access.xsave_words_ =
        std::max(sizeof(kvm_xsave), static_cast<std::size_t>(std::max(size, 0))) / 4;
    return access;
}

// The order matters (as in Firecracker and QEMU, from the kernel's own dependencies): mp_state
// first, because reading it lets KVM accept a pending INIT or SIPI, which changes registers;
// vcpu_events last, because reading the others may change what is pending.
Result<VcpuState> VcpuStateAccess::save(int fd, std::vector<kvm_cpuid_entry2> cpuid) {
    VcpuState state;
    state.cpuid = std::move(cpuid);
    FMVM_TRY(get(fd, KVM_GET_MP_STATE, &state.mp_state, "KVM_GET_MP_STATE"));
    FMVM_TRY(get(fd, KVM_GET_REGS, &state.regs, "KVM_GET_REGS"));
    FMVM_TRY(get(fd, KVM_GET_SREGS, &state.sregs, "KVM_GET_SREGS"));
    state.xsave.resize(xsave_words_);
    FMVM_TRY(
        get(fd, has_xsave2_ ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, state.xsave.data(), "KVM_GET_XSAVE"));
    if (has_xcrs_) FMVM_TRY(get(fd, KVM_GET_XCRS, &state.xcrs, "KVM_GET_XCRS"));
    FMVM_TRY(get(fd, KVM_GET_DEBUGREGS, &state.debugregs, "KVM_GET_DEBUGREGS"));
    FMVM_TRY(get(fd, KVM_GET_LAPIC, &state.lapic, "KVM_GET_LAPIC"));
    state.tsc_khz = tsc_khz_;
    state.msrs = FMVM_TRY(save_msrs(fd));
    FMVM_TRY(get(fd, KVM_GET_VCPU_EVENTS, &state.events, "KVM_GET_VCPU_EVENTS"));
    state.make_restorable();
    return state;
}

// KVM reads MSRs in order and stops at the first that it lists but cannot read (those of features
// that this guest does not have); such are struck off the list.
Result<void> VcpuStateAccess::probe(int fd) {
    const int khz = retry_ioctl(fd, KVM_GET_TSC_KHZ, 0UL);
    tsc_khz_ = khz > 0 ? static_cast<std::uint32_t>(khz) : 0;
    std::vector<std::uint32_t> indices = msr_indices_;
    while (true) {
        MsrList list(indices.size());
        for (std::size_t i = 0; i < indices.size(); ++i)
            list.entries()[i].index = indices[i];
        const int read = retry_ioctl(fd, KVM_GET_MSRS, list.get());
        if (read < 0) return errno_error(errno, "KVM_GET_MSRS failed");
        if (static_cast<std::size_t>(read) == indices.size()) {
            msrs_ = std::move(list);
            return {};
        }
        indices.erase(indices.begin() + read);
    }
}

Result<std::vector<kvm_msr_entry>> VcpuStateAccess::save_msrs(int fd) {
    const auto entries = msrs_.entries();
    const int read = retry_ioctl(fd, KVM_GET_MSRS, msrs_.get());
    if (read < 0) return errno_error(errno, "KVM_GET_MSRS failed");
    const auto count = static_cast<std::size_t>(read);
    if (count != entries.size())
        return make_error("KVM can no longer read MSR {:#x}", entries[count].index);
    return std::vector<kvm_msr_entry>(entries.begin(), entries.end());
}

Result<void> VcpuStateAccess::check_host(int fd, const VcpuState& state) const {
    FMVM_TRY(check_cpu_features(state.cpuid, supported_cpuid_, "this host"));
    if (state.xsave.size() > xsave_words_) {
        return make_error("the guest has {} bytes of FPU state, this host's KVM takes {}",
                          state.xsave.size() * 4, xsave_words_ * 4);
    }
    const int khz = retry_ioctl(fd, KVM_GET_TSC_KHZ, 0UL);
    if (khz <= 0 || state.tsc_khz == 0) return {};
    // KVM's own tolerance for a clock that counts as the same: 250 parts per million.
    const std::uint64_t host_khz = static_cast<std::uint64_t>(khz);
    const std::uint64_t difference =
        host_khz > state.tsc_khz ? host_khz - state.tsc_khz : state.tsc_khz - host_khz;
    if (difference * 1'000'000 <= host_khz * 250) return {};
    if (has_tsc_control_ &&
        retry_ioctl(fd, KVM_SET_TSC_KHZ, static_cast<unsigned long>(state.tsc_khz)) == 0) {
        return {};
    }
    return make_error("the guest's TSC runs at {} kHz and this host, at {} kHz, cannot scale it",
                      state.tsc_khz, khz);
}

// CPUID first: it decides what else KVM takes.
Result<void> VcpuStateAccess::put_features(int fd, const VcpuState& state,
                                           const VcpuState* held) const {
    if (held != nullptr && same_bytes(state.cpuid, held->cpuid) && state.tsc_khz == held->tsc_khz &&
        state.xsave.size() == held->xsave.size()) {
        return {};
    }
    FMVM_TRY(check_host(fd, state));
    return set_vcpu_cpuid(fd, state.cpuid);
}

Result<void> VcpuStateAccess::put_fpu(int fd, const VcpuState& state, const VcpuState* held) const {
    if (held == nullptr || !same_bytes(state.xsave, held->xsave)) {
        std::vector<std::uint32_t> xsave = state.xsave;
        xsave.resize(xsave_words_);
        FMVM_TRY(get(fd, KVM_SET_XSAVE, xsave.data(), "KVM_SET_XSAVE"));
    }
    return has_xcrs_ ? set(fd, KVM_SET_XCRS, state.xcrs, "KVM_SET_XCRS") : Result<void>{};
}

// SREGS before LAPIC (it holds the APIC base), LAPIC before the MSRs (TSC_DEADLINE, later, needs
// its timer mode), vcpu_events last (everything before may set something pending).
Result<void> VcpuStateAccess::put(int fd, const VcpuState& state, const VcpuState* held,
                                  const std::vector<kvm_msr_entry>& msrs) const {
    FMVM_TRY(put_features(fd, state, held));
    FMVM_TRY(set(fd, KVM_SET_MP_STATE, state.mp_state, "KVM_SET_MP_STATE"));
    FMVM_TRY(set(fd, KVM_SET_REGS, state.regs, "KVM_SET_REGS"));
    FMVM_TRY(set(fd, KVM_SET_SREGS, state.sregs, "KVM_SET_SREGS"));
    FMVM_TRY(put_fpu(fd, state, held));
    FMVM_TRY(set(fd, KVM_SET_DEBUGREGS, state.debugregs, "KVM_SET_DEBUGREGS"));
    FMVM_TRY(set(fd, KVM_SET_LAPIC, state.lapic, "KVM_SET_LAPIC"));
    FMVM_TRY(put_msrs(fd, msrs));
    return set(fd, KVM_SET_VCPU_EVENTS, state.events, "KVM_SET_VCPU_EVENTS");
}

Result<void> VcpuStateAccess::restore(int fd, const VcpuState& state) const {
    FMVM_TRY(put(fd, state, nullptr, without_tsc(state.msrs)));
    // So that the guest's watchdogs forgive the pause. EINVAL: the guest has no kvmclock to be told
    // by.
    if (retry_ioctl(fd, KVM_KVMCLOCK_CTRL, 0UL) != 0 && errno != EINVAL)
        return errno_error(errno, "KVM_KVMCLOCK_CTRL failed");
    return {};
}

Result<void> VcpuStateAccess::start_timer(int fd, const VcpuState& state) const {
    const std::uint64_t deadline = state.msr(msr_tsc_deadline);
    return deadline == 0 ? Result<void>{} : set_msr(fd, msr_tsc_deadline, deadline);
}

Result<void> VcpuStateAccess::try_restore(int fd, const VcpuState& state,
                                          const VcpuState* held) const {
    kvm_lapic_state idle{};
    FMVM_TRY(get(fd, KVM_GET_LAPIC, &idle, "KVM_GET_LAPIC"));
    FMVM_TRY(put(fd, state, held, to_be_tried(state, held)));
    // The guest's own timer would fire here from now on.
    return set(fd, KVM_SET_LAPIC, idle, "KVM_SET_LAPIC");
}

Result<void> VcpuStateAccess::put_msrs(int fd, const std::vector<kvm_msr_entry>& msrs) const {
    std::size_t at = 0;
    while (at < msrs.size()) {
        MsrList list(msrs.size() - at);
        std::copy(msrs.begin() + static_cast<std::ptrdiff_t>(at), msrs.end(),
                  list.entries().begin());
        const int written = retry_ioctl(fd, KVM_SET_MSRS, list.get());
        if (written < 0) return errno_error(errno, "KVM_SET_MSRS failed");
        at += static_cast<std::size_t>(written);
        if (at == msrs.size()) break;
        // An MSR that cannot be written is no loss if it already holds the value, or if it is
        // unknown here and unused there.
        Result<std::uint64_t> held = get_msr(fd, msrs[at].index);
        if ((held.ok() ? *held : 0) != msrs[at].data) {
            return make_error("this host's KVM does not take {:#x} for MSR {:#x}", msrs[at].data,
                              msrs[at].index);
        }
        ++at;
    }
    return {};
}

}  // namespace fmvm
