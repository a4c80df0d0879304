// SPDX-License-Identifier: Apache-2.0
// Orders of events that are worth a name. The rules of World hold in each; what is checked here
// is who goes on.
#include "sim/scenario.h"

using namespace fmvm;
using namespace fmvm::sim;
using lockstep::Backup;
using lockstep::FrameType;
using lockstep::OnBackupLost;
using lockstep::PrimaryEnd;
using lockstep::SyncMode;

namespace {

// Somebody else connects and is told something.
class StrangersChannel : public lockstep::Channel {
  public:
    explicit StrangersChannel(std::string& told) : told_(told) {}
    void start(lockstep::ChannelUser&) override {}
    std::uint64_t send(FrameType type, lockstep::GatheredBody body) override {
        if (type == FrameType::refuse)
            told_ = lockstep::RefuseMessage::decode(body.flat()).value().reason;
        return 0;
    }
    std::uint64_t send_with_next(FrameType type, lockstep::GatheredBody body) override {
        return send(type, std::move(body));
    }
    void keep_alive(std::chrono::milliseconds, lockstep::Heartbeat::Role) override {}
    std::chrono::steady_clock::time_point last_heard() const override { return {}; }
    std::size_t queued_bytes() const override { return 0; }
    lockstep::Traffic traffic() const override { return {}; }
    void close() override {}
    std::string peer() const override { return "a stranger"; }

  private:
    std::string& told_;
};

}  // namespace

TEST_CASE("simulation: a quiet day", "[scenario]") {
    const SyncMode mode = GENERATE(SyncMode::kemari, SyncMode::epoch, SyncMode::adaptive);
    Settings settings;
    settings.mode = mode;
    Scenario scenario(settings);
    scenario.begin();
    scenario.world.run_for(1s);
    scenario.settle();
    CHECK(scenario.world.is_protected());
    CHECK(scenario.world.arbiter().newest() == 1);
    CHECK(scenario.world.observer().lines() > 50);
    CHECK(scenario.world.observer().repeated() == 0);
}

TEST_CASE("simulation: a backup whose host cannot run the guest never follows", "[scenario]") {
    Settings settings;
    settings.backup_fits = false;
    Scenario scenario(settings);
    World& world = scenario.world;
    world.run_for(3s);
    CHECK(world.timeline().failure() == "");
    CHECK(scenario.primary_runs());
    CHECK(!world.is_protected());
    CHECK(!world.backup().could_take_over(world.arbiter().newest()));
    CHECK(world.observer().lines() > 50);  // shown, not held for a backup that will not commit
    world.kill_primary(Death::cutting);
    world.run_for(1s);
    CHECK(world.running() == 0);
}

TEST_CASE("simulation: an epoch that cannot be restored is not acknowledged", "[scenario]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Settings settings = seeded(seed);
        settings.restorable_states = 5 + seed % 3;
        Scenario scenario(settings);
        World& world = scenario.world;
        REQUIRE(world.run_until_protected());
        const bool refused = world.run_until([&] { return world.arbiter().newest() == 2; });
        REQUIRE(refused);
        scenario.settle();
        // Either side goes on: the backup holds the epoch before.
        CHECK(world.running() == 1);
        CHECK(scenario.primary_runs() != scenario.backup_runs());
    }
}

TEST_CASE("simulation: an acknowledgement is lost with the connection", "[scenario]") {
    const bool tell_primary = GENERATE(true, false);
    const bool tell_backup = GENERATE(true, false);
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.when(1, Moment::before_send, FrameType::ack,
               [&] { world.network().cut(tell_primary, tell_backup); });
    world.run_for(100ms);
    scenario.settle();
    CHECK(world.arbiter().newest() == 2);
    CHECK(world.running() == 1);
}

TEST_CASE("simulation: committed, the acknowledgement lost, and the primary dies", "[scenario]") {
    const Death death = GENERATE(Death::flushing, Death::cutting, Death::silent);
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.when(1, Moment::before_send, FrameType::ack, [&] { world.kill_primary(death); });
    world.run_for(60ms);
    scenario.settle();
    CHECK(scenario.backup_runs());
}

TEST_CASE("simulation: the backup dies between commit and acknowledgement", "[scenario]") {
    const Death death = GENERATE(Death::flushing, Death::cutting, Death::silent);
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.when(1, Moment::before_send, FrameType::ack, [&] { world.kill_backup(death, 50ms); });
    scenario.world.run_for(60ms);
    scenario.settle();
    CHECK(world.is_protected());
    CHECK(world.arbiter().newest() == 2);
}

TEST_CASE("simulation: both claim at once, and one goes on", "[scenario]") {
    expect_either_to_go_on([](World& world) { world.network().cut(true, true); });
}

TEST_CASE("simulation: a frozen primary comes back to acknowledgements", "[scenario]") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Scenario scenario(seeded(seed));
        scenario.begin();
        World& world = scenario.world;
        world.when(0, Moment::after_send, FrameType::commit,
                   [&] { world.primary().process().pause(2s); });
        REQUIRE(world.run_until([&] { return scenario.backup_runs(); }));
        world.run_for(100ms);
        scenario.settle();
        CHECK(world.primary().end() == PrimaryEnd::superseded);
        CHECK(scenario.backup_runs());
    }
}

TEST_CASE("simulation: who waits for the disks answers meanwhile", "[scenario]") {
    Settings settings;
    settings.disks_held = 3s;
    Scenario scenario(settings);
    scenario.begin();
    World& world = scenario.world;
    world.kill_primary(Death::flushing);
    REQUIRE(
        world.run_until([&] { return world.backup().state() == Backup::State::awaiting_disks; }));
    std::string told;
    world.backup().machine().connected(std::make_unique<StrangersChannel>(told));
    CHECK(told == "the guest is being taken over here; this is no backup any more");
    world.run_for(1s);
    CHECK(world.backup().state() == Backup::State::awaiting_disks);
    CHECK(world.running() == 0);
    REQUIRE(world.run_until([&] { return scenario.backup_runs(); }));
    scenario.settle();
}

TEST_CASE("simulation: kemari's guest stands until the acknowledgement", "[scenario]") {
    Settings settings;
    settings.mode = SyncMode::kemari;
    Scenario scenario(settings);
    scenario.begin();
    World& world = scenario.world;
    world.network().freeze(1);
    world.run_for(60ms);
    const std::uint64_t steps = world.primary().guest().steps();
    world.run_for(20ms);
    CHECK(world.primary().guest().steps() == steps);
    scenario.settle();
    CHECK(world.is_protected());
    CHECK(world.primary().guest().steps() > steps);
}

TEST_CASE("simulation: the backup dies during the initial copy, for good", "[scenario]") {
    for (unsigned step = 1; step <= 30; ++step) {
        Scenario scenario(seeded(step));
        World& world = scenario.world;
        world.network().set_weight(1000);  // else all of it is on its way at once
        world.when_any(1, step, [&] { world.kill_backup(Death::flushing, std::nullopt); });
        world.run_for(20ms);
        INFO("step " << step);
        scenario.settle();
        CHECK(scenario.primary_runs());
    }
}

TEST_CASE("simulation: the guest ends during the initial copy", "[scenario]") {
    Settings settings;
    settings.guest_steps = 90;
    Scenario scenario(settings);
    scenario.world.network().set_weight(1000);
    scenario.world.network().set_delay(20ms, 30ms);
    REQUIRE(scenario.world.run_until(
        [&] { return scenario.world.primary().end() == PrimaryEnd::guest_ended; }));
    scenario.settle();
    CHECK(scenario.world.guest_ended());
}

TEST_CASE("simulation: what waited in the console before the first commit", "[scenario]") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        Scenario scenario(seeded(seed));
        World& world = scenario.world;
        world.network().set_delay(5ms, 10ms);
        if (seed % 2 == 0) world.run_for(50ms);  // some of it was shown
        const std::uint64_t shown = world.observer().end();
        world.primary().console().stall(60s);
        REQUIRE(world.run_until_protected());
        world.run_for(100ms);
        CHECK(world.observer().end() == shown);
        world.kill_primary(Death::flushing);
        scenario.settle();
        CHECK(scenario.backup_runs());
    }
}

TEST_CASE("simulation: a claim of our own does not silence us", "[scenario]") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        Scenario scenario(seeded(seed));
        scenario.begin();
        World& world = scenario.world;
        world.arbiter().set_delay(30ms, 50ms);
        world.primary().console().stall(60ms);
        world.run_for(20ms);
        world.kill_backup(Death::flushing, std::nullopt);
        world.run_for(200ms);
        scenario.settle();
        CHECK(scenario.primary_runs());
    }
}

TEST_CASE("simulation: a full queue makes nobody spin", "[scenario]") {
    Scenario scenario;
    World& world = scenario.world;
    // Some of these fill the queue with exactly one epoch.
    world.network().set_weight(GENERATE(range(300u, 6000u, 50u)));
    scenario.begin();
    world.network().freeze(0);
    world.run_for(70ms);
    scenario.settle();
    CHECK(world.is_protected());
}

TEST_CASE("simulation: stop when the backup is lost", "[scenario]") {
    Settings settings;
    settings.on_backup_lost = OnBackupLost::stop;
    Scenario scenario(settings);
    scenario.begin();
    scenario.world.kill_backup(Death::silent, std::nullopt);
    scenario.world.run_for(500ms);
    scenario.settle();
    CHECK(scenario.world.primary().end() == PrimaryEnd::backup_lost);
    CHECK(scenario.world.lost());
}

TEST_CASE("simulation: without the arbiter nobody runs alone", "[scenario]") {
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    for (const int side : {0, 1})
        world.arbiter().set_reachable(side, false);
    world.network().cut(true, true);
    world.run_for(20ms);
    const std::uint64_t shown = world.observer().end();
    world.run_for(1s);
    CHECK(world.observer().end() == shown);
    CHECK(world.arbiter().newest() == 1);
    scenario.settle();
    CHECK(world.arbiter().newest() == 2);
}

TEST_CASE("simulation: the guest ends, and the backup is told", "[scenario]") {
    Settings settings;
    settings.guest_steps = 300;
    Scenario scenario(settings);
    scenario.begin();
    scenario.settle();
    REQUIRE(scenario.world.run_until([&] { return scenario.world.guest_ended(); }));
    scenario.world.run_for(100ms);
    scenario.settle();
    CHECK(scenario.world.primary().end() == PrimaryEnd::guest_ended);
    CHECK_FALSE(scenario.world.backup().process().alive());
}

TEST_CASE("simulation: a peer that says it has switched, and has claimed nothing, is lost",
          "[scenario]") {
    Scenario scenario;
    scenario.begin();
    World& world = scenario.world;
    world.when(1, Moment::before_receive, FrameType::switch_over, [&] {
        world.primary().hears(lockstep::SwitchedMessage{2});
        world.kill_backup(Death::silent, 50ms);
    });
    world.primary().ask_to_switch_over();
    REQUIRE(world.run_until([&] { return world.arbiter().newest() == 2; }));
    REQUIRE(world.run_until_protected());
    scenario.settle();
    CHECK(scenario.primary_runs());
}

TEST_CASE("simulation: a backup whose peer says that the guest has ended goes on waiting",
          "[scenario]") {
    Scenario scenario;
    World& world = scenario.world;
    world.when(1, Moment::after_receive, FrameType::hello,
               [&] { world.backup().hears_untrue_end(); });
    scenario.begin();
    CHECK(world.is_protected());
}
