// SPDX-License-Identifier: Apache-2.0
#include "devices/block/loop_devices.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

#include <filesystem>
#include <fstream>

#include "base/unique_fd.h"

namespace fmvm {

namespace {

// Nothing: it cannot be asked.
std::optional<bool> stands_on(const std::string& device, const struct stat& file) {
    const UniqueFd fd(::open(device.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    loop_info64 info{};
    if (!fd || ::ioctl(fd.get(), LOOP_GET_STATUS64, &info) != 0) return std::nullopt;
    return info.lo_device == file.st_dev && info.lo_inode == file.st_ino;
}

bool is_named(const std::filesystem::path& backing_file, const struct stat& file) {
    std::string name;
    struct stat named {};
    return std::getline(std::ifstream(backing_file), name) && ::stat(name.c_str(), &named) == 0 &&
           named.st_dev == file.st_dev && named.st_ino == file.st_ino;
}

}  // namespace

std::optional<std::string> loop_device_on(const struct stat& file, const LoopDevicePlaces& places) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(places.described, ignored)) {
        const std::filesystem::path backing_file = entry.path() / "loop/backing_file";
        if (!std::filesystem::exists(backing_file, ignored)) continue;
        const std::string device = places.devices + "/" + entry.path().filename().string();
        if (stands_on(device, file).value_or(is_named(backing_file, file))) return device;
    }
    return std::nullopt;
}

}  // namespace fmvm
