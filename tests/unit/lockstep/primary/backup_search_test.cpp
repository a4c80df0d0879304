// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/backup_search.h"

#include <catch2/catch.hpp>

#include "support/captured_log.h"
#include "support/fake_lines.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace fmvm::test;
using namespace std::chrono_literals;

namespace {

constexpr BackupSearch::TimePoint search_start{1000s};

}  // namespace

TEST_CASE("backup search: a backup that refuses is not hidden by one that timed out before",
          "[primary]") {
    const CapturedLog log;
    BackupSearch search;
    for (auto time = 0s; time < 30s; time += 1s)
        search.failed("a:1", time < 10s ? "timed out" : "it refuses: no", search_start + time);
    CHECK(eventually([&] { return log.has("no backup at a:1: it refuses: no"); }));
    CHECK(log.count("timed out") == 1);
    CHECK(log.count("it refuses") == 1);
    search.failed("a:1", "timed out", search_start + 60s);
    CHECK(eventually([&] { return log.has("a:1: timed out (first seen 60 s ago)"); }));
}

TEST_CASE("backup search: every reason is news after a backup was found", "[primary]") {
    const CapturedLog log;
    BackupSearch search;
    search.failed("a:1", "timed out", search_start);
    search.found(search_start + 1s);
    search.failed("a:1", "timed out", search_start + 2s);
    CHECK(eventually([&] { return log.count("timed out") == 2; }));
}

TEST_CASE("backup search: only backups that turn out unfit are waited for longer", "[primary]") {
    const CapturedLog log;
    BackupSearch search;
    CHECK(search.delay() == ReconnectDelay::shortest);
    search.connection_over(1s, true);
    search.connection_over(1s, true);
    CHECK(search.delay() == 2 * ReconnectDelay::shortest);
    search.failed("a:1", "its disk fails", search_start);
    CHECK(eventually([&] { return log.has("its disk fails; it is tried again in 1 s"); }));
    search.not_connected();
    CHECK(search.delay() == ReconnectDelay::shortest);
    search.connection_over(1s, false);
    CHECK(search.delay() == ReconnectDelay::shortest);
}
