// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_table.h"

#include <catch2/catch.hpp>
#include <set>

using namespace fmvm;
using namespace fmvm::cli;

TEST_CASE("the default that an option of replication tells is the one that holds", "[cli]") {
    for (const Option<node::ReplicationOptions>& option : replication_table()) {
        if (*option.text.fallback == '\0') continue;
        INFO(option.text.flag);
        node::ReplicationOptions options;
        REQUIRE(option.take(options, option.text.fallback).ok());
        CHECK(options == node::ReplicationOptions());
    }
}

TEST_CASE("an option of replication changes what it is about", "[cli]") {
    const std::pair<const char*, const char*> words[] = {
        {"--sync", "kemari"},         {"--epoch", "7ms"},         {"--output-delay", "7ms"},
        {"--dirty-budget", "7M"},     {"--heartbeat", "7ms"},     {"--lost-after", "7s"},
        {"--on-backup-lost", "stop"}, {"--staging", "7M"},        {"--compress", "off"},
        {"--dirty-log", "ring"},      {"--hot-pages", "off"},     {"--verify", "7"},
        {"--ack", "durable"},         {"--trace", "epochs.json"}, {"--permit", "7ms"},
        {"--rx-forward", "off"}};
    std::set<std::string> tried;
    for (const auto& [flag, word] : words) {
        for (const Option<node::ReplicationOptions>& option : replication_table()) {
            if (std::string_view(option.text.flag) != flag) continue;
            INFO(flag);
            node::ReplicationOptions options;
            REQUIRE(option.take(options, word).ok());
            CHECK_FALSE(options == node::ReplicationOptions());
            tried.insert(flag);
        }
    }
    CHECK(tried.size() == replication_table().size());
}
