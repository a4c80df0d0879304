// SPDX-License-Identifier: Apache-2.0
// A guest that writes pages and uses its disks at random, cuts at random moments, and a backup that
// is sent what the reference rule leaves of it: after every cut, when the backup has applied it,
// its RAM must be the primary's as of the cut, and so must its disks, but for sectors that a change
// was on its way to. FMVM_REPLAY_SEEDS=100000: more of it, from FMVM_REPLAY_FIRST (1) on;
// FMVM_REPLAY_SEED=17: that one.
#include <catch2/catch.hpp>
#include <iostream>

#include "model/replay_model.h"
#include "support/seeds.h"

using namespace fmvm;
using namespace fmvm::replay::model;
using namespace fmvm::test;

TEST_CASE("replay: the backup is the primary as of the cut, whatever the guest does", "[seeds]") {
    Counts counts;
    const Seeds seeds = seeds_from_environment("REPLAY", 400);
    std::uint64_t failed = 0;
    for (std::uint64_t seed = seeds.first; seed < seeds.end(); ++seed) {
        const std::string failure = live_through(seed, counts);
        if (failure.empty()) continue;
        if (++failed <= 10) std::cerr << "FMVM_REPLAY_SEED=" << seed << ": " << failure << '\n';
    }
    std::cerr << seeds.count << " seeds, " << counts.steps << " steps, " << counts.cuts
              << " cuts: " << failed << " failed; " << counts.by_reference
              << " writes by reference (" << counts.from_filled << " pieces from filled pages), "
              << counts.by_value << " records by value, " << counts.filled << " pages filled, "
              << counts.spanning << " writes in flight at a cut\n";
    CHECK(failed == 0);
    if (seeds.only_one) return;
    CHECK(counts.by_reference > seeds.count);
    CHECK(counts.by_value > seeds.count);
    CHECK(counts.filled > seeds.count);
    CHECK(counts.from_filled > 0);
    CHECK(counts.spanning > seeds.count);
}
