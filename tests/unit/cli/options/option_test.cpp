// SPDX-License-Identifier: Apache-2.0
#include "cli/options/option.h"

#include <catch2/catch.hpp>

#include "cli/options/option_values.h"

using namespace fmvm;
using namespace fmvm::cli;

namespace {

struct Inner {
    unsigned count = 1;
};

struct Target {
    std::string name;
    Inner inner;
    bool loud = false;
    std::vector<std::string> items;
};

Result<void> add_item(Target& target, std::string_view word) {
    target.items.emplace_back(word);
    return {};
}

constexpr Option<Target> target_table[] = {
    {{"--name", "TEXT", "What it is called"}, into<as_it_is, &Target::name>},
    {{"--count", "N", "How many (default {})", "1"},
     into<parse_count, &Target::inner, &Inner::count>},
    {{"--loud", "", "Say so"}, turn_on<&Target::loud>},
    {{.flag = "--item", .type = "TEXT", .help = "One more", .repeatable = true}, add_item},
};

}  // namespace

TEST_CASE("a table stores what the arguments say, and leaves the rest", "[cli]") {
    Arguments arguments;
    arguments.behind("--count") = {"7"};
    arguments.behind("--loud") = {"", ""};
    arguments.behind("--item") = {"a", "b"};
    Target target;
    target.name = "kept";
    REQUIRE(take_all(target, arguments, target_table).ok());
    CHECK(target.name == "kept");
    CHECK(target.inner.count == 7);
    CHECK(target.loud);
    CHECK(target.items == std::vector<std::string>{"a", "b"});
    CHECK(arguments.has("--loud"));
    CHECK_FALSE(arguments.has("--name"));
}

TEST_CASE("a table's errors name the option", "[cli]") {
    Target target;
    Arguments wrong;
    wrong.behind("--count") = {"many"};
    CHECK(take_all(target, wrong, target_table).error().message().starts_with("--count: 'many'"));
    Arguments twice;
    twice.behind("--name") = {"a", "b"};
    CHECK(take_all(target, twice, target_table).error().message() ==
          "--name is given 2 times; give it once");
}

TEST_CASE("an option's help shows its default", "[cli]") {
    CHECK(OptionText{"--x", "N", "How many (default {}: few)", "1"}.help_text() ==
          "How many (default 1: few)");
    CHECK(OptionText{"--x", "N", "How many", "1"}.help_text() == "How many");
}
