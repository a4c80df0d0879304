// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/epoch_policy.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

using TimePoint = std::chrono::steady_clock::time_point;

TimePoint policy_time(std::chrono::microseconds time) {
    return TimePoint(1000s) + time;
}

EpochPolicy make_policy(SyncMode mode) {
    EpochPolicy policy({mode, 50ms, 2ms});
    policy.epoch_began(policy_time(0ms));
    return policy;
}

}  // namespace

TEST_CASE("epoch policy: without output, the longest interval", "[policy]") {
    for (const SyncMode mode : {SyncMode::kemari, SyncMode::epoch, SyncMode::adaptive}) {
        EpochPolicy policy = make_policy(mode);
        CHECK(policy.next_cut(std::nullopt) == policy_time(50ms));
        policy.epoch_began(policy_time(60ms));
        policy.acknowledged(30ms);
        CHECK(policy.next_cut(std::nullopt) == policy_time(110ms));
    }
}

TEST_CASE("epoch policy: only kemari stands until the acknowledgement", "[policy]") {
    CHECK(make_policy(SyncMode::kemari).waits_for_ack());
    CHECK_FALSE(make_policy(SyncMode::epoch).waits_for_ack());
    CHECK_FALSE(make_policy(SyncMode::adaptive).waits_for_ack());
}

TEST_CASE("epoch policy: kemari cuts at output, epoch does not care", "[policy]") {
    CHECK(make_policy(SyncMode::kemari).next_cut(policy_time(7ms)) == policy_time(7ms));
    CHECK(make_policy(SyncMode::epoch).next_cut(policy_time(7ms)) == policy_time(50ms));
}

TEST_CASE("epoch policy: adaptive leaves time for stop and acknowledgement", "[policy]") {
    EpochPolicy policy = make_policy(SyncMode::adaptive);
    CHECK(policy.next_cut(policy_time(7ms)) == policy_time(9ms));  // nothing is known yet
    policy.acknowledged(500us);
    CHECK(policy.next_cut(policy_time(7ms)) == policy_time(8500us));
    policy.acknowledged(8500us);  // one that is late moves the average by an eighth
    CHECK(policy.next_cut(policy_time(7ms)) == policy_time(7500us));
    for (int i = 0; i < 100; ++i)
        policy.acknowledged(20ms);
    CHECK(policy.next_cut(policy_time(7ms)) == policy_time(7ms));  // it cannot be met: at once
    for (int i = 0; i < 100; ++i)
        policy.acknowledged(500us);
    CHECK(policy.next_cut(policy_time(7ms)) > policy_time(8400us));
}

TEST_CASE("epoch policy: no epoch is longer than the longest", "[policy]") {
    CHECK(make_policy(SyncMode::adaptive).next_cut(policy_time(49ms)) == policy_time(50ms));
    CHECK(make_policy(SyncMode::adaptive).next_cut(policy_time(70ms)) == policy_time(50ms));
    CHECK(make_policy(SyncMode::kemari).next_cut(policy_time(70ms)) == policy_time(50ms));
}

TEST_CASE("epoch policy: a guest that writes fast gets shorter epochs", "[policy]") {
    EpochPolicy policy({SyncMode::adaptive, 50ms, 2ms, 1000});
    policy.epoch_began(policy_time(0ms));
    policy.epoch_ended(policy_time(50ms), 1000);  // just what is allowed
    policy.epoch_began(policy_time(50ms));
    CHECK(policy.next_cut(std::nullopt) == policy_time(100ms));
    policy.epoch_ended(policy_time(100ms), 2000);
    policy.epoch_began(policy_time(100ms));
    CHECK(policy.next_cut(std::nullopt) == policy_time(125ms));
    policy.epoch_ended(policy_time(125ms), 1'000'000);  // not too short, however fast
    policy.epoch_began(policy_time(125ms));
    CHECK(policy.next_cut(std::nullopt) == policy_time(130ms));
    policy.epoch_ended(policy_time(130ms), 0);
    policy.epoch_began(policy_time(130ms));
    CHECK(policy.next_cut(std::nullopt) == policy_time(180ms));
    policy.epoch_ended(policy_time(130ms), 7);  // an epoch of no length says nothing
    CHECK(policy.next_cut(std::nullopt) == policy_time(180ms));
}

TEST_CASE("epoch policy: the budget never makes epochs longer, nor those of other modes shorter",
          "[policy]") {
    EpochPolicy brief({SyncMode::adaptive, 3ms, 2ms, 1000});
    brief.epoch_began(policy_time(0ms));
    brief.epoch_ended(policy_time(3ms), 1'000'000);
    brief.epoch_began(policy_time(3ms));
    CHECK(brief.next_cut(std::nullopt) == policy_time(6ms));
    for (const SyncMode mode : {SyncMode::epoch, SyncMode::kemari}) {
        EpochPolicy policy({mode, 50ms, 2ms, 1000});
        policy.epoch_began(policy_time(0ms));
        policy.epoch_ended(policy_time(50ms), 1'000'000);
        policy.epoch_began(policy_time(50ms));
        CHECK(policy.next_cut(std::nullopt) == policy_time(100ms));
    }
}

TEST_CASE("epoch policy: output from before the epoch is overdue, not lost", "[policy]") {
    CHECK(make_policy(SyncMode::adaptive).next_cut(policy_time(-5ms)) <= policy_time(0ms));
    CHECK(make_policy(SyncMode::kemari).next_cut(policy_time(-5ms)) <= policy_time(0ms));
}
