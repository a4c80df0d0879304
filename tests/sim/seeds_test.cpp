// SPDX-License-Identifier: Apache-2.0
// Many bad days. FMVM_SIM_SEEDS=10000: more of them, from FMVM_SIM_FIRST (1) on; FMVM_SIM_SEED=17:
// that one, with its log. How many of them fail without a clause of the permit: sim_tests
// "[clauses]".
#include <catch2/catch.hpp>
#include <iostream>

#include "base/log.h"
#include "sim/faults.h"
#include "support/seeds.h"

using namespace fmvm::sim;

namespace {

// What came of it, for the figures at the end.
struct Outcome {
    std::string failure;
    bool ended = false;
    bool lost = false;
    fmvm::lockstep::Generation generation = 0;
};

Outcome live_through(std::uint64_t seed, bool log, Without without = Without::nothing) {
    Settings settings = settings_of(seed);
    settings.keep_log = log;
    settings.without = without;
    World world(settings);
    plan_faults(world, seed);
    world.run_for(fault_time);
    world.settle();
    for (const std::string& line : world.timeline().log())
        std::cerr << line << '\n';
    return {world.timeline().failure(), world.guest_ended(), world.lost(),
            world.arbiter().newest()};
}

}  // namespace

TEST_CASE("simulation: whatever happens, the rules hold", "[seeds]") {
    fmvm::log::set_level(fmvm::log::Level::error);
    const fmvm::test::Seeds seeds = fmvm::test::seeds_from_environment("SIM", 500);
    std::uint64_t failed = 0, ended = 0, lost = 0, decided = 0;
    for (std::uint64_t seed = seeds.first; seed < seeds.end(); ++seed) {
        const Outcome outcome = live_through(seed, seeds.only_one);
        ended += outcome.ended ? 1 : 0;
        lost += outcome.lost ? 1 : 0;
        decided += outcome.generation > 1 ? 1 : 0;
        if (outcome.failure.empty()) continue;
        if (++failed <= 10)
            std::cerr << "FMVM_SIM_SEED=" << seed << ": " << outcome.failure << '\n';
    }
    std::cerr << seeds.count << " seeds: " << failed << " failed; a side went on alone in "
              << decided << ", the guest ended in " << ended << " and was lost in " << lost << '\n';
    CHECK(failed == 0);
}

// The table of docs/life.md. It takes as long as the seeds once for each clause.
TEST_CASE("simulation: seeds fail without a clause of the permit", "[.clauses]") {
    fmvm::log::set_level(fmvm::log::Level::error);
    const fmvm::test::Seeds seeds = fmvm::test::seeds_from_environment("SIM", 500);
    std::uint64_t failed_of_all = 0;
    for (const Without clause : clauses) {
        std::uint64_t failed = 0;
        for (std::uint64_t seed = seeds.first; seed < seeds.end(); ++seed)
            failed += live_through(seed, false, clause).failure.empty() ? 0 : 1;
        std::cerr << "without " << name_of(clause) << ": " << failed << " of " << seeds.count
                  << " seeds fail\n";
        failed_of_all += failed;
    }
    CHECK(failed_of_all > 0);
}
