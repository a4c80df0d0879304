// SPDX-License-Identifier: Apache-2.0
#include "cli/protection_words.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::cli;

namespace {

std::uint64_t budget_of(const std::string& budget, const std::string& staging) {
    ProtectionWords words;
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
