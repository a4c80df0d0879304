// SPDX-License-Identifier: Apache-2.0
// Which loop device (losetup(8), loop(4)) stands on a file: what is mounted from that device, or
// built on it by LVM or dm, is written to past the locks of the file.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

namespace fmvm {

struct LoopDevicePlaces {
    std::string described = "/sys/block";
    std::string devices = "/dev";
};

// The path of the first one. `file`: what fstat(2) says of the file. Where the devices may not be
// opened, the name that sysfs tells for the file is compared. Nothing: none is known. Any thread.
std::optional<std::string> loop_device_on(const struct stat& file,
                                          const LoopDevicePlaces& places = {});

}  // namespace fmvm
