// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/copy_progress.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

constexpr CopyProgress::TimePoint copy_start{1000s};

}  // namespace

TEST_CASE("copy progress: a peer that takes nothing for five seconds is given up", "[primary]") {
    CopyProgress progress;
    CHECK_FALSE(progress.stalls(copy_start, 4 * mib, true));
    CHECK(progress.deadline() == copy_start + 5s);
    CHECK_FALSE(progress.stalls(copy_start + 4900ms, 4 * mib, true));
    CHECK(progress.stalls(copy_start + 5s, 4 * mib, true));
}

TEST_CASE("copy progress: a slow peer is not given up as long as it gets on", "[primary]") {
    CopyProgress progress;
    std::size_t queued = 4 * mib;
    for (auto time = copy_start; queued > mib; time += 4s, queued -= CopyProgress::step)
        CHECK_FALSE(progress.stalls(time, queued, true));
    // But not a byte at a time.
    for (auto time = copy_start + 1h; time < copy_start + 1h + 5s; time += 1s)
        CHECK_FALSE(progress.stalls(time, --queued, true));
    CHECK(progress.stalls(copy_start + 1h + 5s, --queued, true));
}

TEST_CASE("copy progress: a queue that is filled again and again is progress", "[primary]") {
    CopyProgress progress;
    for (auto time = copy_start; time < copy_start + 60s; time += 1s) {
        CHECK_FALSE(progress.stalls(time, 4 * mib, true));
        progress.drained();
    }
    CHECK_FALSE(progress.stalls(copy_start + 60s, 0, false));
    CHECK(progress.deadline() == CopyProgress::TimePoint::max());
}
