// SPDX-License-Identifier: Apache-2.0
#include "cli/options/control_arguments.h"

#include <catch2/catch.hpp>

#include "base/units.h"

using namespace fmvm;
using namespace fmvm::cli;

namespace {

Arguments verify_words(std::vector<std::string> only = {}, std::vector<std::string> rate = {}) {
    Arguments arguments;
    arguments.behind("--control") = {"vm.sock"};
    arguments.behind("--only") = std::move(only);
    arguments.behind("--rate") = std::move(rate);
    return arguments;
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
    CHECK_FALSE(verify_options(Arguments{}).ok());
    CHECK_FALSE(verify_options(verify_words({"ram"})).ok());
    CHECK_FALSE(verify_options(verify_words({"memory", "disks"})).ok());
    CHECK_FALSE(verify_options(verify_words({}, {"1K"})).ok());
    CHECK_FALSE(verify_options(verify_words({}, {"fast"})).ok());
}

TEST_CASE("verify reads disks at the rate that its help tells") {
    for (const OptionText& option : verify_line().options) {
        if (std::string_view(option.flag) != "--rate") continue;
        const auto rate = verify_options(verify_words({}, {option.fallback})).value().compare;
        CHECK(rate.bytes_per_second == lockstep::VerifyOptions().bytes_per_second);
    }
    CHECK_FALSE(verify_options(verify_words({"memory"}, {"64M"})).ok());
}

TEST_CASE("snapshot needs a socket and a directory") {
    Arguments arguments;
    arguments.behind("--control") = {"vm.sock"};
    CHECK_FALSE(snapshot_options(arguments).ok());
    arguments.behind("--to") = {"saved"};
    CHECK(snapshot_options(arguments).value().to == "saved");
    CHECK_FALSE(snapshot_options(arguments).value().stop);
    arguments.behind("--stop") = {""};
    CHECK(snapshot_options(arguments).value().stop);
}
