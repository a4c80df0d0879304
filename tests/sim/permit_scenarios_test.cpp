// SPDX-License-Identifier: Apache-2.0
// Days on which a clause of the permit decides whether both sides speak: with all clauses no rule
// of the world is broken, and without that one some are.
#include <functional>

#include "sim/scenario.h"

using namespace fmvm;
using namespace fmvm::sim;
using lockstep::PrimaryEnd;

namespace {

struct Day {
    Without clause;
    std::function<void(Settings&)> settings;
    std::function<void(World&)> happens;
};

// What was acknowledged waits in the primary's console when a middle box resets the backup's
// connection, and the primary hears nothing of that.
void reset_unseen(World& world, Duration stall, Duration before) {
    world.primary().console().stall(stall);
    world.run_for(before);
    world.network().cut(false, true);
    world.run_for(300ms);
}

const Day days[] = {
    {Without::awaited_promise, [](Settings&) {},
     [](World& world) { reset_unseen(world, 30ms, 20ms); }},
    {Without::own_length,
     [](Settings& settings) {
         settings.permit = 10ms;
         settings.lost_after = 400ms;
     },
     [](World& world) {
         world.network().set_delay(15ms, 20ms);
         world.run_for(400ms);
         reset_unseen(world, 120ms, 80ms);
     }},
    {Without::sending_time, [](Settings&) {},
     [](World& world) {
         world.network().set_delay(18ms, 21ms);
         world.run_for(200ms);
         reset_unseen(world, 100ms, 40ms);
     }},
    {Without::boot_clock, [](Settings&) {},
     [](World& world) {
         world.primary().console().stall(15ms);
         world.run_for(10ms);
         world.primary().process().pause(1s);
         world.run_for(1500ms);
     }},
};

bool is_broken(const Day& day, Without without, std::uint64_t seed) {
    Settings settings = seeded(seed);
    settings.without = without;
    day.settings(settings);
    Scenario scenario(settings);
    scenario.begin();
    day.happens(scenario.world);
    if (scenario.world.timeline().failure().empty()) scenario.world.settle();
    return !scenario.world.timeline().failure().empty();
}

}  // namespace

// The margin decides too seldom for a simulation of seconds: the model of the permit shows it.
TEST_CASE("simulation: each clause of the permit is needed on some day", "[scenario][permit]") {
    constexpr std::uint64_t seeds = 20;
    for (const Day& day : days) {
        INFO(name_of(day.clause));
        for (std::uint64_t seed = 1; seed <= seeds; ++seed)
            CHECK_FALSE(is_broken(day, Without::nothing, seed));
        std::uint64_t seed = 1;
        while (seed <= seeds && !is_broken(day, day.clause, seed))
            ++seed;
        CHECK(seed <= seeds);
    }
}

TEST_CASE("simulation: a pair whose round trip is longer than --permit is heard", "[scenario]") {
    Settings settings;
    settings.permit = 20ms;
    settings.lost_after = 400ms;
    Scenario scenario(settings);
    World& world = scenario.world;
    world.network().set_delay(60ms, 65ms);
    scenario.begin();
    const std::uint64_t lines = world.observer().lines();
    world.run_for(5s);
    CHECK(world.observer().lines() > lines + 50);
    CHECK(world.arbiter().newest() == 1);
    scenario.settle();
}

TEST_CASE("simulation: the word of a sentinel lets the backup speak without waiting",
          "[scenario]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Scenario scenario(seeded(seed));
        scenario.begin();
        World& world = scenario.world;
        world.primary().console().stall(1s);  // so that there is something to show at once
        world.run_for(20ms);
        const std::uint64_t shown = world.observer().end();
        world.kill_primary(Death::silent);
        world.tell_of_death();
        CHECK(world.run_until([&] { return world.observer().end() > shown; }, 20ms));
        scenario.settle();
        CHECK(scenario.backup_runs());
    }
}

TEST_CASE("simulation: the word of a sentinel that comes late changes nothing", "[scenario]") {
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.kill_primary(Death::flushing);
    REQUIRE(world.run_until([&] { return scenario.backup_runs(); }));
    world.tell_of_death();
    scenario.settle();
    CHECK(scenario.backup_runs());
}
