// SPDX-License-Identifier: Apache-2.0
// JSON objects that are written member by member, for control requests, reports and traces. Text is
// quoted, and bytes that are not UTF-8 are replaced, by the JSON library behind it.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace fmvm {

class JsonObject {
  public:
    JsonObject();
    ~JsonObject();
    JsonObject(const JsonObject& other);
    JsonObject(JsonObject&& other) noexcept;
    JsonObject& operator=(JsonObject other) noexcept;

    // Members stand in the order in which they are added; a key is added once.
    JsonObject& add(std::string_view key, std::string_view text);
    JsonObject& add(std::string_view key, const char* text) {
        return add(key, std::string_view(text));
    }
    JsonObject& add(std::string_view key, bool value);
    template <std::integral Number>
    requires(!std::same_as<Number, bool>) JsonObject& add(std::string_view key, Number number) {
        if constexpr (std::is_signed_v<Number>) return add_signed(key, number);
        return add_unsigned(key, static_cast<std::uint64_t>(number));
    }
    JsonObject& add(std::string_view key, const JsonObject& object);
    JsonObject& add(std::string_view key, const std::vector<JsonObject>& array);
    // Adds all members of another object.
    JsonObject& add_all(const JsonObject& other);

    // On one line, without a newline at its end.
    std::string line() const;
    // For people to read: one member a line, with a newline at the end.
    std::string indented() const;

  private:
    JsonObject& add_signed(std::string_view key, std::int64_t number);
    JsonObject& add_unsigned(std::string_view key, std::uint64_t number);
    nlohmann::ordered_json& member(std::string_view key);
    std::string text(int indentation) const;

    std::unique_ptr<nlohmann::ordered_json> object_;
};

}  // namespace fmvm
