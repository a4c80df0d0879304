// SPDX-License-Identifier: Apache-2.0
// An operator has the two sides compared, whatever happens meanwhile.
#include <catch2/catch.hpp>

#include "base/log.h"
#include "sim/sim_backup.h"
#include "sim/sim_primary.h"

using namespace fmvm;
using namespace fmvm::sim;
using lockstep::Backup;
using lockstep::FrameType;
using lockstep::SyncMode;
using Kind = lockstep::VerifyOutcome::Kind;

namespace {

// A protected guest that has run for a while.
struct Protected {
    explicit Protected(const Settings& settings = {}) : world(settings) {
        log::set_level(log::Level::error);
        REQUIRE(world.run_until_protected());
        world.run_for(100ms);
    }
    // How a comparison ends.
    Kind compare() {
        world.primary().ask_to_verify();
        return await_end();
    }
    Kind await_end() {
        REQUIRE(world.run_until([&] { return world.primary().comparison().has_value(); }));
        return world.primary().comparison()->kind;
    }
    void settle() {
        world.settle();
        CHECK(world.timeline().failure() == "");
    }
    World world;
};

}  // namespace

TEST_CASE("simulation: two sides in step are equal, again and again", "[verify]") {
    Settings settings;
    settings.mode = GENERATE(SyncMode::kemari, SyncMode::epoch, SyncMode::adaptive);
    Protected pair(settings);
    for (int i = 0; i < 5; ++i)
        CHECK(pair.compare() == Kind::equal);
    pair.settle();
    CHECK(pair.world.is_protected());
}

TEST_CASE("simulation: a page that differs is found, and nobody takes over with it", "[verify]") {
    Protected pair;
    World& world = pair.world;
    // Its last page but one, behind the back of everybody. The guest may write it meanwhile: again.
    bool found = false;
    for (int i = 0; i < 20 && !found; ++i) {
        world.backup().ram()->page(toy_pages - 2)[7] ^= 1;
        found = pair.compare() == Kind::different;
    }
    REQUIRE(found);
    CHECK(world.primary().comparison()->text.find("RAM differs") != std::string::npos);
    CHECK(world.backup().state() != Backup::State::running);
    REQUIRE(world.run_until_protected());
    CHECK(pair.compare() == Kind::equal);
    pair.settle();
    CHECK(world.arbiter().newest() == 2);
    CHECK(world.primary().runs());
}

// Cut off at that moment, both sides would claim, and either could win.
TEST_CASE("simulation: a backup that knows that it differs claims nothing", "[verify]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Settings settings;
        settings.seed = seed;
        Protected pair(settings);
        World& world = pair.world;
        world.when(1, Moment::before_send, FrameType::unfit,
                   [&] { world.network().cut(true, true); });
        do {
            world.backup().ram()->page(toy_pages - 2)[7] ^= 1;
        } while (pair.compare() == Kind::equal);
        pair.settle();
        CHECK(world.primary().runs());
        CHECK(world.is_protected());
    }
}

TEST_CASE("simulation: a comparison whose backup is lost says so", "[verify]") {
    const FrameType moment = GENERATE(FrameType::digests, FrameType::commit, FrameType::ack);
    Protected pair;
    World& world = pair.world;
    world.when(moment == FrameType::ack ? 1 : 0, Moment::before_send, moment,
               [&] { world.network().cut(true, true); });
    CHECK(pair.compare() == Kind::unfinished);
    pair.settle();
}

TEST_CASE("simulation: a comparison ends with a switchover", "[verify]") {
    Protected pair;
    pair.world.when(1, Moment::before_send, FrameType::claim_tried,
                    [&] { pair.world.primary().ask_to_verify(); });
    pair.world.primary().ask_to_switch_over();
    REQUIRE(pair.world.run_until([&] { return pair.world.arbiter().newest() == 2; }));
    CHECK(pair.await_end() == Kind::unfinished);
    pair.settle();
}

TEST_CASE("simulation: one comparison at a time, and only of a pair", "[verify]") {
    Protected pair;
    World& world = pair.world;
    world.primary().ask_to_verify();
    world.primary().ask_to_verify();
    CHECK(pair.await_end() == Kind::unfinished);
    CHECK(world.primary().comparison()->text.find("under way") != std::string::npos);
    world.kill_backup(Death::cutting, 300ms);
    REQUIRE(world.run_until([&] { return !world.is_protected(); }));
    CHECK(pair.compare() == Kind::unfinished);
    pair.settle();
}
