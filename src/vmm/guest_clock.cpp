// SPDX-License-Identifier: Apache-2.0
#include "vmm/guest_clock.h"

#include <algorithm>
#include <ctime>

#include "base/units.h"
#include "vmm/kvm.h"
#include "vmm/msr.h"

namespace fmvm {

namespace {

// Two clocks as of one moment.
struct Reading {
    std::uint64_t kvmclock_ns = 0;
    std::uint64_t tsc = 0;
};

Result<std::uint64_t> read_kvmclock(const Vm& vm) {
    kvm_clock_data clock{};
    if (retry_ioctl(vm.fd(), KVM_GET_CLOCK, &clock) != 0)
        return errno_error(errno, "KVM_GET_CLOCK failed");
    return clock.clock;
}

// The TSC between two looks at kvmclock; again when somebody else had the CPU in between.
Result<Reading> read_clocks(const Vm& vm, int vcpu_fd) {
    constexpr int tries_max = 4;
    constexpr std::uint64_t close_ns = 20'000;
    Reading best;
    std::uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < tries_max && best_ns > close_ns; ++i) {
        const std::uint64_t before = FMVM_TRY(read_kvmclock(vm));
        const std::uint64_t tsc = FMVM_TRY(get_msr(vcpu_fd, msr_tsc));
        const std::uint64_t after = FMVM_TRY(read_kvmclock(vm));
        const std::uint64_t between = after > before ? after - before : 0;
        if (between >= best_ns) continue;
        best_ns = between;
        best = {before + between / 2, tsc};
    }
    return best;
}

// What the TSC should be when kvmclock says `kvmclock_ns`.
class TscLine {
  public:
    TscLine(const ClockState& state, int vcpu_fd) : state_(state) {
        const int khz = retry_ioctl(vcpu_fd, KVM_GET_TSC_KHZ, 0UL);
        khz_ = khz > 0 ? static_cast<std::uint64_t>(khz) : 0;
    }

    std::uint64_t at(std::uint64_t kvmclock_ns) const {
        const std::uint64_t passed =
            kvmclock_ns > state_.kvmclock_ns ? kvmclock_ns - state_.kvmclock_ns : 0;
        return state_.tsc + passed / 1'000'000 * khz_ + passed % 1'000'000 * khz_ / 1'000'000;
    }
    double seconds(std::int64_t cycles) const {
        return khz_ == 0 ? 0 : static_cast<double>(cycles) / (static_cast<double>(khz_) * 1e3);
    }
    // By how much a vCPU's TSC differs from the others', as its guest has set it.
    std::uint64_t apart(std::uint64_t saved) const {
        const auto difference = static_cast<std::int64_t>(saved - state_.tsc);
        const auto second = static_cast<std::int64_t>(khz_ * 1000);
        return difference > -second && difference < second ? 0
                                                           : static_cast<std::uint64_t>(difference);
    }

  private:
    const ClockState state_;
    std::uint64_t khz_;  // 0: this KVM does not tell; then every TSC goes on where it was
};

kvm_device_attr offset_attribute(std::uint64_t& offset) {
    kvm_device_attr attribute{};
    attribute.group = KVM_VCPU_TSC_CTRL;
    attribute.attr = KVM_VCPU_TSC_OFFSET;
    attribute.addr = reinterpret_cast<std::uint64_t>(&offset);
    return attribute;
}

// One offset for all, so that what error there is is the same for each.
Result<void> set_offsets(const TscLine& line, const Vm& vm, std::span<const VcpuTsc> vcpus) {
    std::uint64_t first = 0;
    kvm_device_attr attribute = offset_attribute(first);
    if (retry_ioctl(vcpus.front().vcpu_fd, KVM_GET_DEVICE_ATTR, &attribute) != 0)
        return errno_error(errno, "KVM_VCPU_TSC_OFFSET cannot be read");
    const Reading now = FMVM_TRY(read_clocks(vm, vcpus.front().vcpu_fd));
    first += line.at(now.kvmclock_ns) - now.tsc;
    for (const VcpuTsc& vcpu : vcpus) {
        std::uint64_t offset = first + line.apart(vcpu.saved);
        attribute = offset_attribute(offset);
        if (retry_ioctl(vcpu.vcpu_fd, KVM_SET_DEVICE_ATTR, &attribute) != 0)
            return errno_error(errno, "KVM_VCPU_TSC_OFFSET cannot be set");
    }
    return {};
}

// Far from what KVM expects, so that it does not take the next write for an attempt to synchronise.
// The vCPUs behind the first are within a second of it, and are synchronised with it.
Result<void> set_msrs(const TscLine& line, const Vm& vm, std::span<const VcpuTsc> vcpus) {
    constexpr std::uint64_t far = std::uint64_t{1} << 62;
    const std::uint64_t start = FMVM_TRY(read_kvmclock(vm));
    FMVM_TRY(set_msr(vcpus.front().vcpu_fd, msr_tsc, line.at(start) ^ far));
    for (const VcpuTsc& vcpu : vcpus) {
        const std::uint64_t tsc = line.at(FMVM_TRY(read_kvmclock(vm))) + line.apart(vcpu.saved);
        FMVM_TRY(set_msr(vcpu.vcpu_fd, msr_tsc, tsc));
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

// Where the host's TSC is unstable, KVM shows each vCPU's as of when it last ran
// (kvm_arch_vcpu_load): the latest of all is what no vCPU has seen more than.
Result<ClockState> save_clocks(const Vm& vm, std::span<const VcpuTsc> vcpus) {
    ClockState state;
    const Reading now = FMVM_TRY(read_clocks(vm, vcpus.front().vcpu_fd));
    timespec real{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    state.kvmclock_ns = now.kvmclock_ns;
    state.realtime_ns = static_cast<std::uint64_t>(real.tv_sec) * 1'000'000'000 +
                        static_cast<std::uint64_t>(real.tv_nsec);
    state.tsc = now.tsc;
    const TscLine line(state, vcpus.front().vcpu_fd);
    for (const VcpuTsc& vcpu : vcpus) {
        if (line.apart(vcpu.saved) == 0) state.tsc = std::max(state.tsc, vcpu.saved);
    }
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

Result<double> restore_tsc(const Vm& vm, const ClockState& state, std::span<const VcpuTsc> vcpus,
                           TscMethod method) {
    const TscLine line(state, vcpus.front().vcpu_fd);
    FMVM_TRY(method == TscMethod::offset ? set_offsets(line, vm, vcpus)
                                         : set_msrs(line, vm, vcpus));
    const Reading now = FMVM_TRY(read_clocks(vm, vcpus.front().vcpu_fd));
    return line.seconds(static_cast<std::int64_t>(now.tsc - line.at(now.kvmclock_ns) -
                                                  line.apart(vcpus.front().saved)));
}

}  // namespace fmvm
