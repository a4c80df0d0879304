// SPDX-License-Identifier: Apache-2.0
#include "base/work_steps.h"

#include <catch2/catch.hpp>

using namespace fmvm;

TEST_CASE("steps of long work are counted") {
    const std::uint64_t before = work_steps();
    work_step();
    work_step();
    CHECK(work_steps() >= before + 2);  // other threads may work, too
}
