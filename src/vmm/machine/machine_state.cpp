// SPDX-License-Identifier: Apache-2.0
// Machine::save(), check() and restore(): which sections there are, and in which order they are put
// back. Only decode() looks at what a section says, so that restore() cannot refuse a state that
// check() accepted.
#include "base/log.h"
#include "base/units.h"
#include "vmm/board/layout.h"
#include "vmm/cpu/guest_clock.h"
#include "vmm/cpu/memory_msrs.h"
#include "vmm/kvm/chips_state.h"
#include "vmm/kvm/msr.h"
#include "vmm/machine/machine.h"

namespace fmvm {

namespace {

constexpr std::string_view machine_section = "machine";
constexpr std::string_view chips_section = "chips";
constexpr std::string_view clock_section = "clock";
constexpr std::uint32_t machine_version = 1;
constexpr std::uint32_t clock_version = 1;
constexpr std::size_t vcpu_bytes_usual = 12 * kib;
constexpr std::size_t chips_bytes_usual = 2 * kib;

std::string vcpu_section(std::size_t id) {
    return fmt::format("vcpu{}", id);
}

std::string readable_versions(std::uint32_t oldest, std::uint32_t newest) {
    return oldest == newest ? fmt::format("version {}", newest)
                            : fmt::format("versions {} to {}", oldest, newest);
}

Result<const StateSection*> section_of(const StateImage& image, std::string_view name,
                                       std::uint32_t oldest, std::uint32_t newest) {
    const StateSection* const section = image.find(name);
    if (section == nullptr) {
        return make_error("the state image lacks the state of {}; build the machine as it was",
                          name);
    }
    if (section->version < oldest || section->version > newest) {
        return make_error("the state of {} has version {}, this fmvm reads {}", name,
                          section->version, readable_versions(oldest, newest));
    }
    return section;
}

Result<const StateSection*> section_of(const StateImage& image, std::string_view name,
                                       std::uint32_t version) {
    return section_of(image, name, version, version);
}

Error in_section(std::string_view name, const Error& error) {
    return make_error("the state of {}: {}", name, error.message());
}

Error malformed(std::string_view name) {
    return make_error("the state of {} is malformed", name);
}

// The section is there.
template <typename State>
Result<State> decoded(const StateImage& image, std::string_view name) {
    ByteReader in(image.find(name)->payload);
    State state = State::decode(in);
    if (!in.done()) return malformed(name);
    return state;
}

void tell_tsc(double ahead_s) {
    if (ahead_s < -0.001) {
        log::warning("vmm",
                     "this host's KVM does not set a guest's TSC, which goes back by {:.3f} s; "
                     "what the guest "
                     "measures with it is wrong; move the guest back, or start it anew",
                     -ahead_s);
    } else if (ahead_s > 1) {
        log::notice("vmm",
                    "this host's KVM does not set a guest's TSC, which jumps ahead by {:.1f} s",
                    ahead_s);
    }
}

}  // namespace

// A saved state, checked.
struct Machine::DecodedState {
    std::vector<VcpuState> vcpus;
    ChipsState chips;
    ClockState clock;
    std::vector<Snapshottable::Apply> devices;  // in the order of stateful_devices_
};

Result<MachineSize> machine_size(const StateImage& image) {
    ByteReader in(FMVM_TRY(section_of(image, machine_section, machine_version))->payload);
    MachineSize size;
    size.memory_bytes = in.u64();
    size.vcpus = in.u32();
    if (!in.done() || size.memory_bytes < layout::memory_size_min ||
        size.memory_bytes > layout::memory_size_max || !is_aligned(size.memory_bytes, page_size) ||
        size.vcpus == 0 || size.vcpus > layout::vcpu_count_max) {
        return malformed(machine_section);
    }
    return size;
}

Result<ClockState> saved_clocks(const StateImage& image) {
    FMVM_TRY(section_of(image, clock_section, clock_version));
    return decoded<ClockState>(image, clock_section);
}

void Machine::add_state(std::string name, Snapshottable& device) {
    stateful_devices_.push_back({std::move(name), &device});
}

Result<StateImage> Machine::save() {
    FMVM_CHECK(quiesced_ != 0);
    StateImage image;
    ByteWriter machine;
    machine.u64(shape_.memory_bytes);
    machine.u32(shape_.vcpus);
    image.add(machine_section, machine_version, machine.take());
    std::vector<VcpuTsc> tscs;
    for (std::size_t id = 0; id < vcpus_.size(); ++id) {
        const int fd = vcpus_[id]->vcpu().fd();
        const VcpuState state = FMVM_TRY(vcpu_access_.save(fd, vcpu_cpuid_[id]));
        tscs.push_back({fd, state.msr(msr_tsc), state.msr(msr_tsc_adjust)});
        ByteWriter out;
        out.reserve(vcpu_bytes_usual);
        state.encode(out);
        image.add(vcpu_section(id), VcpuState::version, out.take());
    }
    ByteWriter chips;
    chips.reserve(chips_bytes_usual);
    FMVM_TRY(save_vm_state(vm_)).encode(chips);
    image.add(chips_section, ChipsState::version, chips.take());
    ByteWriter clock;
    FMVM_TRY(save_clocks(vm_, tscs, tsc_base_)).encode(clock);
    image.add(clock_section, clock_version, clock.take());
    for (const StatefulDevice& entry : stateful_devices_) {
        ByteWriter out;
        entry.device->save(out);
        image.add(entry.name, entry.device->state_version(), out.take());
    }
    return image;
}

PageSet Machine::unsettled_pages() const {
    PageSet pages(memory_.page_count());
    for (const StatefulDevice& entry : stateful_devices_)
        entry.device->add_unsettled(pages);
    return pages;
}

// Nothing is missing, nothing is left over, and every version can be read.
Result<void> Machine::check_sections(const StateImage& image) const {
    const MachineSize size = FMVM_TRY(machine_size(image));
    if (size.memory_bytes != shape_.memory_bytes || size.vcpus != shape_.vcpus) {
        return make_error(
            "the state image is of a machine with {} KiB of memory and {} CPUs; this one has {} "
            "KiB and {}",
            size.memory_bytes / kib, size.vcpus, shape_.memory_bytes / kib, shape_.vcpus);
    }
    for (std::size_t id = 0; id < vcpus_.size(); ++id)
        FMVM_TRY(section_of(image, vcpu_section(id), VcpuState::version));
    FMVM_TRY(section_of(image, chips_section, ChipsState::version));
    FMVM_TRY(section_of(image, clock_section, clock_version));
    for (const StatefulDevice& entry : stateful_devices_)
        FMVM_TRY(section_of(image, entry.name, entry.device->state_version_min(),
                            entry.device->state_version()));
    if (image.sections().size() == 3 + vcpus_.size() + stateful_devices_.size()) return {};
    for (const StateSection& section : image.sections()) {
        bool known = section.name == machine_section || section.name == chips_section ||
                     section.name == clock_section;
        for (std::size_t id = 0; id < vcpus_.size(); ++id)
            known |= section.name == vcpu_section(id);
        for (const StatefulDevice& entry : stateful_devices_)
            known |= section.name == entry.name;
        if (!known) {
            return make_error(
                "the state image holds the state of {}, which this machine does not have; build "
                "the machine as it was",
                section.name);
        }
    }
    return {};
}

Result<VcpuState> Machine::vcpu_state(const StateImage& image, std::size_t id) const {
    const std::string name = vcpu_section(id);
    VcpuState state = FMVM_TRY(decoded<VcpuState>(image, name));
    for (const kvm_msr_entry& msr : state.msrs) {
        const Result<void> fits = check_memory_msr(msr, memory_);
        if (!fits.ok()) return in_section(name, fits.error());
    }
    return state;
}

Result<Machine::DecodedState> Machine::decode(const StateImage& image) const {
    FMVM_TRY(check_sections(image));
    DecodedState state;
    for (std::size_t id = 0; id < vcpus_.size(); ++id)
        state.vcpus.push_back(FMVM_TRY(vcpu_state(image, id)));
    state.chips = FMVM_TRY(decoded<ChipsState>(image, chips_section));
    state.clock = FMVM_TRY(saved_clocks(image));
    for (const StatefulDevice& entry : stateful_devices_) {
        ByteReader reader(image.find(entry.name)->payload);
        Result<Snapshottable::Apply> apply = entry.device->decode(reader);
        if (!apply.ok()) return in_section(entry.name, apply.error());
        if (!reader.done()) return malformed(entry.name);
        state.devices.push_back(std::move(*apply));
    }
    return state;
}

// Only KVM knows what it takes: it is asked, on vCPUs that do not run.
Result<void> Machine::try_vcpus(std::vector<VcpuState> states) {
    const std::vector<VcpuState> held = std::exchange(tried_, {});
    for (std::size_t id = 0; id < vcpus_.size(); ++id) {
        const Result<void> tried = vcpu_access_.try_restore(vcpus_[id]->vcpu().fd(), states[id],
                                                            held.empty() ? nullptr : &held[id]);
        if (!tried.ok()) return in_section(vcpu_section(id), tried.error());
    }
    tried_ = std::move(states);
    return {};
}

Result<void> Machine::restore_vcpus(const std::vector<VcpuState>& states) {
    for (std::size_t id = 0; id < vcpus_.size(); ++id) {
        const Result<void> restored = vcpu_access_.restore(vcpus_[id]->vcpu().fd(), states[id]);
        if (!restored.ok()) return in_section(vcpu_section(id), restored.error());
        vcpu_cpuid_[id] = states[id].cpuid;
    }
    shape_.cpuid = vcpu_cpuid_.front();
    return vcpu_access_.probe(vcpus_.front()->vcpu().fd());
}

// The timers last: their deadlines are values of the TSC.
Result<void> Machine::restore_tscs(const ClockState& clock, const std::vector<VcpuState>& states) {
    std::vector<VcpuTsc> tscs;
    for (std::size_t id = 0; id < vcpus_.size(); ++id)
        tscs.push_back(
            {vcpus_[id]->vcpu().fd(), states[id].msr(msr_tsc), states[id].msr(msr_tsc_adjust)});
    const RestoredTsc restored =
        FMVM_TRY(restore_tsc(vm_, clock, tscs, tsc_method(tscs.front().vcpu_fd)));
    tsc_base_ = restored.base;
    for (std::size_t id = 0; id < vcpus_.size(); ++id)
        FMVM_TRY(vcpu_access_.start_timer(tscs[id].vcpu_fd, states[id]));
    tell_tsc(restored.ahead_s);
    return {};
}

Result<void> Machine::check(const StateImage& image) {
    FMVM_CHECK(!started_);
    DecodedState state = FMVM_TRY(decode(image));
    return try_vcpus(std::move(state.vcpus));
}

// kvmclock first, because vCPUs' MSRs tell the guest about it. Devices last: the interrupts that
// they raise anew go through the restored chips.
Result<void> Machine::restore(const StateImage& image, std::chrono::nanoseconds passed) {
    FMVM_CHECK(!started_);
    const DecodedState state = FMVM_TRY(decode(image));
    FMVM_TRY(restore_kvmclock(vm_, state.clock, passed));
    FMVM_TRY(restore_vcpus(state.vcpus));
    const Result<void> chips_restored = restore_vm_state(vm_, state.chips);
    if (!chips_restored.ok()) return in_section(chips_section, chips_restored.error());
    FMVM_TRY(restore_tscs(state.clock, state.vcpus));
    for (const Snapshottable::Apply& apply : state.devices)
        apply();
    return {};
}

}  // namespace fmvm
