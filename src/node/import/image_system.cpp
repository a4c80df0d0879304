// SPDX-License-Identifier: Apache-2.0
#include "node/import/image_system.h"

#include <algorithm>
#include <array>

#include "base/units.h"
#include "node/import/initrd_modules.h"
#include "node/import/os_release.h"
#include "vmm/boot/image_source.h"

namespace fmvm::node {

namespace {

constexpr std::size_t os_release_max = 64 * kib;
constexpr std::size_t builtin_list_max = mib;

struct Place {
    std::string device;
    std::string root;  // what root= is to be
};

std::vector<Place> places_in(const PartitionTable& table) {
    if (table.kind == PartitionTable::Kind::none)
        return {{grub_device(table.kind, {}), "/dev/vda"}};
    std::vector<Place> places;
    for (const Partition& partition : table.partitions)
        places.push_back({grub_device(table.kind, partition), "PARTUUID=" + partition.partuuid});
    return places;
}

// What names the system, if this is a root: it has that, and something to run as process 1.
Result<std::optional<std::string>> root_in(const ImageReader& reader, const std::string& device) {
    std::optional<std::string> about =
        FMVM_TRY(reader.read(device, "/etc/os-release", os_release_max));
    if (!about) return about;
    for (const char* const init : {"/usr/lib/systemd/systemd", "/sbin/init", "/usr/sbin/init"}) {
        if (FMVM_TRY(reader.exists(device, init))) return about;
    }
    return std::optional<std::string>();
}

Result<ImageSystem> find_root(const ImageReader& reader, const std::vector<Place>& places) {
    for (const Place& place : places) {
        const std::optional<std::string> about = FMVM_TRY(root_in(reader, place.device));
        if (!about) continue;
        ImageSystem system;
        system.name = system_name(*about);
        system.root = place.root;
        system.root_device = place.device;
        return system;
    }
    return make_error(
        "no root is found in it: a partition, or the whole disk, with /etc/os-release and an init, "
        "on a file system that GRUB reads (ext4, XFS, Btrfs without subvolumes); {} looked at",
        places.size() == 1 ? "one place was" : fmt::format("{} places were", places.size()));
}

// In the root's /boot, or on a partition that is mounted there.
Result<bool> find_kernel(const ImageReader& reader, const std::vector<Place>& places,
                         ImageSystem& system) {
    std::vector<std::pair<std::string, std::string>> directories{{system.root_device, "/boot/"}};
    for (const Place& place : places)
        directories.emplace_back(place.device, "/");
    for (const auto& [device, directory] : directories) {
        const std::vector<std::string> names = FMVM_TRY(reader.list(device, directory));
        const std::optional<KernelFiles> kernel = newest_kernel(names);
        if (!kernel) continue;
        system.kernel_device = device;
        system.kernel_directory = directory;
        system.kernel = *kernel;
        return true;
    }
    return false;
}

Result<std::vector<std::uint8_t>> content_of(const std::string& path) {
    const boot::FileSource file = FMVM_TRY(boot::FileSource::open("initrd", path));
    std::vector<std::uint8_t> bytes(file.size());
    FMVM_TRY(file.read(0, bytes));
    return bytes;
}

std::string joined(const std::vector<std::string>& words) {
    return fmt::format("{}", fmt::join(words, " and "));
}

}  // namespace

Result<ImageSystem> find_system(const ImageReader& reader, const PartitionTable& table) {
    const std::vector<Place> places = places_in(table);
    ImageSystem system = FMVM_TRY(find_root(reader, places));
    if (!FMVM_TRY(find_kernel(reader, places, system))) {
        return make_error(
            "{} is in it, but no kernel (/boot/vmlinuz-VERSION); install one there, or run the "
            "disk "
            "with a kernel of your own",
            system.name);
    }
    return system;
}

Result<std::string> disk_driver_warning(const ImageReader& reader, const ImageSystem& system,
                                        const std::string& initrd) {
    std::vector<std::string> needed{"virtio_mmio", "virtio_blk"};
    const std::optional<std::string> builtin = FMVM_TRY(reader.read(
        system.root_device, fmt::format("/lib/modules/{}/modules.builtin", system.kernel.version),
        builtin_list_max));
    std::erase_if(needed, [&](const std::string& module) {
        return builtin && builtin->find("/" + module + ".ko") != std::string::npos;
    });
    if (needed.empty()) return std::string();
    if (initrd.empty()) {
        return fmt::format(
            "kernel {} has no initial RAM disk; it needs {} built in to find its root",
            system.kernel.version, joined(needed));
    }
    const std::vector<std::uint8_t> content = FMVM_TRY(content_of(initrd));
    const auto missing = modules_not_in(content, needed);
    if (!missing) {
        return fmt::format(
            "whether {} has the modules {}, without which it does not find its root, cannot be "
            "told",
            system.kernel.initrd, joined(needed));
    }
    if (missing->empty()) return std::string();
    return fmt::format(
        "{} lacks {}, without which it does not find its root; add that to "
        "/etc/initramfs-tools/modules (dracut: add_drivers) in the system, and build it again",
        system.kernel.initrd, joined(*missing));
}

}  // namespace fmvm::node
