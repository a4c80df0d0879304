// SPDX-License-Identifier: Apache-2.0
// A backup's waits, ends and refusals, each for itself. (What becomes of both sides under faults:
// the simulation.)
#include "lockstep/backup/backup.h"

#include <catch2/catch.hpp>

#include "support/backup_bench.h"
#include "support/death.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

using State = BackupState;

TEST_CASE("backup: it takes over from a primary that hands over") {
    BackupBench bench;
    for (const State state : {State::greeting, State::receiving, State::following,
                              State::awaiting_flush, State::deciding, State::awaiting_disks,
                              State::discarding, State::running, State::finished}) {
        BackupBench other;
        other.bring_to(state);
        CHECK(other.backup.state() == state);
    }
    bench.bring_to(State::running);
    CHECK(got(*bench.primary, FrameType::welcome));
    CHECK(got(*bench.primary, FrameType::ack));
    CHECK(got(*bench.primary, FrameType::switched));
    CHECK(bench.primary->closed);
}

TEST_CASE("backup: a message that does not fit refuses the primary, and nothing else happens") {
    constexpr State with_primary[] = {State::greeting, State::receiving, State::following,
                                      State::awaiting_flush, State::deciding};
    for (const State state : with_primary) {
        for (unsigned number = 1; number < 40; ++number) {
            const auto type = static_cast<FrameType>(number);
            if (check_turn(type, state).ok()) continue;
            BackupBench bench;
            bench.bring_to(state);
            const unsigned claims = bench.claims;
            bench.say(type);
            CHECK(bench.primary->refusal == check_turn(type, state).error().message());
            CHECK(bench.primary->closed);
            CHECK_FALSE(got(*bench.primary, FrameType::unfit));
            // As if the connection had been cut at that moment.
            const bool whole = state != State::greeting && state != State::receiving;
            CHECK(bench.backup.state() == (whole ? State::deciding : State::listening));
            CHECK(bench.claims == (whole ? 1 : claims));
        }
    }
}

TEST_CASE("backup: a primary that hands over is not replaced before the disks are flushed") {
    BackupBench bench;
    bench.bring_to(State::awaiting_flush);
    CHECK(bench.claims == 0);
    bench.pass(2ms);
    CHECK(bench.backup.state() == State::awaiting_flush);
    SECTION("the flush is done") {
        bench.disks.flushing = false;
        bench.pass(2ms);
        CHECK(bench.backup.state() == State::deciding);
        CHECK(bench.claims == 1);
    }
    SECTION("the primary is lost, and cannot keep the guest") {
        bench.backup.channel_lost("the line is cut");
        CHECK(bench.backup.state() == State::deciding);
        CHECK(bench.claims == 1);
    }
    SECTION("the flush fails") {
        bench.disks.flushing = false;
        bench.disks.failed = true;
        bench.pass(2ms);
        CHECK(bench.backup.state() == State::listening);
        CHECK(bench.claims == 0);
        CHECK(got(*bench.primary, FrameType::unfit));
        CHECK(bench.primary->closed);
    }
}

TEST_CASE("backup: an arbiter that cannot answer is asked again, and a disk looked at again") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.backup.channel_lost("the line is cut");
    bench.answer(Error("the arbiter's mount is gone"));
    CHECK(bench.backup.state() == State::deciding);
    bench.pass(499ms);
    CHECK(bench.claims == 0);
    SECTION("the disks are well") {
        bench.pass(1ms);
        CHECK(bench.claims == 1);
        bench.answer(Claim::lost);
        CHECK(bench.backup.state() == State::listening);
        CHECK(bench.discarded == 1);
    }
    SECTION("a disk has failed meanwhile") {
        bench.disks.failed = true;
        bench.pass(1ms);
        CHECK(bench.claims == 0);
        CHECK(bench.backup.state() == State::listening);
    }
}

TEST_CASE("backup: who has won waits for its disks, and tells who connects") {
    BackupBench bench;
    bench.bring_to(State::awaiting_disks);
    CHECK(bench.backup.deadline() == bench.now() + 2ms);
    CHECK(bench.connect()->refusal ==
          "the guest is being taken over here; this is no backup any more");
    SECTION("they are free at last") {
        bench.disks_free = true;
        bench.pass(2ms);
        CHECK(bench.backup.state() == State::running);
    }
    SECTION("the guest cannot run") {
        bench.cannot_run = true;
        bench.pass(2ms);
        CHECK(bench.backup.state() == State::finished);
        CHECK(bench.failure == "it cannot run");
    }
    CHECK(bench.discarded == 0);
    CHECK(bench.backup.deadline() == BackupHost::TimePoint::max());
}

TEST_CASE(
    "backup: a copy is not destroyed while its disks are at work, and nobody waits for them") {
    BackupBench bench;
    SECTION("before the first commit") {
        bench.bring_to(State::receiving);
        bench.disks.flushing = true;
        bench.backup.channel_lost("the line is cut");
    }
    SECTION("after a claim that was lost") {
        bench.bring_to(State::following);
        bench.disks.flushing = true;
        bench.backup.channel_lost("the line is cut");
        bench.answer(Claim::lost);
    }
    SECTION("when a disk has failed") {
        bench.bring_to(State::following);
        bench.disks.flushing = bench.disks.failed = true;
        bench.commit(2);
        CHECK(got(*bench.primary, FrameType::unfit));
    }
    for (unsigned i = 0; i < 10000; ++i)
        bench.pass(2ms);
    CHECK(bench.backup.state() == State::discarding);
    CHECK(bench.discarded == 0);
    CHECK(bench.connect()->refusal ==
          "this backup's disks still work on what the primary before sent; try again");
    bench.disks.flushing = false;
    bench.pass(2ms);
    CHECK(bench.discarded == 1);
    CHECK(bench.backup.state() == State::listening);
    bench.disks.failed = false;
    bench.bring_to(State::following);
}

TEST_CASE("backup: an unfit copy is told of and never taken over") {
    BackupBench bench;
    bench.bring_to(State::following);
    SECTION("by an epoch") {
        bench.disks.failed = true;
        bench.commit(2);
    }
    SECTION("by a comparison") {
        bench.disks.differ = true;
        bench.say(FrameType::disk_check, replay::CheckMessage{1, 1, 0, {{0, 0}}}.encode());
    }
    CHECK(bench.primary->got.back() == FrameType::refuse);
    CHECK(got(*bench.primary, FrameType::unfit));
    CHECK(bench.claims == 0);
    CHECK(bench.backup.state() == State::listening);
}

TEST_CASE("backup: the disks are marked before an epoch is acknowledged, and hold it if asked to") {
    BackupBench bench;
    bench.durable = GENERATE(false, true);
    bench.bring_to(State::following);
    bench.events.clear();
    bench.commit(2);
    using Events = std::vector<std::string>;
    CHECK(bench.events == (bench.durable ? Events{"mark", "replay", "sync", "ack"}
                                         : Events{"mark", "ack", "replay"}));
}

TEST_CASE("backup: what a primary says of an epoch that is not the last is refused") {
    BackupBench bench;
    bench.bring_to(State::following);
    SECTION("a switch-over") {
        bench.say(SwitchOverMessage{7});
        CHECK(bench.primary->refusal == "a switch-over out of turn");
    }
    SECTION("a comparison") {
        bench.say(FrameType::disk_check, replay::CheckMessage{1, 7, 0, {{0, 0}}}.encode());
        CHECK(bench.primary->refusal == "a comparison of disks out of turn");
    }
    CHECK(bench.backup.state() == State::deciding);  // as if the connection had been cut
    CHECK_FALSE(got(*bench.primary, FrameType::unfit));
}

TEST_CASE("backup: nothing is committed before the disks are equal") {
    BackupBench bench;
    bench.disks.made_equal = false;
    bench.hello();
    bench.commit(1);
    CHECK(bench.primary->refusal == "it committed before the disks were equal");
    CHECK(bench.backup.state() == State::listening);
}

TEST_CASE("backup: the end of the guest that it follows gives the disks back") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.say(EndedMessage{"powered off"});
    CHECK(bench.ended);
    CHECK(bench.disks.released);
    CHECK(bench.backup.state() == State::finished);
    CHECK(bench.connect()->refusal != "");
}

TEST_CASE("backup: the end of a guest that it does not follow ends nothing here") {
    BackupBench bench;
    bench.bring_to(GENERATE(State::greeting, State::receiving));
    bench.say(EndedMessage{"powered off"});
    CHECK_FALSE(bench.ended);
    CHECK_FALSE(bench.disks.released);
    CHECK(bench.backup.state() == State::listening);
    bench.bring_to(State::following);
}

TEST_CASE("backup: whose backup it is, it remembers once the first epoch has proved to be whole") {
    BackupBench bench;
    bench.bring_to(State::receiving);
    SECTION("and before that epoch is acknowledged") {
        bench.commit(1);
        bench.commit(2);
        CHECK(std::ranges::count(bench.events, "accept") == 1);
        const auto accepted = std::ranges::find(bench.events, "accept");
        const auto acknowledged = std::ranges::find(bench.events, name_of(FrameType::ack));
        CHECK(accepted < acknowledged);
    }
    SECTION("not for a commit that it refuses") {
        const StateMessage state{1, StateEncoding::whole, {1, 2, 3}};
        bench.say(state);
        CommitMessage commit;
        commit.epoch = 2;
        bench.say(commit);
        CHECK(bench.primary->refusal != "");
        CHECK(std::ranges::count(bench.events, "accept") == 0);
        CHECK(bench.backup.state() == State::listening);
    }
    SECTION("and if it cannot, it follows nobody") {
        bench.cannot_accept = true;
        bench.commit(1);
        CHECK(bench.primary->refusal == "no room to remember it");
        CHECK_FALSE(got(*bench.primary, FrameType::ack));
        CHECK(bench.backup.state() == State::listening);
    }
}

TEST_CASE("backup: an answer of the arbiter that nobody asked for is a fault of our own") {
    for (const State state : {State::listening, State::following, State::awaiting_disks}) {
        CHECK(aborts([state] {
            BackupBench bench;
            bench.bring_to(state);
            bench.backup.claimed(Claim::won);
        }));
    }
}

TEST_CASE(
    "backup: an arbiter that does not answer a claim is told of within a second, and rarely") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.backup.channel_lost("the line is cut");
    CHECK(bench.backup.deadline() <= bench.now() + 1s);
    bench.pass(400ms);  // it takes long
    CHECK(bench.backup.deadline() <= bench.now() + 400ms);
    bench.pass(400ms);  // and longer, so it was told
    CHECK(bench.backup.deadline() == bench.now() + 60s - 400ms);
    bench.answer(Claim::lost);
    CHECK(bench.backup.deadline() == BackupHost::TimePoint::max());
}

TEST_CASE("backup: it says whether it could claim when its primary asks") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.say(TryClaimMessage{});
    CHECK(bench.trials == 1);
    CHECK_FALSE(got(*bench.primary, FrameType::claim_tried));
    SECTION("while it follows") {
        bench.backup.claim_tried(Error("the mount is read-only"));
        CHECK(got(*bench.primary, FrameType::claim_tried));
    }
    SECTION("and not when the primary is gone meanwhile") {
        bench.backup.channel_lost("the line is cut");
        bench.backup.claim_tried({});
        CHECK_FALSE(got(*bench.primary, FrameType::claim_tried));
    }
}

TEST_CASE("backup: a primary has a claim tried out once a second, and once at a time") {
    BackupBench bench;
    bench.bring_to(State::following);
    bench.say(TryClaimMessage{});
    bench.say(TryClaimMessage{});
    bench.pass(2s);
    bench.say(TryClaimMessage{});
    CHECK(bench.trials == 1);  // the arbiter hangs
    bench.backup.claim_tried({});
    CHECK(std::ranges::count(bench.primary->got, FrameType::claim_tried) == 1);
    bench.say(TryClaimMessage{});
    CHECK(bench.trials == 2);
    bench.backup.claim_tried({});
    bench.say(TryClaimMessage{});
    CHECK(bench.trials == 2);
    CHECK(std::ranges::count(bench.primary->got, FrameType::claim_tried) == 3);
    CHECK(bench.backup.state() == State::following);
}

TEST_CASE("backup: whoever asked it for a switchover is told why there is none") {
    BackupBench bench;
    bench.bring_to(State::following);
    CHECK(bench.backup.ask_for_switch_over());
    bench.say(StaysMessage{"the backup could not claim"});
    CHECK(bench.stayed == "the backup could not claim");
    CHECK(bench.backup.state() == State::following);
}

TEST_CASE("backup: who gives a switchover up says so to the primary, as long as there is one") {
    BackupBench bench;
    bench.backup.give_up_switch_over();
    bench.bring_to(State::following);
    CHECK(bench.backup.ask_for_switch_over());
    bench.backup.give_up_switch_over();
    CHECK(got(*bench.primary, FrameType::ask_stay));
    CHECK(bench.backup.state() == State::following);
}

TEST_CASE("backup: packets are kept from before the first commit until it takes over",
          "[backup][input]") {
    BackupBench bench;
    const std::vector<std::uint8_t> packet(60);
    bench.bring_to(State::receiving);
    bench.say(PacketMessage{0, 1, packet});
    bench.commit(1);
    bench.say(PacketMessage{0, 2, packet});
    bench.disks.flushing = true;
    bench.say(SwitchOverMessage{1});
    REQUIRE(bench.backup.state() == State::awaiting_flush);
    bench.say(PacketMessage{0, 3, packet});
    bench.disks.flushing = false;
    bench.pass(10ms);
    REQUIRE(bench.backup.state() == State::deciding);
    bench.say(PacketMessage{0, 4, packet});
    bench.answer(Claim::won);
    CHECK(bench.backup.state() == State::running);
    CHECK(bench.packets_ahead == 4);
}

TEST_CASE("backup: a packet of a card that there is not, or out of turn, is refused",
          "[backup][input][hostile]") {
    const PacketMessage wrong = GENERATE(PacketMessage{1, 9, std::vector<std::uint8_t>(60)},
                                         PacketMessage{0, 5, std::vector<std::uint8_t>(60)});
    BackupBench bench;
    bench.bring_to(State::following);
    bench.say(PacketMessage{0, 5, std::vector<std::uint8_t>(60)});
    CHECK(bench.primary->refusal.empty());
    bench.say(wrong);
    CHECK(bench.primary->refusal.starts_with("it forwarded a packet"));
}
