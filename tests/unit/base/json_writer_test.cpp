// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"

#include <catch2/catch.hpp>
#include <limits>

#include "base/json.h"
#include "support/death.h"

using namespace fmvm;

TEST_CASE("a JSON object's members stand in the order in which they were added", "[base]") {
    JsonObject inner;
    inner.add("n", -1);
    JsonObject object;
    object.add("z", "text").add("a", true).add("number", std::numeric_limits<std::uint64_t>::max());
    object.add("inner", inner).add("list", std::vector<JsonObject>{inner, JsonObject()});
    CHECK(object.line() == R"({"z":"text","a":true,"number":18446744073709551615,"inner":{"n":-1},)"
                           R"("list":[{"n":-1},{}]})");
    CHECK(JsonObject().line() == "{}");
    CHECK(JsonObject().add("none", std::vector<JsonObject>()).line() == R"({"none":[]})");
}

TEST_CASE("a JSON object quotes text and replaces what is not UTF-8", "[base]") {
    JsonObject object;
    object.add("a\"b\n", "c\\d\x01").add("bad", "\xff");
    const std::string line = object.line();
    CHECK(line.find('\n') == std::string::npos);
    CHECK(line.find('\xff') == std::string::npos);
    const JsonValue read = parse_json(line).value();
    CHECK(read.children.at(0).key == "a\"b\n");
    CHECK(read.children.at(0).text == "c\\d\x01");
}

TEST_CASE("a JSON object for people has one member a line", "[base]") {
    CHECK(JsonObject().add("a", 1).add("b", "x").indented() ==
          "{\n  \"a\": 1,\n  \"b\": \"x\"\n}\n");
}

TEST_CASE("a JSON object takes all members of another", "[base]") {
    JsonObject object;
    object.add("ok", true);
    CHECK(object.add_all(JsonObject().add("result", "r")).line() == R"({"ok":true,"result":"r"})");
    const JsonObject copy = object;
    CHECK(copy.line() == object.line());
}

TEST_CASE("a JSON object refuses a key that it has", "[base]") {
    CHECK(fmvm::test::aborts([] { JsonObject().add("a", 1).add("a", 2); }));
}
