// SPDX-License-Identifier: Apache-2.0
#include "cli/options/json_values.h"

#include <limits>

#include "cli/options/option_values.h"

namespace fmvm::cli {

namespace {

Error wrong_type(std::string_view expected) {
    return make_error("{} is expected here", expected);
}

// Stores a parsed value, or places the error.
template <typename Target, typename T>
Result<void> assign(Target& target, Result<T> parsed, const JsonValue& value) {
    if (!parsed.ok()) return located(value, parsed.error());
    target = std::move(parsed).value();
    return {};
}

Result<node::DiskOptions> disk_of_object(const JsonValue& object) {
    node::DiskOptions disk;
    for (const JsonValue& member : object.children) {
        if (member.key == "path") {
            FMVM_TRY(assign(disk.path, string_of(member), member));
        } else if (member.key == "serial") {
            FMVM_TRY(assign(disk.serial, string_of(member), member));
        } else if (member.key == "label") {
            FMVM_TRY(assign(disk.label, string_of(member), member));
            if (disk.label.empty()) return located(member, Error("is empty; give a path"));
        } else if (member.key == "format") {
            std::string format;
            FMVM_TRY(assign(format, string_of(member), member));
            const Result<void> raw = check_disk_format(format);
            if (!raw.ok()) return located(member, raw.error());
            disk.raw = true;
        } else if (member.key == "readonly") {
            FMVM_TRY(assign(disk.readonly, boolean_of(member), member));
        } else if (member.key == "direct") {
            FMVM_TRY(assign(disk.direct, boolean_of(member), member));
        } else {
            return located(member,
                           Error("is not a disk key; path, readonly, direct, serial, label, format "
                                 "are"));
        }
    }
    if (disk.path.empty()) return located(object, Error("a disk needs a \"path\""));
    return disk;
}

}  // namespace

Result<std::string> string_of(const JsonValue& value) {
    if (value.kind != JsonValue::Kind::string) return wrong_type("a string");
    return value.text;
}

Result<bool> boolean_of(const JsonValue& value) {
    if (value.kind != JsonValue::Kind::boolean) return wrong_type("true or false");
    return value.boolean;
}

Result<unsigned> count_of(const JsonValue& value) {
    if (value.kind != JsonValue::Kind::unsigned_integer) return wrong_type("a whole number");
    if (value.number > std::numeric_limits<int>::max()) return Error("the number is too large");
    return static_cast<unsigned>(value.number);
}

Result<std::uint64_t> size_of(const JsonValue& value) {
    if (value.kind == JsonValue::Kind::unsigned_integer) return size_from_mib(value.number);
    if (value.kind == JsonValue::Kind::string) return parse_size(value.text);
    return wrong_type("a size: a string like \"512M\", or a whole number of MiB");
}

Error located(const JsonValue& value, const Error& error) {
    if (value.key.empty()) return error_at(value.position, error.message());
    return error_at(value.position, fmt::format("'{}': {}", value.key, error.message()));
}

Result<std::vector<node::DiskOptions>> disks_of(const JsonValue& value) {
    constexpr std::string_view expected =
        "an array of objects or of strings like \"path=disk.img,readonly\"";
    if (value.kind != JsonValue::Kind::array) return located(value, wrong_type(expected));
    std::vector<node::DiskOptions> disks;
    for (const JsonValue& item : value.children) {
        if (item.kind == JsonValue::Kind::object) {
            disks.push_back(FMVM_TRY(disk_of_object(item)));
        } else if (item.kind == JsonValue::Kind::string) {
            FMVM_TRY(assign(disks.emplace_back(), parse_disk(item.text), item));
        } else {
            return error_at(item.position,
                            fmt::format("'{}': {} is expected here", value.key, expected));
        }
    }
    return disks;
}

}  // namespace fmvm::cli
