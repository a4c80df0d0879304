// SPDX-License-Identifier: Apache-2.0
#include "support/temp_file.h"

#include <sys/mount.h>

namespace fmvm::test {

std::optional<UniqueFd> file_on(const char* file_system, const char* option, const char* value) {
    const UniqueFd context(::fsopen(file_system, FSOPEN_CLOEXEC));
    if (!context) return std::nullopt;
    if (option != nullptr &&
        ::fsconfig(context.get(), FSCONFIG_SET_STRING, option, value, 0) != 0) {
        return std::nullopt;
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return std::nullopt;
    }
    const UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    if (!mount) return std::nullopt;
    UniqueFd file(::openat(mount.get(), "disk", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return std::nullopt;
    return file;
}

}  // namespace fmvm::test
