// SPDX-License-Identifier: Apache-2.0
#include "cli/options/key_arguments.h"

#include <catch2/catch.hpp>

using namespace fmvm::cli;

namespace {

fmvm::Result<KeyOptions> key_options_of(std::vector<std::string> words) {
    Arguments arguments;
    arguments.behind("ACTION") = std::move(words);
    return key_options(arguments);
}

}  // namespace

TEST_CASE("fmvm key takes one action and one file", "[cli]") {
    CHECK(key_options_of({"create", "vm.key"}).value().file == "vm.key");
    CHECK_FALSE(key_options_of({}).ok());
    CHECK_FALSE(key_options_of({"create"}).ok());
    CHECK_FALSE(key_options_of({"create", ""}).ok());
    CHECK_FALSE(key_options_of({"create", "a", "b"}).ok());
    CHECK_FALSE(key_options_of({"destroy", "vm.key"}).ok());
}
