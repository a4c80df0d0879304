// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "base/json.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/commands/check_command.h"
#include "node/build/host_facts.h"

using namespace fmvm;
using namespace fmvm::cli;
using namespace fmvm::node;

TEST_CASE("check: one aligned line per fact") {
    const std::vector<Fact> facts{{"kvm", "API 12", Verdict::ok},
                                  {"ring 0", "emulated", Verdict::note},
                                  {"irqfd", "absent", Verdict::missing}};
    CHECK(facts_as_text(facts) ==
          "ok       kvm:    API 12\n"
          "note     ring 0: emulated\n"
          "missing  irqfd:  absent\n");
}

TEST_CASE("check: the JSON is JSON, and says whether fmvm can run") {
    const JsonValue good =
        parse_json(facts_as_json({{"a \"b\"", "c\\d\n", Verdict::note}})).value();
    REQUIRE(good.children.size() == 2);
    CHECK(good.children[0].key == "can_run");
    CHECK(good.children[0].boolean);
    const JsonValue& fact = good.children[1].children.at(0);
    CHECK(fact.children.at(0).text == "a \"b\"");
    CHECK(fact.children.at(1).text == "c\\d\n");
    CHECK(fact.children.at(2).text == "note");
    const JsonValue bad = parse_json(facts_as_json({{"a", "b", Verdict::missing}})).value();
    CHECK_FALSE(bad.children[0].boolean);
    CHECK(parse_json(facts_as_json({})).ok());
}

TEST_CASE("host facts: MemTotal") {
    CHECK(parse_memory_total("MemFree: 5 kB\nMemTotal:       24684084 kB\n").value() ==
          24684084 * kib);
    for (const char* text : {"", "MemTotal", "MemTotal:", "MemTotal: kB", "MemTotal: 12 MB",
                             "MemTotal: 99999999999999999999 kB", "MemTotalX: 5 kB",
                             "MemTotal: 18446744073709551615 kB"}) {
        INFO(text);
        CHECK_FALSE(parse_memory_total(text).ok());
    }
}

TEST_CASE("host facts: CPU model") {
    CHECK(parse_cpu_model("processor\t: 0\nvendor_id\t: V\nmodel\t\t: 1\nmodel name\t: A B\n") ==
          "V, A B");
    CHECK(parse_cpu_model("") == "unknown");
}

TEST_CASE("log: one line, no control characters") {
    CHECK(log::format_line(log::Level::notice, "vm", "a=1") == "notice vm: a=1");
    CHECK(log::format_line(log::Level::error, "vm", "a\nb\x1b[2J\x7f") == "error vm: a?b?[2J?");
    CHECK(log::level_for_verbosity(0) == log::Level::notice);
    CHECK(log::level_for_verbosity(1) == log::Level::info);
    CHECK(log::level_for_verbosity(5) == log::Level::debug);
}
