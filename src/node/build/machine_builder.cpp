// SPDX-License-Identifier: Apache-2.0
#include "node/build/machine_builder.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "base/open_file.h"
#include "devices/console/console_output.h"
#include "devices/power.h"
#include "devices/rng_device.h"
#include "devices/virtio/mmio_transport.h"
#include "node/build/disk_labels.h"
#include "node/build/disk_stack.h"
#include "node/build/host_facts.h"
#include "node/build/net_backends.h"
#include "node/build/raw_disks.h"
#include "node/build/snapshot.h"
#include "vmm/board/layout.h"
#include "vmm/boot/kernel_loader.h"
#include "vmm/firmware/firmware.h"
#include "vmm/host/host_probe.h"
#include "vmm/host/host_quirks.h"
#include "vmm/kvm/irq_eventfd.h"

namespace fmvm::node {

namespace {

Result<UniqueFd> open_stdout() {
    UniqueFd fd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    if (!fd) return errno_error(errno, "console: standard output cannot be used as one");
    return fd;
}

Result<UniqueFd> open_null() {
    UniqueFd fd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    if (!fd) return errno_error(errno, "console null: /dev/null cannot be opened");
    return fd;
}

// The output of a restored guest goes on where the console file ends; for others see
// begin_console().
Result<UniqueFd> open_console_file(const std::string& path, bool restored) {
    Result<UniqueFd> fd = open_private_file(path, O_WRONLY | (restored ? O_APPEND : 0));
    if (fd.ok()) return fd;
    return make_error("console file:{}: {}; name another file, or null", path,
                      fd.error().message());
}

Result<UniqueFd> open_console(const ConsoleOptions& console, bool restored) {
    switch (console.kind) {
        case ConsoleKind::stdio:
            return open_stdout();
        case ConsoleKind::null:
            return open_null();
        case ConsoleKind::file:
            break;
    }
    return open_console_file(console.path, restored);
}

// Builds one machine step by step; each step adds to the last.
class Builder {
  public:
    Builder(const MachineOptions& options, Machine& machine)
        : options_(options), machine_(machine) {}

    void add_power() {
        auto& state = machine_.own(std::make_unique<PowerState>(
            [&machine = machine_](GuestEnd reason) { machine.request_end(reason); }));
        machine_.add_state("power", state);
        const EndRequest end = [&state](GuestEnd reason) { state.end(reason); };
        machine_.on_crash([&state] { state.end(GuestEnd::crash); });
        auto& power = machine_.own(std::make_unique<AcpiPower>(end));
        machine_.ports().attach(layout::acpi_sleep_control_port, AcpiPower::register_count, power);
        auto& data = machine_.own(std::make_unique<I8042Port>(I8042Port::Kind::data, end));
        machine_.ports().attach(layout::i8042_data_port, 1, data);
        auto& command = machine_.own(std::make_unique<I8042Port>(I8042Port::Kind::command, end));
        machine_.ports().attach(layout::i8042_command_port, 1, command);
    }

    // Comes after everything else that can fail: it makes the console file.
    Result<void> add_console(BuiltMachine& built, const Purpose& purpose) {
        IrqLine& irq = FMVM_TRY(new_irq(layout::serial_irq)).get();
        UniqueFd console =
            FMVM_TRY(blame_input(open_console(options_.console, options_.kernel.empty())));
        built.console =
            &machine_.own(std::make_unique<ConsoleOutput>(machine_.loop(), std::move(console)));
        OutputSink* sink = built.console;
        if (purpose.kind != Purpose::Kind::run) {
            built.gate = &machine_.own(std::make_unique<lockstep::ConsoleGate>(*built.console));
            sink = built.gate;
        }
        auto& serial = machine_.own(std::make_unique<Serial>(irq, *sink));
        sink->on_room([&serial] { serial.output_ready(); });
        machine_.ports().attach(layout::serial_port, Serial::register_count, serial);
        machine_.add_state("serial", serial);
        built.serial = &serial;
        return {};
    }

    Result<void> add_disk(BuiltMachine& built, const DiskOptions& disk, const Purpose& purpose) {
        OpenedDisk opened = FMVM_TRY(blame_input(open_disk(disk, purpose)));
        const std::size_t number = machine_.shape().disks.size();
        const DiskImage& image = opened.image;
        machine_.describe_disk({image.size, image.block_size, image.read_only, disk.serial});
        DiskStack stack = FMVM_TRY(DiskStack::open(machine_.loop(), std::move(opened.image)));
        built.disks.push_back(&stack.image());
        if (opened.map) {
            BlockBackend& below_marks = stack.track(*opened.map);
            built.own_disks.push_back({disk.path, &stack.image(), &below_marks, opened.map});
        }
        if (opened.map || !options_.record.empty()) {
            stack.record(machine_.memory(), block_log(built, purpose),
                         static_cast<std::uint8_t>(number));
        }
        if (purpose.hold_writes || purpose.block == lockstep::BlockMode::shared) {
            using Holds = lockstep::WriteGate::Holds;
            built.gates.push_back(
                &stack.hold_writes(purpose.hold_writes ? Holds::flushes_too : Holds::writes));
        }
        auto& device = machine_.own(std::make_unique<BlockDevice>(
            machine_.memory(), machine_.loop(), std::move(stack).take(), disk.serial));
        built.block_devices.push_back(&device);
        return add_virtio(fmt::format("disk{}", number), fmt::format("disk {}", disk.path), device);
    }

    Result<void> add_net(BuiltMachine& built, const NetOptions& net, const Purpose& purpose) {
        const std::size_t number = built.nets.size();
        const NetDevice::Options options{
            mac_address_of(net, purpose.vm, static_cast<unsigned>(number)), net.mtu};
        std::unique_ptr<NetBackend> backend = FMVM_TRY(blame_input(open_net(machine_.loop(), net)));
        NetCard card;
        card.backend = backend.get();
        if (purpose.kind == Purpose::Kind::stand_by) backend->plug(false);
        if (purpose.kind != Purpose::Kind::run) {
            auto gate = std::make_unique<lockstep::PacketGate>(machine_.loop(), std::move(backend));
            card.gate = gate.get();
            built.gates.push_back(card.gate);
            backend = std::move(gate);
        }
        card.device = &machine_.own(std::make_unique<NetDevice>(machine_.memory(), machine_.loop(),
                                                                std::move(backend), options));
        if (purpose.kind != Purpose::Kind::run) forward_packets(built, card.device, number);
        card.announcer =
            &machine_.own(std::make_unique<Announcer>(machine_.loop(), *card.backend, options.mac));
        machine_.describe_net({options.mac.bytes, options.mtu, card.device->features()});
        built.nets.push_back(card);
        log::info("net", "card {} is on {}, with the address {}", number, to_text(net),
                  to_text(options.mac));
        return add_virtio(fmt::format("net{}", number), fmt::format("net {}", to_text(net)),
                          *card.device);
    }

    Result<void> add_rng() {
        auto& device = machine_.own(std::make_unique<RngDevice>(machine_.memory()));
        return add_virtio("rng", "rng", device);
    }

    Result<void> load(const std::string& quirks) {
        FirmwareConfig firmware;
        firmware.vcpus = options_.cpus;
        firmware.virtio_devices = virtio_devices_;
        for (const kvm_cpuid_entry2& entry : machine_.shape().cpuid) {
            if (entry.function != 1) continue;
            firmware.cpuid_signature = entry.eax;
            firmware.cpuid_features = entry.edx;
        }
        const GuestAddress rsdp = FMVM_TRY(write_acpi_tables(machine_.memory(), firmware));
        FMVM_TRY(write_mp_table(machine_.memory(), firmware));
        const KernelSources sources{options_.kernel, options_.initrd, command_line(quirks), rsdp};
        const BootEntry entry = FMVM_TRY(blame_input(load_kernel(machine_.memory(), sources)));
        return machine_.prepare_boot(entry);
    }

  private:
    // One for all cards, made for the first.
    void forward_packets(BuiltMachine& built, NetDevice* device, std::size_t number) {
        if (built.packets == nullptr)
            built.packets = &machine_.own(std::make_unique<lockstep::PacketForwarder>());
        device->on_taken([packets = built.packets, card = static_cast<std::uint8_t>(number)](
                             std::uint64_t position, std::span<const std::uint8_t> packet) {
            packets->took(card, position, packet);
        });
        built.packets->add_card([device] { device->take_in(); });
    }

    // Of the disk that is added next.
    replay::DiskPlace next_place(const Purpose& purpose) const {
        return {purpose.vm, machine_.shape().disks.size(), options_.disks.size()};
    }

    struct OpenedDisk {
        DiskImage image;
        replay::DirtyBlockMap* map = nullptr;  // of a disk of which the other side has its own
    };

    Result<OpenedDisk> open_disk(const DiskOptions& disk, const Purpose& purpose) {
        const bool own = lockstep::has_own_disks(purpose.block);
        OpenedDisk opened{FMVM_TRY(
            DiskImage::open(disk.path, {.read_only = disk.readonly,
                                        .direct = disk.direct,
                                        .lock = own || purpose.kind != Purpose::Kind::stand_by}))};
        // Whoever runs the guest has looked at a shared disk; now its guest may have written to it.
        if (own || purpose.kind != Purpose::Kind::stand_by) FMVM_TRY(check_raw(disk, opened.image));
        if (own) {
            opened.map = &machine_.own(FMVM_TRY(open_map(disk, opened.image, purpose)));
        } else {
            // Only now: whoever has the image's lock has the label.
            if (!options_.force_stale) FMVM_TRY(check_label(disk));
            if (purpose.kind != Purpose::Kind::run)
                FMVM_TRY(check_label_place(disk, next_place(purpose)));
        }
        return opened;
    }

    // The map remembers in which blocks this image and the other side's may differ.
    Result<std::unique_ptr<replay::DirtyBlockMap>> open_map(const DiskOptions& disk,
                                                            const DiskImage& image,
                                                            const Purpose& purpose) {
        replay::DiskLabel fresh;
        fresh.vm = purpose.vm;
        fresh.disk = static_cast<std::uint32_t>(machine_.shape().disks.size());
        fresh.image_bytes = image.size;
        if (image.read_only) {  // the label was decided when the image could be written to
            if (purpose.kind == Purpose::Kind::protect && !options_.force_stale)
                FMVM_TRY(check_label(disk));
            FMVM_TRY(check_label_place(disk, next_place(purpose)));
            return replay::DirtyBlockMap::unsaved(fresh);
        }
        const std::string label = FMVM_TRY(needed_label_path(disk));
        std::string why;
        auto map = FMVM_TRY(replay::DirtyBlockMap::open(label, fresh, why));
        if (!why.empty()) log::warning("disk", "{}", why);
        point_to_label(disk);
        return map;
    }

    // One for all disks, made for the first that needs it.
    replay::BlockLog& block_log(BuiltMachine& built, const Purpose& purpose) {
        using replay::BlockLog;
        if (built.block_log != nullptr) return *built.block_log;
        if (!options_.record.empty())
            built.recorder = &machine_.own(std::make_unique<replay::EpochRecorder>());
        const bool by_reference = purpose.block == lockstep::BlockMode::replay;
        const auto reads = by_reference ? BlockLog::Reads::recorded : BlockLog::Reads::passed;
        built.block_log = &machine_.own(
            std::make_unique<BlockLog>(reads, BlockLog::budget_default, built.recorder));
        return *built.block_log;
    }

    Result<std::reference_wrapper<IrqLine>> new_irq(unsigned gsi) {
        UniqueFd event = FMVM_TRY(machine_.vm().create_irq_eventfd(gsi));
        IrqLine& line = machine_.own(std::make_unique<IrqEventFd>(std::move(event)));
        return std::ref(line);
    }

    // section: the name of its state in a state image. name: what the log calls it.
    Result<void> add_virtio(std::string section, std::string name, VirtioDevice& device) {
        const unsigned index = virtio_devices_++;
        IrqLine& irq = FMVM_TRY(new_irq(layout::virtio_irq(index))).get();
        auto& transport = machine_.own(
            FMVM_TRY(MmioTransport::create(std::move(name), machine_.loop(), device, irq)));
        const GuestAddress base = layout::virtio_mmio(index);
        machine_.mmio().attach(base.value(), layout::virtio_mmio_stride, transport);
        machine_.add_state(std::move(section), transport);
        return transport.connect_notifications(machine_.vm(), base);
    }

    // Our own parameters come first: behind a "--" of the user's they would go to init.
    std::string command_line(const std::string& quirks) const {
        std::string line;
        for (const std::string& part :
             {virtio_command_line(virtio_devices_), quirks, options_.cmdline}) {
            if (!part.empty()) line += (line.empty() ? "" : " ") + part;
        }
        return line;
    }

    const MachineOptions& options_;
    Machine& machine_;
    unsigned virtio_devices_ = 0;
};

Result<void> check_host(const Kvm& kvm, const MachineOptions& options) {
    for (const KvmCapability& capability : probe_capabilities(kvm)) {
        if (capability.needed && capability.value == 0) {
            return make_error("this host's KVM lacks {}, which fmvm needs; update the host kernel",
                              capability.name);
        }
    }
    const int vcpus_max = kvm.extension(KVM_CAP_MAX_VCPUS);
    if (vcpus_max > 0 && options.cpus > static_cast<unsigned>(vcpus_max)) {
        return make_error("--cpus {}: this host's KVM allows {} at most; lower --cpus",
                          options.cpus, vcpus_max);
    }
    return {};
}

Result<void> check_room(const Snapshot& snapshot) {
    const std::uint64_t host = FMVM_TRY(host_memory_bytes());
    if (snapshot.size.memory_bytes <= host) return {};
    return make_error("snapshot {}: its {} MiB of memory are more than this host has ({} MiB)",
                      snapshot.directory, snapshot.size.memory_bytes / mib, host / mib);
}

// Adds everything but the console.
Result<void> add_devices(Builder& builder, BuiltMachine& built, const MachineOptions& options,
                         const Purpose& purpose) {
    builder.add_power();
    for (const DiskOptions& disk : options.disks)
        FMVM_TRY(builder.add_disk(built, disk, purpose));
    for (const NetOptions& net : options.nets)
        FMVM_TRY(builder.add_net(built, net, purpose));
    return builder.add_rng();
}

}  // namespace

Result<BuiltMachine> build_machine(const Kvm& kvm, const MachineOptions& options,
                                   const Purpose& purpose) {
    FMVM_TRY(check_host(kvm, options));
    const Ring0Kind ring0 = FMVM_TRY(probe_ring0(kvm));
    if (ring0 == Ring0Kind::emulated && options.cpu != CpuModel()) {
        log::notice("run",
                    "this host emulates ring 0, and shows programs in the guest its own CPU "
                    "features, whatever --cpu says");
    }
    const bool boots = !options.kernel.empty();
    BuiltMachine built;
    if (options.host_quirks == HostQuirks::automatic && boots) {
        built.quirks = host_quirk_parameters(ring0, options.cmdline);
    }
    built.machine = FMVM_TRY(Machine::create(kvm, {.memory_bytes = options.memory_bytes,
                                                   .vcpus = options.cpus,
                                                   .ring0_emulated = ring0 == Ring0Kind::emulated,
                                                   .cpu = options.cpu,
                                                   .dirty_log = purpose.dirty_log}));
    Builder builder(options, *built.machine);
    FMVM_TRY(add_devices(builder, built, options, purpose));
    if (boots) FMVM_TRY(builder.load(built.quirks));
    FMVM_TRY(builder.add_console(built, purpose));
    return built;
}

Result<BuiltMachine> build_guest(const Kvm& kvm, const MachineOptions& options,
                                 const Purpose& purpose) {
    if (options.restore.empty()) return build_machine(kvm, options, purpose);
    const Snapshot snapshot = FMVM_TRY(blame_input(open_snapshot(options.restore)));
    FMVM_TRY(blame_input(check_room(snapshot)));
    MachineOptions restored = options;
    restored.memory_bytes = snapshot.size.memory_bytes;
    restored.cpus = snapshot.size.vcpus;
    BuiltMachine built = FMVM_TRY(build_machine(kvm, restored, purpose));
    FMVM_TRY(blame_input(check_disks(snapshot, options.disks, built.disks)));
    std::chrono::nanoseconds passed{};
    if (options.guest_time == GuestTime::now)
        passed = FMVM_TRY(blame_input(snapshot_age(snapshot)));
    FMVM_TRY(blame_input(restore_snapshot(snapshot, *built.machine, passed)));
    return built;
}

void begin_console(const BuiltMachine& built, const MachineOptions& options) {
    if (options.console.kind == ConsoleKind::file && options.restore.empty())
        built.console->empty_file();
}

Result<void> check_console(const ConsoleOptions& console) {
    if (console.kind == ConsoleKind::file) FMVM_TRY(open_console_file(console.path, true));
    return {};
}

}  // namespace fmvm::node
