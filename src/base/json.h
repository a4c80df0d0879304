// SPDX-License-Identifier: Apache-2.0
// JSON that is read: a tree that remembers where each value stood, so that a configuration error
// can be told with its line and column. nlohmann-json stands behind it and behind json_writer.h
// only, because it compiles slowly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmvm {

struct TextPosition {
    std::size_t line = 1;    // from 1
    std::size_t column = 1;  // from 1, in bytes
};

// "line L, column C: <message>"
Error error_at(TextPosition position, std::string_view message);

struct JsonValue {
    enum class Kind { null, boolean, unsigned_integer, other_number, string, array, object };

    Kind kind = Kind::null;
    TextPosition position;  // of a member of an object: where its key stands
    std::string key;        // of a member of an object
    bool boolean = false;
    std::uint64_t number = 0;         // of kind unsigned_integer
    std::string text;                 // of kind string
    std::vector<JsonValue> children;  // of an array or object, in order
};

// Nesting deeper than this is refused: no configuration of ours needs it.
inline constexpr std::size_t json_depth_max = 8;

// Errors, among them a key that stands twice in one object, are error_at() where they are.
Result<JsonValue> parse_json(std::string_view text);

// The member of an object, or nullptr if there is none, or `value` is no object.
const JsonValue* find_member(const JsonValue& value, std::string_view key);

}  // namespace fmvm
