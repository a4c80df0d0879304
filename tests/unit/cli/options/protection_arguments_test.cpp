// SPDX-License-Identifier: Apache-2.0
#include "cli/options/protection_arguments.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

std::uint64_t budget_of(const std::string& budget, const std::string& staging) {
    ProtectionArguments words;
    words.machine.kernel = {"vmlinux"};
    words.backup = {"127.0.0.1:7000"};
    words.arbiter = {"none"};
    words.dirty_budget = {budget};
    words.staging = {staging};
    return primary_options(words).value().replication.policy.dirty_budget;
}

}  // namespace

TEST_CASE("the dirty budget leaves room in the staging area") {
    CHECK(budget_of("16M", "256M") == 4096);
    CHECK(budget_of("16M", "8M") == 1024);
    CHECK(budget_of("2M", "8M") == 512);
}

TEST_CASE("how pages are made smaller") {
    const auto checkpointer_of = [](std::vector<std::string> compress) {
        ProtectionArguments words;
        words.machine.kernel = {"vmlinux"};
        words.backup = {"127.0.0.1:7000"};
        words.arbiter = {"none"};
        words.compress = std::move(compress);
        return primary_options(words).value().replication.checkpointer;
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
    ProtectionArguments words;
    words.machine.kernel = {"vmlinux"};
    words.backup = {"127.0.0.1:7000"};
    words.arbiter = {"none"};
    words.sync = {"epoch"};
    CHECK(primary_options(words).ok());
    words.output_delay = {"5ms"};
    CHECK_FALSE(primary_options(words).ok());
    words.sync = {"adaptive"};
    CHECK(primary_options(words).ok());
}
