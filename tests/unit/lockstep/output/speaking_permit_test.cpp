// SPDX-License-Identifier: Apache-2.0
#include "lockstep/output/speaking_permit.h"

#include <catch2/catch.hpp>

using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

constexpr PermitTerms terms{50ms};
constexpr auto granted = terms.length - terms.margin();

}  // namespace

TEST_CASE("permit: a side whose signs were not echoed is silent", "[permit]") {
    SpeakingPermit permit(terms);
    CHECK_FALSE(permit.allows(1h));
    permit.sign(1h);
    CHECK_FALSE(permit.allows(1h));
    CHECK(permit.echoed(0));
    CHECK_FALSE(permit.allows(1h));
}

TEST_CASE("permit: time counts from when the echoed sign was sent", "[permit]") {
    SpeakingPermit permit(terms);
    const std::uint64_t first = permit.sign(1h);
    const std::uint64_t second = permit.sign(1h + 10ms);
    CHECK(permit.echoed(second));
    CHECK(permit.until() == 1h + 10ms + granted);
    CHECK(permit.echoed(first));  // late: takes nothing back
    CHECK(permit.allows(1h + 10ms + granted - 1ns));
    CHECK_FALSE(permit.allows(1h + 10ms + granted));
}

TEST_CASE("permit: an echo of a sign that was never sent is a lie", "[permit]") {
    SpeakingPermit permit(terms);
    permit.sign(1h);
    CHECK_FALSE(permit.echoed(2));
    CHECK_FALSE(permit.allows(1h));
}

TEST_CASE("permit: an echo of a sign long forgotten grants nothing", "[permit]") {
    SpeakingPermit permit(terms);
    const std::uint64_t first = permit.sign(1h);
    for (int i = 0; i < 64; ++i)
        permit.sign(1h);
    CHECK(permit.echoed(first));
    CHECK_FALSE(permit.allows(1h));
    CHECK(permit.echoed(first + 1));
    CHECK(permit.allows(1h));
}

TEST_CASE("permit: a side that has renounced it never speaks again", "[permit]") {
    SpeakingPermit permit(terms);
    CHECK(permit.echoed(permit.sign(1h)));
    permit.renounce();
    CHECK_FALSE(permit.allows(1h));
    CHECK(permit.echoed(permit.sign(1h)));
    CHECK_FALSE(permit.allows(1h));
}
