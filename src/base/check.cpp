// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace fmvm {

void check_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "fmvm: internal error: %s does not hold at %s:%d; please report this\n",
                 condition, file, line);
    std::abort();
}

}  // namespace fmvm
