// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/verifier.h"

#include <catch2/catch.hpp>

#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;
using Kind = VerifyOutcome::Kind;

namespace {

struct VerifierBench {
    Result<void> begin() { return verifier.begin({.memory = true, .disks = false}, 4); }

    test::PrimaryBench host;
    Verifier verifier{host.source, host, 10s};
};

}  // namespace

TEST_CASE(
    "verifier: a comparison of memory asks for digests, and ends with their epoch's successor",
    "[verify]") {
    VerifierBench bench;
    CHECK(bench.verifier.due() == Verifier::TimePoint::max());
    REQUIRE(bench.begin().ok());
    CHECK(bench.host.source.digests_asked == 1);
    CHECK(bench.verifier.due() == bench.host.time + 10s);
    bench.verifier.acknowledged(4);
    bench.verifier.look();
    CHECK(bench.verifier.is_active());
    bench.verifier.acknowledged(5);
    bench.verifier.look();
    CHECK_FALSE(bench.verifier.is_active());
    CHECK(bench.host.verified_as->kind == Kind::equal);
    CHECK(bench.host.source.scrubs_ended == 1);
}

TEST_CASE("verifier: there is one comparison at a time", "[verify]") {
    VerifierBench bench;
    REQUIRE(bench.begin().ok());
    CHECK(bench.begin().error().message() == "a comparison is under way; wait for its end");
    CHECK(bench.host.source.digests_asked == 1);
}

TEST_CASE("verifier: a comparison of disks needs disks", "[verify]") {
    VerifierBench bench;
    CHECK_FALSE(bench.verifier.begin({.memory = false, .disks = true}, 4).ok());
    CHECK_FALSE(bench.verifier.is_active());
    CHECK(bench.host.source.digests_asked == 0);
}

TEST_CASE("verifier: a comparison without progress ends unfinished", "[verify]") {
    VerifierBench bench;
    REQUIRE(bench.begin().ok());
    bench.host.time += 10s;
    bench.verifier.look();
    CHECK(bench.host.verified_as->kind == Kind::unfinished);
}

TEST_CASE("verifier: an end is told once, and late answers are no error", "[verify]") {
    VerifierBench bench;
    bench.verifier.end({Kind::unfinished, "nobody has asked"});
    CHECK_FALSE(bench.host.verified_as);
    REQUIRE(bench.begin().ok());
    bench.verifier.end({Kind::unfinished, "the operator has ended it"});
    CHECK(bench.host.verified_as->text == "the operator has ended it");
    CHECK(bench.verifier.checked({FrameType::disk_checked, {}, 0}).ok());
    CHECK(bench.verifier.next(4).empty());
}
