// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/guest_clock.h"

#include <algorithm>
#include <ctime>

#include "base/units.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/msr.h"

namespace fmvm {

namespace {

// Clocks as of one moment.
struct Reading {
    std::uint64_t kvmclock_ns = 0;
    bool stable = false;  // the host's TSC, and the vCPUs' offsets are the same
    std::uint64_t tsc = 0;
    std::uint64_t offset = 0;  // of the TSC, where KVM tells it
};

Result<kvm_clock_data> read_kvmclock(const Vm& vm) {
    kvm_clock_data clock{};
    if (retry_ioctl(vm.fd(), KVM_GET_CLOCK, &clock) != 0)
        return errno_error(errno, "KVM_GET_CLOCK failed");
    return clock;
}

kvm_device_attr offset_attribute(std::uint64_t& offset) {
    kvm_device_attr attribute{};
    attribute.group = KVM_VCPU_TSC_CTRL;
    attribute.attr = KVM_VCPU_TSC_OFFSET;
    attribute.addr = reinterpret_cast<std::uint64_t>(&offset);
    return attribute;
}

// TSC and offset between two looks at kvmclock; again when somebody else had the CPU in between.
// (Where the host's TSC is unstable, each ioctl sets the offset anew: kvm_arch_vcpu_load.)
Result<Reading> read_clocks(const Vm& vm, int vcpu_fd) {
    constexpr int tries_max = 4;
    constexpr std::uint64_t close_ns = 20'000;
    Reading best;
    std::uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < tries_max && best_ns > close_ns; ++i) {
        Reading reading;
        kvm_device_attr attribute = offset_attribute(reading.offset);
        const kvm_clock_data before = FMVM_TRY(read_kvmclock(vm));
        static_cast<void>(retry_ioctl(vcpu_fd, KVM_GET_DEVICE_ATTR, &attribute));
        reading.tsc = FMVM_TRY(get_msr(vcpu_fd, msr_tsc));
        const kvm_clock_data after = FMVM_TRY(read_kvmclock(vm));
        const std::uint64_t between = after.clock > before.clock ? after.clock - before.clock : 0;
        if (between >= best_ns) continue;
        best_ns = between;
        reading.kvmclock_ns = before.clock + between / 2;
        reading.stable = (after.flags & KVM_CLOCK_TSC_STABLE) != 0;
        best = reading;
    }
    return best;
}

// What the first vCPU's TSC should be when kvmclock says `kvmclock_ns`.
class TscLine {
  public:
    TscLine(std::uint64_t kvmclock_ns, std::uint64_t tsc, int vcpu_fd)
        : kvmclock_ns_(kvmclock_ns), tsc_(tsc) {
        const int khz = retry_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0UL);
        khz_ = khz > 0 ? static_cast<std::uint64_t>(khz) : 0;
    }

    std::uint64_t at(std::uint64_t kvmclock_ns) const {
        const std::uint64_t passed = kvmclock_ns > kvmclock_ns_ ? kvmclock_ns - kvmclock_ns_ : 0;
        return tsc_ + passed / 1'000'000 * khz_ + passed % 1'000'000 * khz_ / 1'000'000;
    }
    double seconds(std::uint64_t cycles) const {
        const auto sign = static_cast<double>(static_cast<std::int64_t>(cycles));
        return khz_ == 0 ? 0 : sign / (static_cast<double>(khz_) * 1e3);
    }

  private:
    const std::uint64_t kvmclock_ns_, tsc_;
    std::uint64_t khz_;  // 0: this KVM does not tell; then the TSC goes on where it was
};

// How far a vCPU's TSC is ahead of the first one's.
std::uint64_t apart(const VcpuTsc& vcpu, std::span<const VcpuTsc> vcpus) {
    return vcpu.adjust - vcpus.front().adjust;
}

// One offset for all, so that what error there is is the same for each.
Result<void> set_offsets(const TscLine& line, const Vm& vm, std::span<const VcpuTsc> vcpus) {
    const Reading now = FMVM_TRY(read_clocks(vm, vcpus.front().vcpu_fd));
    const std::uint64_t first = now.offset + line.at(now.kvmclock_ns) - now.tsc;
    for (const VcpuTsc& vcpu : vcpus) {
        std::uint64_t offset = first + apart(vcpu, vcpus);
        kvm_device_attr attribute = offset_attribute(offset);
        if (retry_ioctl(vcpu.vcpu_fd, KVM_SET_DEVICE_ATTR, &attribute) != 0)
            return errno_error(errno, "KVM_VCPU_TSC_OFFSET cannot be set");
    }
    return {};
}

// Far from what KVM expects, so that it does not take the next write for an attempt to synchronise.
// The vCPUs behind the first are within a second of it, and are synchronised with it; those that
// their guest has put further apart are not.
Result<void> set_msrs(const TscLine& line, const Vm& vm, std::span<const VcpuTsc> vcpus) {
    constexpr std::uint64_t far = std::uint64_t{1} << 62;
    const kvm_clock_data start = FMVM_TRY(read_kvmclock(vm));
    FMVM_TRY(set_msr(vcpus.front().vcpu_fd, msr_tsc, line.at(start.clock) ^ far));
    for (const VcpuTsc& vcpu : vcpus) {
        const kvm_clock_data now = FMVM_TRY(read_kvmclock(vm));
        FMVM_TRY(set_msr(vcpu.vcpu_fd, msr_tsc, line.at(now.clock) + apart(vcpu, vcpus)));
    }
    return {};
}

}  // namespace

void ClockState::encode(ByteWriter& out) const {
    out.u64(kvmclock_ns);
    out.u64(realtime_ns);
    out.u64(tsc);
}

ClockState ClockState::decode(ByteReader& in) {
    ClockState state;
    state.kvmclock_ns = in.u64();
    state.realtime_ns = in.u64();
    state.tsc = in.u64();
    return state;
}

Result<TscBase> first_tsc_base(const Vm& vm) {
    return TscBase{FMVM_TRY(read_kvmclock(vm)).clock, 0, 0};
}

// Where the host's TSC is unstable, KVM shows each vCPU's as of when it last ran
// (kvm_arch_vcpu_load), and catches up when it runs again: the TSC is what it should be by now, and
// nothing that any vCPU has seen is more than that.
Result<ClockState> save_clocks(const Vm& vm, std::span<const VcpuTsc> vcpus, const TscBase& base) {
    const int first = vcpus.front().vcpu_fd;
    const Reading now = FMVM_TRY(read_clocks(vm, first));
    timespec real{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    ClockState state;
    state.kvmclock_ns = now.kvmclock_ns;
    state.realtime_ns = static_cast<std::uint64_t>(real.tv_sec) * 1'000'000'000 +
                        static_cast<std::uint64_t>(real.tv_nsec);
    state.tsc = now.tsc;
    if (now.stable) return state;
    const TscLine line(base.kvmclock_ns, base.tsc, first);
    const std::uint64_t moved = vcpus.front().adjust - base.adjust;
    state.tsc = std::max(state.tsc, line.at(now.kvmclock_ns) + moved);
    for (const VcpuTsc& vcpu : vcpus)
        state.tsc = std::max(state.tsc, vcpu.saved - apart(vcpu, vcpus));
    return state;
}

Result<void> restore_kvmclock(const Vm& vm, const ClockState& state,
                              std::chrono::nanoseconds passed) {
    kvm_clock_data clock{};
    clock.clock = state.kvmclock_ns +
                  static_cast<std::uint64_t>(std::max(passed, std::chrono::nanoseconds(0)).count());
    if (retry_ioctl(vm.fd(), KVM_SET_CLOCK, &clock) != 0)
        return errno_error(errno, "KVM_SET_CLOCK failed");
    return {};
}

TscMethod tsc_method(int vcpu_fd) {
    std::uint64_t unused = 0;
    kvm_device_attr attribute = offset_attribute(unused);
    return retry_ioctl(vcpu_fd, KVM_HAS_DEVICE_ATTR, &attribute) == 0 ? TscMethod::offset
                                                                      : TscMethod::msr;
}

// A TSC that was taken lies between what it should have been before it was set and what it should
// be now, whether it runs meanwhile (a stable host) or stands until the vCPU does (an unstable
// one).
Result<RestoredTsc> restore_tsc(const Vm& vm, const ClockState& state,
                                std::span<const VcpuTsc> vcpus, TscMethod method) {
    const int first = vcpus.front().vcpu_fd;
    const TscLine line(state.kvmclock_ns, state.tsc, first);
    const std::uint64_t least = line.at(FMVM_TRY(read_kvmclock(vm)).clock);
    FMVM_TRY(method == TscMethod::offset ? set_offsets(line, vm, vcpus)
                                         : set_msrs(line, vm, vcpus));
    const std::uint64_t tsc = FMVM_TRY(get_msr(first, msr_tsc));
    const std::uint64_t now_ns = FMVM_TRY(read_kvmclock(vm)).clock;
    RestoredTsc restored;
    restored.base = {now_ns, line.at(now_ns), vcpus.front().adjust};
    if (tsc < least) restored.ahead_s = line.seconds(tsc - least);
    if (tsc > restored.base.tsc) restored.ahead_s = line.seconds(tsc - restored.base.tsc);
    return restored;
}

}  // namespace fmvm
