// SPDX-License-Identifier: Apache-2.0
#include "base/json_writer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"

namespace fmvm {

JsonObject::JsonObject()
    : object_(std::make_unique<nlohmann::ordered_json>(nlohmann::ordered_json::object())) {}
JsonObject::~JsonObject() = default;
JsonObject::JsonObject(const JsonObject& other)
    : object_(std::make_unique<nlohmann::ordered_json>(*other.object_)) {}
JsonObject::JsonObject(JsonObject&& other) noexcept = default;
JsonObject& JsonObject::operator=(JsonObject other) noexcept {
    std::swap(object_, other.object_);
    return *this;
}

nlohmann::ordered_json& JsonObject::member(std::string_view key) {
    FMVM_CHECK(!object_->contains(key));
    return (*object_)[std::string(key)];
}

JsonObject& JsonObject::add(std::string_view key, std::string_view text) {
    member(key) = std::string(text);
    return *this;
}

JsonObject& JsonObject::add(std::string_view key, bool value) {
    member(key) = value;
    return *this;
}

JsonObject& JsonObject::add_signed(std::string_view key, std::int64_t number) {
    member(key) = number;
    return *this;
}

JsonObject& JsonObject::add_unsigned(std::string_view key, std::uint64_t number) {
    member(key) = number;
    return *this;
}

JsonObject& JsonObject::add(std::string_view key, const JsonObject& object) {
    member(key) = *object.object_;
    return *this;
}

JsonObject& JsonObject::add(std::string_view key, const std::vector<JsonObject>& array) {
    nlohmann::ordered_json& list = member(key);
    list = nlohmann::ordered_json::array();
    for (const JsonObject& item : array)
        list.push_back(*item.object_);
    return *this;
}

JsonObject& JsonObject::add_all(const JsonObject& other) {
    for (const auto& [key, value] : other.object_->items())
        member(key) = value;
    return *this;
}

std::string JsonObject::text(int indentation) const {
    return object_->dump(indentation, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string JsonObject::line() const {
    return text(-1);
}

std::string JsonObject::indented() const {
    return text(2) + '\n';
}

}  // namespace fmvm
