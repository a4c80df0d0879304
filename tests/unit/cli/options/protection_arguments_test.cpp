// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_arguments.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

Arguments primary_arguments() {
    Arguments arguments;
    arguments.behind("--kernel") = {"vmlinux"};
    arguments.behind("--backup") = {"127.0.0.1:7000"};
    arguments.behind("--arbiter") = {"none"};
    return arguments;
}

std::string primary_refusal(const Arguments& arguments) {
    const Result<PrimaryCommandOptions> options = primary_options(arguments);
    return options.ok() ? "" : options.error().message();
}

std::uint64_t budget_of(const std::string& budget, const std::string& staging) {
    Arguments arguments = primary_arguments();
    arguments.behind("--dirty-budget") = {budget};
    arguments.behind("--staging") = {staging};
    return primary_options(arguments).value().replication.policy.dirty_budget;
}

}  // namespace

TEST_CASE("the dirty budget leaves room in the staging area") {
    CHECK(budget_of("16M", "256M") == 4096);
    CHECK(budget_of("16M", "8M") == 1024);
    CHECK(budget_of("2M", "8M") == 512);
}

TEST_CASE("the option --compress says how pages are made smaller") {
    const auto checkpointer_of = [](std::vector<std::string> compress) {
        Arguments arguments = primary_arguments();
        arguments.behind("--compress") = std::move(compress);
        return primary_options(arguments).value().replication.checkpointer;
    };
    using lockstep::CheckpointerOptions;
    const CheckpointerOptions usual = checkpointer_of({});
    CHECK((usual.compression.delta && usual.compression.lz4));
    CHECK(usual.lz4_pages_max < 1000);
    CHECK(checkpointer_of({"auto"}).lz4_pages_max == usual.lz4_pages_max);
    CHECK(checkpointer_of({"delta+lz4"}).lz4_pages_max == CheckpointerOptions::lz4_all);
    CHECK_FALSE(checkpointer_of({"delta"}).compression.lz4);
    CHECK_FALSE(checkpointer_of({"off"}).compression.delta);
}

TEST_CASE("what only the adaptive mode knows is refused with another") {
    Arguments arguments = primary_arguments();
    arguments.behind("--sync") = {"epoch"};
    CHECK(primary_refusal(arguments).empty());
    arguments.behind("--output-delay") = {"5ms"};
    CHECK(primary_refusal(arguments) ==
          "--sync epoch: has no use for --output-delay; leave it out");
    arguments.behind("--sync") = {"adaptive"};
    CHECK(primary_refusal(arguments).empty());
}

TEST_CASE("a dirty ring has no hot pages, and refuses them if they are asked for") {
    Arguments arguments = primary_arguments();
    CHECK(primary_options(arguments).value().replication.checkpointer.hot_pages);
    arguments.behind("--dirty-log") = {"ring"};
    CHECK_FALSE(primary_options(arguments).value().replication.checkpointer.hot_pages);
    arguments.behind("--hot-pages") = {"off"};
    CHECK(primary_refusal(arguments).empty());
    arguments.behind("--hot-pages") = {"on"};
    CHECK(primary_refusal(arguments).starts_with("--hot-pages on:"));
}

TEST_CASE("a primary's options are refused when they do not go together") {
    Arguments arguments = primary_arguments();
    arguments.behind("--heartbeat") = {"150ms"};
    CHECK(primary_refusal(arguments).starts_with("--lost-after:"));
    arguments.behind("--heartbeat") = {"500us"};
    CHECK(primary_refusal(arguments) == "--heartbeat: give at least 1ms");
    arguments = primary_arguments();
    arguments.behind("--backup") = {"10.0.0.1:7000"};
    CHECK(primary_refusal(arguments).find("--tls psk:FILE") != std::string::npos);
    CHECK(primary_refusal(arguments).find("--insecure-plaintext") != std::string::npos);
    arguments.behind("--insecure-plaintext") = {""};
    CHECK(primary_refusal(arguments).empty());
    arguments.behind("--tls") = {"psk:vm.key"};
    CHECK(primary_refusal(arguments).starts_with("--insecure-plaintext:"));
    arguments.behind("--insecure-plaintext").clear();
    CHECK(primary_refusal(arguments).empty());
    CHECK(primary_options(arguments).value().replication.key_file == "vm.key");
    for (const char* const bad : {"vm.key", "psk:", "x509:dir", ""}) {
        arguments.behind("--tls") = {bad};
        CHECK(primary_refusal(arguments).starts_with("--tls: '"));
    }
    arguments.behind("--tls").clear();
    arguments.behind("--backup").clear();
    CHECK(primary_refusal(arguments).starts_with("no backup given"));
}

TEST_CASE("a permit is at most half of the silence that counts as a loss") {
    Arguments arguments = primary_arguments();
    const auto permit = [&] { return primary_options(arguments).value().replication.permit; };
    CHECK(permit() == std::chrono::milliseconds(50));
    arguments.behind("--lost-after") = {"80ms"};
    CHECK(permit() == std::chrono::milliseconds(40));
    arguments.behind("--permit") = {"41ms"};
    CHECK(primary_refusal(arguments).starts_with("--permit:"));
    arguments.behind("--permit") = {"4ms"};
    CHECK(primary_refusal(arguments).starts_with("--permit:"));
    arguments.behind("--permit") = {"30ms"};
    CHECK(permit() == std::chrono::milliseconds(30));
    // An override is silent for 10 s.
    arguments.behind("--lost-after") = {"60s"};
    arguments.behind("--permit") = {"10001ms"};
    CHECK(primary_refusal(arguments).starts_with("--permit:"));
    arguments.behind("--permit").clear();
    arguments.behind("--heartbeat") = {"2ms"};
    arguments.behind("--lost-after") = {"9ms"};
    CHECK(primary_refusal(arguments) == "--lost-after: give at least 10 ms");
}

TEST_CASE("a backup needs an address, a directory and an arbiter") {
    Arguments arguments;
    const auto missing = [&] { return backup_options(arguments).error().message(); };
    CHECK(missing().find("--listen") != std::string::npos);
    arguments.behind("--listen") = {"127.0.0.1:7000"};
    CHECK(missing().find("--dir") != std::string::npos);
    arguments.behind("--dir") = {"b"};
    CHECK(missing().find("--arbiter") != std::string::npos);
    arguments.behind("--arbiter") = {"file:shared/vm1"};
    CHECK(missing().find("'shared/vm1' is not an absolute path") != std::string::npos);
    arguments.behind("--arbiter") = {"file:/shared/vm1"};
    const BackupCommandOptions options = backup_options(arguments).value();
    CHECK(options.directory == "b");
    CHECK(options.arbiter.path == "/shared/vm1");
    CHECK(options.block == lockstep::BlockMode::none);
    CHECK_FALSE(options.next_backup);
    CHECK_FALSE(options.memory_max);
    CHECK(options.lost_after_max == std::chrono::minutes(1));
    arguments.behind("--max-memory") = {"2G"};
    arguments.behind("--max-lost-after") = {"5s"};
    CHECK(backup_options(arguments).value().memory_max == 2 * gib);
    CHECK(backup_options(arguments).value().claim_delay == std::chrono::milliseconds(100));
    arguments.behind("--claim-delay") = {"1ms"};
    CHECK(backup_options(arguments).value().claim_delay == std::chrono::milliseconds(1));
    CHECK(backup_options(arguments).value().lost_after_max == std::chrono::seconds(5));
}
