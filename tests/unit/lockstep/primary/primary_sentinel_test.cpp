// SPDX-License-Identifier: Apache-2.0
// Whom a primary's sentinel is to tell.
#include <catch2/catch.hpp>

#include "base/log.h"
#include "lockstep/primary/primary.h"
#include "support/primary_bench.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;

TEST_CASE("primary: its sentinel joins the session that the backup has named") {
    log::set_level(log::Level::error);
    PrimaryOptions options = PrimaryBench::default_options();
    options.vm = {1, 2};
    options.generation = 5;
    PrimaryBench bench(options);
    bench.connect();
    CHECK(bench.sentinels.empty());
    bench.receive(WelcomeMessage{SessionId{3, 4}});
    REQUIRE(bench.sentinels.size() == 1);
    const JoinMessage& join = bench.sentinels.front();
    CHECK(join.kind == JoinKind::sentinel);
    CHECK(join.vm == options.vm);
    CHECK(join.generation == 5);
    CHECK(join.session == SessionId{3, 4});
}

TEST_CASE("primary: its sentinel joins no backup that it gives up") {
    log::set_level(log::Level::error);
    PrimaryBench bench;
    bench.source.begin_error = "no memory for copies";
    bench.connect();
    bench.receive(WelcomeMessage{});
    CHECK(bench.sentinels.empty());
    CHECK(bench.connect_after);
}
