// SPDX-License-Identifier: Apache-2.0
// A pipe whose ends tests hold apart, with a reader that gives up after a while.
#pragma once

#include <fcntl.h>
#include <poll.h>

#include <string>

#include "base/check.h"
#include "base/unique_fd.h"
#include "support/fake_lines.h"

namespace fmvm::test {

struct Pipe {
    Pipe() {
        int ends[2];
        FMVM_CHECK(::pipe2(ends, O_CLOEXEC) == 0);
        read_end = UniqueFd(ends[0]);
        write_end = UniqueFd(ends[1]);
    }
    // A page is the smallest there is.
    void resize(int bytes) { FMVM_CHECK(::fcntl(write_end.get(), F_SETPIPE_SZ, bytes) >= bytes); }

    // The next bytes, at least one and at most `size`; empty at the end or when time runs out.
    std::string read_some(std::size_t size) const {
        pollfd query{read_end.get(), POLLIN, 0};
        constexpr auto limit = std::chrono::milliseconds(wait_limit).count();
        if (::poll(&query, 1, static_cast<int>(limit)) <= 0) return {};
        std::string text(size, '\0');
        const ssize_t got = ::read(read_end.get(), text.data(), size);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }
    std::string read_exactly(std::size_t size) const {
        std::string text;
        while (text.size() < size) {
            const std::string more = read_some(size - text.size());
            if (more.empty()) break;
            text += more;
        }
        return text;
    }

    UniqueFd read_end;
    UniqueFd write_end;
};

// Numbered lines, so that a loss or a swap shows: "000000\n000001\n"...
inline std::string numbered_lines(std::size_t bytes) {
    std::string text;
    for (std::size_t i = 0; text.size() < bytes; ++i) {
        std::string number = std::to_string(i);
        text += std::string(number.size() < 6 ? 6 - number.size() : 0, '0') + number + '\n';
    }
    text.resize(bytes);
    return text;
}

}  // namespace fmvm::test
