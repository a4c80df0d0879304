// SPDX-License-Identifier: Apache-2.0
// Opening files by the names that users give. Nobody waits for a FIFO, and nobody is led by a
// planted link to another file than the one that was meant.
//
// Errors continue a sentence that begins with the file: "is a FIFO, not a file". Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm {

struct RegularFile {
    UniqueFd fd;
    std::uint64_t size = 0;  // bytes, when it was opened
};

// For reading. Links are followed: whoever names the file says what is to be read.
Result<RegularFile> open_regular_file(const std::string& path);

// For reading what fmvm itself wrote, by its name in an open directory (or by its path, with
// AT_FDCWD). A link is refused. Nothing: there is no such file.
Result<std::optional<RegularFile>> find_regular_file(int directory, const std::string& name);

// For writing what a guest says or does. It is made for its owner only (0600); one that is there
// keeps its mode and its content. Refused is what a stranger may have put there: a link to a file,
// a file of another user, or one with a second name. `flags` is O_WRONLY or O_RDWR, with O_APPEND
// or O_EXCL.
//
// Pipes, terminals and other streams are taken as well, also behind a link (/dev/stderr). A FIFO
// without a reader is refused. The descriptor does not block.
Result<UniqueFd> open_private_file(const std::string& path, int flags);

}  // namespace fmvm
