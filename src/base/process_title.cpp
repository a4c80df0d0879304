// SPDX-License-Identifier: Apache-2.0
#include "base/process_title.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/unique_fd.h"

namespace fmvm {

namespace {

constexpr std::size_t thread_name_max = 15;

// What the kernel shows of it: the arguments lie behind each other, each with its zero.
std::size_t command_line_size() {
    const UniqueFd file(::open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC));
    if (!file) return 0;
    std::array<char, 4096> part;
    std::size_t size = 0;
    for (ssize_t got = 0; (got = ::read(file.get(), part.data(), part.size())) > 0;)
        size += static_cast<std::size_t>(got);
    return size;
}

}  // namespace

void set_process_title(const std::string& title) {
    const std::size_t size = command_line_size();
    if (size != 0) {
        char* const arguments = program_invocation_name;  // main's first, as glibc was given it
        std::memset(arguments, 0, size);
        title.copy(arguments, size - 1);
    }
    const std::size_t word = std::min(title.find(' '), thread_name_max);
    ::pthread_setname_np(::pthread_self(), title.substr(0, word).c_str());
}

}  // namespace fmvm
