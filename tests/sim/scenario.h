// SPDX-License-Identifier: Apache-2.0
// A pair whose days are told one by one: what scenarios begin with.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>

#include "base/log.h"
#include "sim/sim_backup.h"
#include "sim/sim_primary.h"

namespace fmvm::sim {

// A protected guest that has run for a while.
class Scenario {
  public:
    explicit Scenario(Settings settings = {}) : world(settings) {
        log::set_level(log::Level::error);
    }

    void begin() {
        REQUIRE(world.run_until_protected());
        world.run_for(100ms);
        REQUIRE(world.timeline().failure() == "");
    }
    void settle() {
        world.settle();
        CHECK(world.timeline().failure() == "");
    }
    // Until the guest stands for a backup that could claim when it was asked, and cannot now.
    void begin_hopeless_switch_over() {
        begin();
        world.when(1, Moment::before_receive, lockstep::FrameType::switch_over,
                   [this] { world.arbiter().set_reachable(1, false); });
        world.primary().ask_to_switch_over();
        REQUIRE(world.run_until(
            [&] { return world.primary().state() == lockstep::Primary::State::handing_over; }));
    }
    bool backup_runs() { return world.backup().state() == lockstep::Backup::State::running; }
    bool primary_runs() { return world.primary().runs(); }

    World world;
};

inline Settings seeded(std::uint64_t seed) {
    Settings settings;
    settings.seed = seed;
    return settings;
}

// One side goes on, now this one, now that.
inline void expect_either_to_go_on(const std::function<void(World&)>& fault) {
    unsigned primaries = 0;
    unsigned backups = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Scenario scenario(seeded(seed));
        scenario.begin();
        fault(scenario.world);
        scenario.settle();
        CHECK(scenario.primary_runs() != scenario.backup_runs());
        primaries += scenario.primary_runs() ? 1 : 0;
        backups += scenario.backup_runs() ? 1 : 0;
    }
    CHECK(primaries > 0);
    CHECK(backups > 0);
}

}  // namespace fmvm::sim
