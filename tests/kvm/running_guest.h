// SPDX-License-Identifier: Apache-2.0
// A bare guest in a whole machine of this process, with its console and disk in a directory of its
// own.
#pragma once

#include <filesystem>
#include <fstream>
#include <future>

#include "base/digest.h"
#include "kvm/raw_guest.h"
#include "node/build/machine_builder.h"
#include "support/temp_directory.h"

namespace fmvm::test {

struct RunningGuest {
    RunningGuest(const std::string& name, const std::string& cmdline,
                 std::uint64_t disk_bytes = 0) {
        options.kernel = std::string(FMVM_GUESTS) + "/" + name + ".elf";
        options.cmdline = cmdline;
        options.memory_bytes = 64 * mib;
        options.console = {node::ConsoleKind::file, console_path()};
        if (disk_bytes != 0) {
            const std::string image = directory.file("disk.img");
            std::ofstream(image).close();
            std::filesystem::resize_file(image, disk_bytes);
            options.disks.emplace_back().path = image;
        }
    }
    // With the kernel loaded and its first vCPU at the entry point.
    void build() {
        built =
            require(node::build_machine(require(Kvm::open()), options, {.dirty_log = dirty_log}));
        built.machine->on_end([this](GuestEnd reason) { ended.set_value(reason); });
    }
    std::string console_path() const { return directory.file("console"); }
    std::string console() const {
        std::ifstream file(console_path());
        return {std::istreambuf_iterator<char>(file), {}};
    }
    bool has_ended(std::chrono::milliseconds wait = std::chrono::milliseconds(0)) {
        return end.wait_for(wait) == std::future_status::ready;
    }
    std::uint64_t digest() {
        Digest digest;
        for (const MemoryRegion& region : built.machine->memory().regions())
            digest.add({region.host, region.size});
        return digest.value();
    }

    TempDirectory directory;
    node::MachineOptions options;
    DirtyLogKind dirty_log = DirtyLogKind::none;
    node::BuiltMachine built;
    std::promise<GuestEnd> ended;
    std::future<GuestEnd> end = ended.get_future();
};

inline constexpr auto guest_wait_max = std::chrono::seconds(120);

}  // namespace fmvm::test
