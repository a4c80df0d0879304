// SPDX-License-Identifier: Apache-2.0
#include "cli/options/command.h"

#include <catch2/catch.hpp>
#include <set>

using namespace fmvm;
using namespace fmvm::cli;

TEST_CASE("every command has a name and help, and every option of it a flag and help", "[cli]") {
    std::set<std::string> names;
    for (const Command& command : all_commands()) {
        INFO(command.name);
        CHECK(names.insert(command.name).second);
        CHECK(std::string_view(command.help).size() > 0);
        CHECK(command.run != nullptr);
        std::set<std::string> flags;
        for (const OptionText& option : command.options) {
            INFO(option.flag);
            CHECK(flags.insert(option.flag).second);
            CHECK_FALSE(option.help_text().empty());
            CHECK(option.help_text().find("{}") == std::string::npos);
        }
    }
    CHECK(names.contains("run"));
}
