// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/backup_search.h"

#include <catch2/catch.hpp>

#include "base/log.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

namespace {

constexpr BackupSearch::TimePoint start{1000s};

}  // namespace

TEST_CASE("backup search: a connection that is refused is not hidden by one that timed out before",
          "[primary]") {
    log::set_level(log::Level::error);
    BackupSearch search;
    CHECK(search.failed("a:1", "timed out", start) == "no backup at a:1: timed out");
    CHECK_FALSE(search.failed("a:1", "timed out", start + 1s));
    CHECK(search.failed("a:1", "it refuses: no", start + 2s) == "no backup at a:1: it refuses: no");
    CHECK(search.failed("a:1", "timed out", start + 60s) ==
          "no backup at a:1: timed out (first seen 60 s ago)");
}

TEST_CASE("backup search: every reason is news after a backup was found", "[primary]") {
    log::set_level(log::Level::error);
    BackupSearch search;
    CHECK(search.failed("a:1", "timed out", start));
    search.found(start + 1s);
    CHECK(search.failed("a:1", "timed out", start + 2s));
}

TEST_CASE("backup search: only backups that turn out unfit are waited for longer", "[primary]") {
    log::set_level(log::Level::error);
    BackupSearch search;
    CHECK(search.delay() == ReconnectDelay::shortest);
    search.connection_over(1s, true);
    search.connection_over(1s, true);
    CHECK(search.delay() == 2 * ReconnectDelay::shortest);
    CHECK(search.failed("a:1", "its disk fails", start) ==
          "no backup at a:1: its disk fails; it is tried again in 1 s");
    search.not_connected();
    CHECK(search.delay() == ReconnectDelay::shortest);
    search.connection_over(1s, false);
    CHECK(search.delay() == ReconnectDelay::shortest);
}
