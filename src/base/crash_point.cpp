// SPDX-License-Identifier: Apache-2.0
#include "base/crash_point.h"

#include <signal.h>

#include <atomic>
#include <charconv>
#include <cstdlib>

namespace fmvm::detail {

namespace {

struct Armed {
    std::string_view name;
    int count = 1;
};

Armed read_environment() {
    Armed armed;
    const char* const text = std::getenv("FMVM_CRASH_AT");
    if (text == nullptr) return armed;
    armed.name = text;
    const std::size_t colon = armed.name.find(':');
    if (colon == std::string_view::npos) return armed;
    const std::string_view count = armed.name.substr(colon + 1);
    std::from_chars(count.data(), count.data() + count.size(), armed.count);
    armed.name = armed.name.substr(0, colon);
    return armed;
}

const Armed armed = read_environment();
std::atomic<int> visits{0};

}  // namespace

const bool crash_points_armed = !armed.name.empty();

void visit_crash_point(std::string_view name) {
    if (name == armed.name && ++visits == armed.count) ::raise(SIGKILL);
}

}  // namespace fmvm::detail
