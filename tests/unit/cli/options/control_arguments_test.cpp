// SPDX-License-Identifier: Apache-2.0
#include "cli/options/control_arguments.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

namespace {

ControlArguments verify_words(std::vector<std::string> only = {},
                              std::vector<std::string> rate = {}) {
    ControlArguments words;
    words.control = {"vm.sock"};
    words.only = std::move(only);
    words.rate = std::move(rate);
    return words;
}

}  // namespace

TEST_CASE("verify compares memory and disks, unless it is told otherwise") {
    const VerifyCommandOptions all = verify_options(verify_words()).value();
    CHECK(all.control == "vm.sock");
    CHECK(all.compare.memory);
    CHECK(all.compare.disks);
    CHECK(all.compare.bytes_per_second == 64 * mib);
    CHECK_FALSE(verify_options(verify_words({"memory"})).value().compare.disks);
    CHECK_FALSE(verify_options(verify_words({"disks"})).value().compare.memory);
    CHECK(verify_options(verify_words({}, {"1G"})).value().compare.bytes_per_second == gib);
}

TEST_CASE("verify refuses what it does not know") {
    CHECK_FALSE(verify_options(ControlArguments{}).ok());
    CHECK_FALSE(verify_options(verify_words({"ram"})).ok());
    CHECK_FALSE(verify_options(verify_words({"memory", "disks"})).ok());
    CHECK_FALSE(verify_options(verify_words({}, {"1K"})).ok());
    CHECK_FALSE(verify_options(verify_words({}, {"fast"})).ok());
}
