// SPDX-License-Identifier: Apache-2.0
#include "node/run/hello_limits.h"

#include <catch2/catch.hpp>

using namespace fmvm;
using namespace fmvm::node;
using namespace std::chrono_literals;

namespace {

lockstep::HelloMessage hello_for(std::uint64_t memory, std::chrono::milliseconds lost_after) {
    lockstep::HelloMessage hello;
    hello.shape.memory_bytes = memory;
    hello.lost_after_ms = static_cast<std::uint32_t>(lost_after.count());
    return hello;
}

}  // namespace

TEST_CASE("hello limits: a backup waits for no primary as long as that one likes") {
    BackupCommandOptions options;
    CHECK(check_limits(hello_for(gib, 60s), options).ok());
    const Result<void> refused = check_limits(hello_for(gib, 1h), options);
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(refused.error().message(), Catch::Contains("3600 s") &&
                                              Catch::Contains("60 s at most") &&
                                              Catch::Contains("--max-lost-after"));
    options.lost_after_max = 1h;
    CHECK(check_limits(hello_for(gib, 1h), options).ok());
}

TEST_CASE("hello limits: a backup takes no larger guest than it was told to") {
    BackupCommandOptions options;
    CHECK(check_limits(hello_for(1024 * gib, 200ms), options).ok());
    options.memory_max = 2 * gib;
    CHECK(check_limits(hello_for(2 * gib, 200ms), options).ok());
    const Result<void> refused = check_limits(hello_for(4 * gib, 200ms), options);
    REQUIRE_FALSE(refused.ok());
    CHECK_THAT(refused.error().message(), Catch::Contains("4096 MiB") &&
                                              Catch::Contains("2048 at most") &&
                                              Catch::Contains("--max-memory"));
}
