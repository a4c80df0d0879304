// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/speaking_permit.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

constexpr PermitTerms terms{50ms, 100ms};
constexpr auto granted = 50ms - permit_margin(50ms);

// A sign that nobody answers at once, so that it measures nothing.
std::uint64_t sign(SpeakingPermit& permit, BootTime now) {
    return permit.sign(now, false).number;
}

}  // namespace

TEST_CASE("permit: a side whose signs were not echoed is silent", "[permit]") {
    SpeakingPermit permit(terms);
    CHECK_FALSE(permit.allows(1h));
    sign(permit, 1h);
    CHECK_FALSE(permit.allows(1h));
    CHECK(permit.echoed(0, 1h));
    CHECK_FALSE(permit.allows(1h));
}

TEST_CASE("permit: time counts from when the echoed sign was sent", "[permit]") {
    SpeakingPermit permit(terms);
    const std::uint64_t first = sign(permit, 1h);
    const std::uint64_t second = sign(permit, 1h + 10ms);
    CHECK(permit.echoed(second, 1h + 10ms));
    CHECK(permit.until() == 1h + 10ms + granted);
    CHECK(permit.echoed(first, 1h + 10ms));  // late: takes nothing back
    CHECK(permit.allows(1h + 10ms + granted - 1ns));
    CHECK_FALSE(permit.allows(1h + 10ms + granted));
}

TEST_CASE("permit: an echo of a sign that was never sent is a lie", "[permit]") {
    SpeakingPermit permit(terms);
    sign(permit, 1h);
    CHECK_FALSE(permit.echoed(2, 1h + 10ms));
    CHECK_FALSE(permit.allows(1h));
}

TEST_CASE("permit: an echo of a sign long forgotten grants nothing", "[permit]") {
    SpeakingPermit permit(terms);
    const std::uint64_t first = sign(permit, 1h);
    for (int i = 0; i < 64; ++i)
        sign(permit, 1h);
    CHECK(permit.echoed(first, 1h + 10ms));
    CHECK_FALSE(permit.allows(1h));
    CHECK(permit.echoed(first + 1, 1h + 10ms));
    CHECK(permit.allows(1h));
}

TEST_CASE("permit: a side that has renounced it never speaks again", "[permit]") {
    SpeakingPermit permit(terms);
    CHECK(permit.echoed(sign(permit, 1h), 1h));
    permit.renounce();
    CHECK_FALSE(permit.allows(1h));
    CHECK(permit.echoed(sign(permit, 1h), 1h));
    CHECK_FALSE(permit.allows(1h));
}

TEST_CASE("permit: a promise is asked for that outlasts its way there and back", "[permit]") {
    SpeakingPermit permit(terms);
    BootTime now = 1h;
    // The first one is over when it is known.
    CHECK(permit.sign(now, true).promise == 50ms);
    now += 60ms;
    CHECK(permit.echoed(1, now));
    CHECK_FALSE(permit.allows(now));
    CHECK(permit.newest_way() == 60ms);
    // From then on each is as long as it may be, and known in time.
    const SpeakingPermit::Asked asked = permit.sign(now, true);
    CHECK(asked.promise == 100ms);
    now += 60ms;
    CHECK(permit.echoed(asked.number, now));
    CHECK(permit.allows(now));
    CHECK(permit.until() == now - 60ms + 100ms - permit_margin(100ms));
}

TEST_CASE("permit: a way that becomes shorter makes promises shorter by and by", "[permit]") {
    SpeakingPermit permit({10ms, 100ms});
    const auto ask = [&](BootTime way) {
        const SpeakingPermit::Asked asked = permit.sign(1h, true);
        CHECK(permit.echoed(asked.number, 1h + way));
        return asked.promise;
    };
    CHECK(ask(20ms) == 10ms);
    CHECK(ask(1ms) == 60ms);
    const auto shorter = ask(1ms);
    CHECK(shorter < 60ms);
    CHECK(shorter > 40ms);
    for (int i = 0; i < 100; ++i)
        ask(1ms);
    CHECK(ask(1ms) == 10ms);
}

TEST_CASE("permit: a sign that is not answered at once says nothing of the way", "[permit]") {
    SpeakingPermit permit(terms);
    CHECK(permit.echoed(sign(permit, 1h), 1h + 40ms));
    CHECK(permit.sign(1h + 41ms, false).promise == 50ms);
}

TEST_CASE("permit: a shorter promise takes nothing of a longer one back", "[permit]") {
    SpeakingPermit permit({10ms, 100ms});
    CHECK(permit.echoed(permit.sign(1h, true).number, 1h + 30ms));
    const SpeakingPermit::Asked longer = permit.sign(2h, true);
    CHECK(longer.promise == 90ms);
    CHECK(permit.echoed(longer.number, 2h));
    const BootTime until = permit.until();
    for (int i = 0; i < 40; ++i)
        CHECK(permit.echoed(permit.sign(2h + 1ms, true).number, 2h + 1ms));
    CHECK(permit.until() >= until);
}
