// SPDX-License-Identifier: Apache-2.0
#include "cli/machine_builder.h"

#include <fcntl.h>

#include <algorithm>

#include "base/log.h"
#include "devices/block/aligned_backend.h"
#include "devices/block/block_device.h"
#include "devices/block/uring_backend.h"
#include "devices/power.h"
#include "devices/rng_device.h"
#include "devices/virtio/mmio_transport.h"
#include "vmm/boot/kernel_loader.h"
#include "vmm/firmware/firmware.h"
#include "vmm/host_quirks.h"
#include "vmm/irq_eventfd.h"
#include "vmm/layout.h"

namespace fmvm::cli {

namespace {

Result<UniqueFd> open_console(const ConsoleOptions& console) {
    if (console.kind == ConsoleKind::stdio)
        return UniqueFd(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    const bool file = console.kind == ConsoleKind::file;
    const std::string path = file ? console.path : "/dev/null";
    UniqueFd fd(::open(path.c_str(),
                       O_WRONLY | O_CLOEXEC | O_NOCTTY | (file ? O_CREAT | O_TRUNC : 0), 0644));
    if (!fd) return errno_error(errno, fmt::format("console {}: cannot be opened", path));
    return fd;
}

// Builds one machine step by step; each step adds to the last.
class Builder {
  public:
    Builder(const RunOptions& options, Machine& machine) : options_(options), machine_(machine) {}

    Result<Serial*> add_legacy_devices() {
        auto& sink = machine_.own(std::make_unique<ConsoleOutput>(
            machine_.loop(), FMVM_TRY(open_console(options_.console))));
        IrqLine& irq = FMVM_TRY(new_irq(layout::serial_irq)).get();
        auto& serial = machine_.own(std::make_unique<Serial>(irq, sink));
        sink.on_room([&serial] { serial.output_ready(); });
        machine_.ports().attach(layout::serial_port, Serial::register_count, serial);

        const EndRequest end = [&machine = machine_](GuestEnd reason) {
            machine.request_end(reason);
        };
        auto& power = machine_.own(std::make_unique<AcpiPower>(end));
        machine_.ports().attach(layout::acpi_sleep_control_port, AcpiPower::register_count, power);
        auto& data = machine_.own(std::make_unique<I8042Port>(I8042Port::Kind::data, end));
        machine_.ports().attach(layout::i8042_data_port, 1, data);
        auto& command = machine_.own(std::make_unique<I8042Port>(I8042Port::Kind::command, end));
        machine_.ports().attach(layout::i8042_command_port, 1, command);
        return &serial;
    }

    Result<void> add_disk(const DiskOptions& disk) {
        DiskImage image = FMVM_TRY(
            DiskImage::open(disk.path, {.read_only = disk.readonly, .direct = disk.direct}));
        const std::uint32_t alignment = image.memory_alignment;
        std::unique_ptr<BlockBackend> backend =
            FMVM_TRY(UringBackend::create(machine_.loop(), std::move(image)));
        if (alignment > 1) {
            backend = std::make_unique<AlignedBackend>(std::move(backend), alignment);
        }
        auto& device = machine_.own(std::make_unique<BlockDevice>(
            machine_.memory(), machine_.loop(), std::move(backend), disk.serial));
        return add_virtio(fmt::format("disk {}", disk.path), device);
    }

    Result<void> add_rng() {
        auto& device = machine_.own(std::make_unique<RngDevice>(machine_.memory()));
        return add_virtio("rng", device);
    }

    Result<void> boot(const Kvm& kvm, Ring0Kind ring0) {
        FirmwareConfig firmware;
        firmware.vcpus = options_.cpus;
        firmware.virtio_devices = virtio_devices_;
        for (const kvm_cpuid_entry2& entry : FMVM_TRY(kvm.supported_cpuid())) {
            if (entry.function != 1) continue;
            firmware.cpuid_signature = entry.eax;
            firmware.cpuid_features = entry.edx;
        }
        const GuestAddress rsdp = FMVM_TRY(write_acpi_tables(machine_.memory(), firmware));
        FMVM_TRY(write_mp_table(machine_.memory(), firmware));
        const KernelSources sources{options_.kernel, options_.initrd, command_line(ring0), rsdp};
        return machine_.prepare_boot(FMVM_TRY(load_kernel(machine_.memory(), sources)));
    }

  private:
    Result<std::reference_wrapper<IrqLine>> new_irq(unsigned gsi) {
        UniqueFd event = FMVM_TRY(machine_.vm().create_irq_eventfd(gsi));
        IrqLine& line = machine_.own(std::make_unique<IrqEventFd>(std::move(event)));
        return std::ref(line);
    }

    Result<void> add_virtio(std::string name, VirtioDevice& device) {
        const unsigned index = virtio_devices_++;
        IrqLine& irq = FMVM_TRY(new_irq(layout::virtio_irq(index))).get();
        auto& transport = machine_.own(
            FMVM_TRY(MmioTransport::create(std::move(name), machine_.loop(), device, irq)));
        const GuestAddress base = layout::virtio_mmio(index);
        machine_.mmio().attach(base.value(), layout::virtio_mmio_stride, transport);
        return transport.connect_notifications(machine_.vm(), base);
    }

    // Ours first: behind a "--" of the user's they would go to init.
    std::string command_line(Ring0Kind ring0) const {
        std::string line = virtio_command_line(virtio_devices_);
        if (options_.host_quirks == HostQuirks::automatic) {
            const std::string quirks = host_quirk_parameters(ring0, options_.cmdline);
            if (!quirks.empty()) {
                log::notice("run",
                            "this host emulates ring 0; added to the kernel command line "
                            "(--host-quirks off leaves it out): {}",
                            quirks);
                line += " " + quirks;
            }
        }
        return options_.cmdline.empty() ? line : line + " " + options_.cmdline;
    }

    const RunOptions& options_;
    Machine& machine_;
    unsigned virtio_devices_ = 0;
};

}  // namespace

Result<BuiltMachine> build_machine(const Kvm& kvm, const RunOptions& options) {
    const Ring0Kind ring0 = FMVM_TRY(probe_ring0(kvm));
    BuiltMachine built;
    built.machine =
        FMVM_TRY(Machine::create(kvm, {.memory_bytes = options.memory_bytes,
                                       .vcpus = options.cpus,
                                       .ring0_emulated = ring0 == Ring0Kind::emulated}));
    Builder builder(options, *built.machine);
    built.serial = FMVM_TRY(builder.add_legacy_devices());
    for (const DiskOptions& disk : options.disks)
        FMVM_TRY(builder.add_disk(disk));
    FMVM_TRY(builder.add_rng());
    FMVM_TRY(builder.boot(kvm, ring0));
    return built;
}

}  // namespace fmvm::cli
