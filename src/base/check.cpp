// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include "base/standard_error.h"

namespace fmvm {

void check_failed(const char* condition, const char* file, int line) {
    std::array<char, 1024> text{};
    std::snprintf(text.data(), text.size(),
                  "fmvm: internal error: %s does not hold at %s:%d; please report this\n",
                  condition, file, line);
    say_last_words(text.data());
    std::abort();
}

}  // namespace fmvm
