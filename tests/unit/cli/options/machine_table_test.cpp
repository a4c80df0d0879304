// SPDX-License-Identifier: Apache-2.0
#include "cli/options/machine_table.h"

#include <catch2/catch.hpp>
#include <set>

using namespace fmvm;
using namespace fmvm::cli;

namespace {

// Of a guest that boots, or of one that is restored, for the options that only that one has.
Result<node::MachineOptions> completed(const MachineOption* option, std::string_view word) {
    GivenOptions given;
    if (option != nullptr && std::string_view(option->key) == "guest-time") {
        given.restore = "saved";
    } else {
        given.kernel = "vmlinux";
    }
    if (!word.empty()) FMVM_TRY(option->option.take(given, word));
    return complete(given, 4 * gib);
}

}  // namespace

TEST_CASE("every option of a machine has a flag, a key and help", "[cli]") {
    const std::set<std::string> on_the_command_line_only = {"--config", "--record",
                                                            "--force-stale"};
    std::set<std::string> keys, without_key;
    for (const auto table : {machine_table(), disk_start_table()}) {
        for (const MachineOption& option : table) {
            const OptionText& text = option.option.text;
            INFO(text.flag);
            CHECK(std::string_view(text.flag).find("--") != std::string_view::npos);
            CHECK_FALSE(text.help_text().empty());
            if (option.in_file()) {
                CHECK(keys.insert(option.key).second);
                CHECK(option.read != nullptr);
                const std::string name = "--" + std::string(option.key);
                // A list has the flag of its elements.
                const bool is_list = std::string(text.flag) + "s" == name;
                CHECK((is_list || std::string_view(text.flag).ends_with(name)));
            } else {
                without_key.insert(text.flag);
            }
        }
    }
    CHECK(without_key == on_the_command_line_only);
}

TEST_CASE("the default that a machine option's help tells is the one that holds", "[cli]") {
    for (const MachineOption& option : machine_table()) {
        const OptionText& text = option.option.text;
        if (*text.fallback == '\0') continue;
        INFO(text.flag);
        const auto without = completed(&option, "");
        const auto with = completed(&option, text.fallback);
        REQUIRE(without.ok());
        REQUIRE(with.ok());
        CHECK(with.value() == without.value());
    }
}

TEST_CASE("an option of a machine takes its value from one source, whole", "[cli]") {
    for (const MachineOption& option : machine_table()) {
        const OptionText& text = option.option.text;
        if (*text.fallback == '\0') continue;
        INFO(text.flag);
        GivenOptions ours, theirs;
        CHECK_FALSE(option.is_given(theirs));
        REQUIRE(option.option.take(theirs, text.fallback).ok());
        CHECK(option.is_given(theirs));
        option.replace(ours, theirs);
        CHECK(option.is_given(ours));
    }
}
