// SPDX-License-Identifier: Apache-2.0
#include "cli/options/given_options.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "base/file_io.h"
#include "base/text.h"
#include "cli/options/machine_table.h"
#include "cli/options/net_values.h"
#include "vmm/board/layout.h"

namespace fmvm::cli {

namespace {

// virtio 1.2, 5.2.6.1: the device ID string has 20 bytes.
constexpr std::size_t serial_size_max = 20;

// The entropy device takes one of the places for virtio devices.
constexpr std::size_t device_count_max = layout::virtio_device_count_max - 1;

std::string size_text(std::uint64_t bytes) {
    if (bytes == 0) return "0";
    if (bytes % gib == 0) return fmt::format("{} GiB", bytes / gib);
    if (bytes % mib == 0) return fmt::format("{} MiB", bytes / mib);
    return fmt::format("{} bytes", bytes);
}

// Whether two paths name one file, by whatever links. Paths of files that do not exist yet are
// compared as they resolve.
bool is_same_file(const std::string& a, const std::string& b) {
    struct stat stat_a {};
    struct stat stat_b {};
    if (::stat(a.c_str(), &stat_a) == 0 && ::stat(b.c_str(), &stat_b) == 0) {
        const bool same_device_node =
            S_ISBLK(stat_a.st_mode) && S_ISBLK(stat_b.st_mode) && stat_a.st_rdev == stat_b.st_rdev;
        return same_device_node ||
               (stat_a.st_dev == stat_b.st_dev && stat_a.st_ino == stat_b.st_ino);
    }
    const auto resolved = [](const std::string& path) {
        std::error_code ignored;
        return std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
    };
    return resolved(a) == resolved(b);
}

Result<void> check_path(std::string_view option, const std::string& path) {
    if (path.empty()) return make_error("{}: the path is empty; give one", option);
    if (path.find('\0') != std::string::npos) {
        return make_error("{}: the path holds a NUL byte; no file has such a name", option);
    }
    return {};
}

Result<void> check_cmdline(const std::string& cmdline) {
    const auto control = std::ranges::find_if(
        cmdline, [](char c) { return static_cast<unsigned char>(c) < 0x20 && c != '\t'; });
    if (control != cmdline.end()) {
        return make_error("cmdline: byte {} is a control character; a command line is one line",
                          control - cmdline.begin() + 1);
    }
    if (cmdline.size() >= layout::command_line_size_max) {
        return make_error("cmdline: {} bytes are too many; at most {} fit", cmdline.size(),
                          layout::command_line_size_max - 1);
    }
    return {};
}

Result<void> check_memory(std::uint64_t bytes, std::uint64_t host_memory_bytes) {
    if (bytes < layout::memory_size_min) {
        return make_error("memory: {} is too small; give at least {}", size_text(bytes),
                          size_text(layout::memory_size_min));
    }
    if (bytes > layout::memory_size_max) {
        return make_error("memory: {} is too large; a machine has at most {}", size_text(bytes),
                          size_text(layout::memory_size_max));
    }
    if (bytes > host_memory_bytes) {
        return make_error("memory: {} is more than this host has ({} MiB); ask for less",
                          size_text(bytes), host_memory_bytes / mib);
    }
    if (!is_aligned(bytes, page_size)) {
        return make_error("memory: {} is not a multiple of 4 KiB; round it", size_text(bytes));
    }
    return {};
}

Result<void> check_cpus(unsigned cpus) {
    if (cpus >= 1 && cpus <= layout::vcpu_count_max) return {};
    return make_error("cpus: {} is out of range; give 1 to {}", cpus, layout::vcpu_count_max);
}

Result<void> check_disks(const std::vector<node::DiskOptions>& disks) {
    if (disks.size() > device_count_max) {
        return make_error("disk: {} disks are too many; give at most {}", disks.size(),
                          device_count_max);
    }
    for (const node::DiskOptions& disk : disks) {
        FMVM_TRY(check_path("disk", disk.path));
        if (!disk.label.empty()) FMVM_TRY(check_path("disk label", disk.label));
        if (disk.serial.size() > serial_size_max || !is_printable_ascii(disk.serial)) {
            return make_error(
                "disk {}: the serial must be at most {} printable ASCII characters; shorten it",
                disk.path, serial_size_max);
        }
        for (const node::DiskOptions* other = disks.data(); other != &disk; ++other) {
            if (!is_same_file(other->path, disk.path)) continue;
            return make_error("disk {}: the same image as disk {}; give each image once", disk.path,
                              other->path);
        }
    }
    return {};
}

Result<void> check_console(const node::ConsoleOptions& console) {
    if (console.kind != node::ConsoleKind::file) return {};
    FMVM_TRY(check_path("console", console.path));
    std::error_code ignored;
    const std::string directory = directory_of(console.path);
    if (!std::filesystem::is_directory(directory, ignored)) {
        return make_error("console file:{}: the directory {} does not exist; make it first",
                          console.path, directory);
    }
    if (std::filesystem::is_directory(console.path, ignored)) {
        return make_error("console file:{}: is a directory; name a file in it", console.path);
    }
    return {};
}

// No file may be written as one thing while it is read as another.
Result<void> check_conflicts(const node::MachineOptions& options) {
    struct Use {
        std::string_view what;
        const std::string* path;
        bool written;
    };
    std::vector<Use> uses;
    if (!options.kernel.empty()) uses.push_back({"kernel", &options.kernel, false});
    if (!options.initrd.empty()) uses.push_back({"initrd", &options.initrd, false});
    for (const node::DiskOptions& disk : options.disks) {
        uses.push_back({"disk", &disk.path, !disk.readonly});
        if (!disk.label.empty()) uses.push_back({"disk label", &disk.label, true});
    }
    if (options.console.kind == node::ConsoleKind::file) {
        uses.push_back({"console", &options.console.path, true});
    }
    for (std::size_t i = 0; i < uses.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            if (!(uses[i].written || uses[j].written)) continue;
            if (!is_same_file(*uses[i].path, *uses[j].path)) continue;
            return make_error("{} {}: the same file as {}; it would be overwritten, give another",
                              uses[i].what, *uses[i].path, uses[j].what);
        }
    }
    return {};
}

// A snapshot brings along what the guest was started with.
Result<void> check_restore(const GivenOptions& given) {
    FMVM_TRY(check_path("restore", *given.restore));
    for (const MachineOption& option : machine_table()) {
        if (option.part != MachineOption::Part::guest || !option.is_given(given)) continue;
        return make_error("{}: comes from the snapshot when a guest is restored; leave it out",
                          option.key);
    }
    return {};
}

Result<void> check_kernel(const GivenOptions& given) {
    if (!given.kernel) {
        return Error("no kernel given; add --kernel PATH, or \"kernel\" to the configuration file");
    }
    FMVM_TRY(check_path("kernel", *given.kernel));
    if (given.guest_time)
        return Error("guest-time: is of a guest that is restored; leave it out, or add restore");
    if (given.initrd) FMVM_TRY(check_path("initrd", *given.initrd));
    return {};
}

Result<void> check_record(const node::MachineOptions& options) {
    if (options.record.empty()) return Error("--record: names no file; give a path");
    if (options.disks.empty())
        return Error("--record: the guest has no disk; add --disk path=PATH, or leave it out");
    return {};
}

// The given values, and the defaults of all others.
node::MachineOptions finish(GivenOptions& given) {
    node::MachineOptions options;
    for (const auto table : {machine_table(), disk_start_table()}) {
        for (const MachineOption& option : table)
            option.finish(given, options);
    }
    return options;
}

Result<void> check_devices(const node::MachineOptions& options) {
    FMVM_TRY(check_disks(options.disks));
    FMVM_TRY(check_nets(options.nets));
    if (options.disks.size() + options.nets.size() > device_count_max) {
        return make_error("net: {} disks and network cards are too many; give at most {}",
                          options.disks.size() + options.nets.size(), device_count_max);
    }
    FMVM_TRY(check_console(options.console));
    return check_conflicts(options);
}

}  // namespace

GivenOptions merge(GivenOptions command_line, GivenOptions file) {
    for (const MachineOption& option : machine_table()) {
        // A restored guest's devices are still described by the file that it was started with.
        if (command_line.restore && option.part == MachineOption::Part::guest) continue;
        if (!option.is_given(command_line)) option.replace(command_line, file);
    }
    return command_line;
}

Result<node::MachineOptions> complete(GivenOptions given, std::uint64_t host_memory_bytes) {
    FMVM_TRY(given.restore ? check_restore(given) : check_kernel(given));
    if (given.control) FMVM_TRY(check_path("control", *given.control));
    const bool recorded = given.record.has_value();
    node::MachineOptions options = finish(given);
    FMVM_TRY(check_cmdline(options.cmdline));
    FMVM_TRY(check_memory(options.memory_bytes, host_memory_bytes));
    FMVM_TRY(check_cpus(options.cpus));
    FMVM_TRY(check_devices(options));
    if (recorded) FMVM_TRY(check_record(options));
    return options;
}

Result<node::MachineOptions> complete_devices(GivenOptions given) {
    if (given.control) FMVM_TRY(check_path("control", *given.control));
    node::MachineOptions options = finish(given);
    FMVM_TRY(check_devices(options));
    return options;
}

}  // namespace fmvm::cli
