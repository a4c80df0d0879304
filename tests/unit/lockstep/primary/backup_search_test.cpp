// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/backup_search.h"

#include <catch2/catch.hpp>

#include "base/log.h"

using namespace fmvm;
using namespace fmvm::lockstep;
using namespace std::chrono_literals;

TEST_CASE("backup search: a reason is news until it is told, and after somebody was found",
          "[primary]") {
    log::set_level(log::Level::error);
    BackupSearch search;
    CHECK(search.is_news("it refuses"));
    search.tell("a peer", "it refuses");
    CHECK_FALSE(search.is_news("it refuses"));
    CHECK(search.is_news("it is silent"));
    search.tell("a peer", "it is silent");
    CHECK(search.is_news("it refuses"));
    search.found();
    CHECK(search.is_news("it is silent"));
}

TEST_CASE("backup search: only backups that turn out unfit are waited for longer", "[primary]") {
    log::set_level(log::Level::error);
    BackupSearch search;
    CHECK(search.begin() == ReconnectDelay::shortest);
    search.connection_over(1s, true);
    search.connection_over(1s, true);
    CHECK(search.begin() == 2 * ReconnectDelay::shortest);
    CHECK(search.begin() == 2 * ReconnectDelay::shortest);
    search.connection_over(1s, false);
    CHECK(search.begin() == ReconnectDelay::shortest);
}
