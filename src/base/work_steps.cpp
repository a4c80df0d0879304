// SPDX-License-Identifier: Apache-2.0
#include "base/work_steps.h"

#include <atomic>

namespace fmvm {

namespace {

std::atomic<std::uint64_t> steps_done{0};

}  // namespace

void work_step() {
    steps_done.fetch_add(1, std::memory_order_relaxed);
}

std::uint64_t work_steps() {
    return steps_done.load(std::memory_order_relaxed);
}

}  // namespace fmvm
