// SPDX-License-Identifier: Apache-2.0
// A guest's TSC is what it should be, where KVM can set it at all, however that is done and however
// near it is to what KVM expects of a vCPU (which older ones take for something else).
#include "vmm/cpu/guest_clock.h"

#include <cmath>

#include "kvm/raw_guest.h"
#include "vmm/kvm/msr.h"

namespace fmvm::test {

namespace {

constexpr double close_s = 0.2;  // two readings may lie that far apart on a busy host

// Two vCPUs that have never run.
class TwoVcpus {
  public:
    TwoVcpus() : second_(guest_.take_vcpu()), first_(guest_.take_vcpu()) {
        const int khz = retry_ioctl(first_.fd(), KVM_GET_TSC_KHZ, 0UL);
        REQUIRE(khz > 0);
        cycles_per_s_ = khz * 1e3;
    }

    std::uint64_t cycles(double seconds) const {
        return static_cast<std::uint64_t>(seconds * cycles_per_s_);
    }
    std::uint64_t tsc(int vcpu = 0) const { return require(get_msr(fd(vcpu), msr_tsc)); }
    // apart_s: of the second vCPU.
    double restore(std::uint64_t tsc, TscMethod method, double apart_s = 0) {
        ClockState state;
        state.kvmclock_ns = 1'000'000'000;
        state.tsc = tsc;
        const VcpuTsc tscs[] = {{fd(0), tsc, 0}, {fd(1), tsc, cycles(apart_s)}};
        require(restore_kvmclock(guest_.vm, state, {}));
        return require(restore_tsc(guest_.vm, state, tscs, method)).ahead_s;
    }
    // Whether KVM takes an offset for the TSC at all; some KVMs' guests have the host's.
    bool takes_offset() const {
        const std::uint64_t before = tsc();
        std::uint64_t far = cycles(100000);
        kvm_device_attr attribute{};
        attribute.group = KVM_VCPU_TSC_CTRL;
        attribute.attr = KVM_VCPU_TSC_OFFSET;
        attribute.addr = reinterpret_cast<std::uint64_t>(&far);
        if (retry_ioctl(fd(0), KVM_SET_DEVICE_ATTR, &attribute) != 0) return true;  // an older one
        return tsc() - before > cycles(10000);
    }
    double apart_s() const {
        const auto difference = static_cast<std::int64_t>(tsc(1) - tsc(0));
        return static_cast<double>(difference) / cycles_per_s_;
    }
    TscMethod best() const { return tsc_method(fd(0)); }

  private:
    int fd(int vcpu) const { return vcpu == 0 ? first_.fd() : second_.fd(); }

    RawGuest guest_{{0xf4}, 2};
    Vcpu second_, first_;
    double cycles_per_s_ = 0;
};

bool host_sets_tsc() {
    const bool takes = TwoVcpus().takes_offset();
    if (!takes) WARN("SKIPPED: this host's KVM does not set a guest's TSC");
    return takes;
}

}  // namespace

TEST_CASE("a guest's TSC goes on where it was, by either method", "[kvm]") {
    if (!host_sets_tsc()) return;
    const TscMethod method = GENERATE(TscMethod::offset, TscMethod::msr);
    // From what KVM would expect: at once, within the second that counts as synchronising, beyond.
    const double from_expected_s = GENERATE(-0.5, 0.0, 0.5, 100.0);
    TwoVcpus vcpus;
    if (method == TscMethod::offset && vcpus.best() != method) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    CAPTURE(static_cast<int>(method), from_expected_s);
    const auto ahead = vcpus.restore(vcpus.tsc() + vcpus.cycles(from_expected_s), method);
    CHECK(std::abs(ahead) < close_s);
    CHECK(std::abs(vcpus.apart_s()) < close_s);
}

TEST_CASE("vCPUs whose TSCs their guest has put apart stay so", "[kvm]") {
    if (!host_sets_tsc()) return;
    const TscMethod method = GENERATE(TscMethod::offset, TscMethod::msr);
    const double apart_s = GENERATE(5.0, -5.0);
    TwoVcpus vcpus;
    if (method == TscMethod::offset && vcpus.best() != method) return;
    CAPTURE(static_cast<int>(method), apart_s);
    const auto ahead = vcpus.restore(vcpus.cycles(100), method, apart_s);
    CHECK(std::abs(ahead) < close_s);
    CHECK(std::abs(vcpus.apart_s() - apart_s) < close_s);
}

}  // namespace fmvm::test
