// SPDX-License-Identifier: Apache-2.0
#include "base/standard_error.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

namespace fmvm {

namespace {

// Null until something was said.
std::atomic<BackgroundWriter*> writer{nullptr};

}  // namespace

BackgroundWriter& standard_error() {
    static BackgroundWriter* const instance = [] {
        auto* const made = new BackgroundWriter(STDERR_FILENO);
        writer = made;
        return made;
    }();
    return *instance;
}

void finish_standard_error() {
    BackgroundWriter* const made = writer;
    if (made != nullptr) made->flush(last_words_limit);
}

void say_last_words(const char* text) {
    finish_standard_error();
    pollfd reader{STDERR_FILENO, POLLOUT, 0};
    if (::poll(&reader, 1, static_cast<int>(last_words_limit.count())) <= 0) return;
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
}

}  // namespace fmvm
