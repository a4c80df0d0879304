// SPDX-License-Identifier: Apache-2.0
// A side whose working thread stands, while its signs of life go on.
#include "sim/scenario.h"

using namespace fmvm;
using namespace fmvm::sim;
using lockstep::PrimaryEnd;
using lockstep::SyncMode;

namespace {

// Longer than either side is patient for, and over before the world settles.
constexpr Duration hang_length = 7s;
// How long a reader may see nothing: the deadline of an acknowledgement or an epoch, what the bytes
// on their way need, and what it takes to decide.
constexpr Duration silence_max = 5s;

void expect_lines_within(Scenario& scenario, Duration limit) {
    const std::uint64_t lines = scenario.world.observer().lines();
    CHECK(scenario.world.run_until([&] { return scenario.world.observer().lines() > lines + 3; },
                                   limit));
}

}  // namespace

TEST_CASE("simulation: a backup whose working thread stands does not silence the guest",
          "[scenario]") {
    Settings settings;
    settings.mode = GENERATE(SyncMode::kemari, SyncMode::epoch, SyncMode::adaptive);
    Scenario scenario(settings);
    scenario.begin();
    World& world = scenario.world;
    world.backup().process().hang(hang_length);
    world.run_for(200ms);  // what was acknowledged before is shown
    expect_lines_within(scenario, silence_max);
    CHECK(scenario.primary_runs());
    CHECK(world.arbiter().newest() == 2);
    world.run_for(hang_length);
    scenario.settle();
    CHECK(scenario.primary_runs());
    CHECK(world.is_protected());
}

TEST_CASE("simulation: a primary whose working thread stands loses its guest to the backup",
          "[scenario]") {
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.primary().process().hang(hang_length);
    expect_lines_within(scenario, silence_max);
    CHECK(scenario.backup_runs());
    world.run_for(hang_length);
    scenario.settle();
    CHECK(world.primary().end() == PrimaryEnd::superseded);
}

TEST_CASE("simulation: a working thread that stands for a while moves nothing", "[scenario]") {
    const int side = GENERATE(0, 1);
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    (side == 0 ? world.primary().process() : world.backup().process()).hang(2500ms);
    world.run_for(4s);
    scenario.settle();
    CHECK(world.arbiter().newest() == 1);
    CHECK(world.is_protected());
}
