// SPDX-License-Identifier: Apache-2.0
// Switchovers, and what comes between: who goes on.
#include "sim/scenario.h"

using namespace fmvm;
using namespace fmvm::sim;
using lockstep::FrameType;
using lockstep::Primary;
using lockstep::PrimaryEnd;

TEST_CASE("simulation: a switchover loses and repeats nothing", "[scenario]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Scenario scenario(seeded(seed));
        scenario.begin();
        scenario.world.primary().ask_to_switch_over();
        REQUIRE(scenario.world.run_until([&] { return scenario.backup_runs(); }));
        scenario.settle();
        CHECK(scenario.world.primary().end() == PrimaryEnd::handed_over);
        CHECK(scenario.world.observer().repeated() == 0);
    }
}

TEST_CASE("simulation: a switchover with a death at each step", "[scenario]") {
    const int side = GENERATE(0, 1);
    const Death death = GENERATE(Death::flushing, Death::cutting, Death::silent);
    for (unsigned step = 1; step <= 60; ++step) {
        Scenario scenario(seeded(step));
        scenario.begin();
        World& world = scenario.world;
        world.primary().ask_to_switch_over();
        world.when_any(side, step, [&] {
            side == 0 ? world.kill_primary(death) : world.kill_backup(death, 20ms);
        });
        world.run_for(100ms);
        INFO("step " << step);
        scenario.settle();
        if (side == 0) CHECK(scenario.backup_runs());
    }
}

TEST_CASE("simulation: a switchover to a backup that cannot reach the arbiter", "[scenario]") {
    Scenario scenario;
    scenario.begin_hopeless_switch_over();
    World& world = scenario.world;
    const std::uint64_t steps = world.primary().guest().steps();
    REQUIRE(world.run_until([&] { return world.primary().state() == Primary::State::alone; }));
    CHECK(world.arbiter().newest() == 2);
    world.run_for(100ms);
    CHECK(world.primary().guest().steps() > steps);
    CHECK_FALSE(scenario.backup_runs());
    scenario.settle();
    CHECK(scenario.primary_runs());
    CHECK(world.is_protected());
}

TEST_CASE("simulation: a switchover that hangs is given up in time, however patient the sides are",
          "[scenario]") {
    Settings settings;
    settings.lost_after = 60s;
    Scenario scenario(settings);
    scenario.begin_hopeless_switch_over();
    World& world = scenario.world;
    CHECK(world.run_until([&] { return world.primary().state() == Primary::State::alone; }, 4s));
}

TEST_CASE("simulation: a switchover that the arbiter would not answer leaves the guest running",
          "[scenario]") {
    const bool reads = GENERATE(true, false);
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.arbiter().set_writable(false);
    for (const int side : {0, 1})
        world.arbiter().set_reachable(side, reads);
    const std::uint64_t steps = world.primary().guest().steps();
    world.primary().ask_to_switch_over();
    world.run_for(5s);
    CHECK(world.primary().guest().steps() > steps + 500);
    CHECK(world.is_protected());
    CHECK(world.arbiter().newest() == 1);
    scenario.settle();
    CHECK(scenario.primary_runs());
}

TEST_CASE("simulation: an arbiter that goes away in a switchover holds the guest for two seconds",
          "[scenario]") {
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.when(1, Moment::before_receive, FrameType::switch_over, [&] {
        for (const int side : {0, 1})
            world.arbiter().set_reachable(side, false);
    });
    world.primary().ask_to_switch_over();
    REQUIRE(
        world.run_until([&] { return world.primary().state() == Primary::State::handing_over; }));
    world.run_for(2100ms);
    const std::uint64_t steps = world.primary().guest().steps();
    world.run_for(1s);
    CHECK(world.primary().state() == Primary::State::deciding);
    CHECK(world.primary().guest().steps() > steps);
    scenario.settle();
    CHECK(world.running() == 1);
}

// What it had in flight at the last cut is carried out by the side that goes on, and by no other.

TEST_CASE("simulation: a guest that is stopped while it is handed over goes on over there",
          "[scenario]") {
    unsigned handed_over = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Scenario scenario(seeded(seed));
        scenario.begin();
        World& world = scenario.world;
        world.primary().ask_to_switch_over();
        world.run_for(std::chrono::microseconds(seed * 200));
        const bool last_cut_made = world.primary().guest_stands();
        if (!last_cut_made) continue;
        world.primary().machine().guest_ended("stopped");
        REQUIRE(world.run_until([&] { return world.primary().end().has_value(); }));
        CHECK(world.primary().end() == PrimaryEnd::handed_over);
        REQUIRE(world.run_until([&] { return scenario.backup_runs(); }));
        scenario.settle();
        ++handed_over;
    }
    CHECK(handed_over > 0);
}

TEST_CASE("simulation: a switchover to a backup whose arbiter answers late", "[scenario]") {
    expect_either_to_go_on([](World& world) {
        world.when(1, Moment::before_receive, FrameType::switch_over,
                   [&world] { world.arbiter().set_delay(500ms, 8s); });  // each way
        world.primary().ask_to_switch_over();
        world.run_for(20s);
    });
}
