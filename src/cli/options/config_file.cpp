// SPDX-License-Identifier: Apache-2.0
#include "cli/options/config_file.h"

#include <fcntl.h>

#include <algorithm>
#include <limits>

#include "base/file_io.h"
#include "base/json.h"
#include "base/unique_fd.h"
#include "cli/options/option_values.h"

namespace fmvm::cli {

namespace {

constexpr std::size_t config_size_max = 1 * mib;

Error wrong_type(std::string_view expected) {
    return make_error("{} is expected here", expected);
}

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

// Puts the place and the key before an error about the value there.
Error located(const JsonValue& value, const Error& error) {
    if (value.key.empty()) return error_at(value.position, error.message());
    return error_at(value.position, fmt::format("'{}': {}", value.key, error.message()));
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
        } else if (member.key == "readonly") {
            FMVM_TRY(assign(disk.readonly, boolean_of(member), member));
        } else if (member.key == "direct") {
            FMVM_TRY(assign(disk.direct, boolean_of(member), member));
        } else {
            return located(member,
                           Error("is not a disk key; path, readonly, direct, serial, label are"));
        }
    }
    if (disk.path.empty()) return located(object, Error("a disk needs a \"path\""));
    return disk;
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

template <typename T>
Result<T> parsed_string(const JsonValue& value, Result<T> (*parse)(std::string_view)) {
    return parse(FMVM_TRY(string_of(value)));
}

Result<void> apply_member(GivenOptions& given, const JsonValue& member) {
    const std::string& key = member.key;
    if (key == "restore") return assign(given.restore, string_of(member), member);
    if (key == "guest-time") {
        return assign(given.guest_time, parsed_string(member, parse_guest_time), member);
    }
    if (key == "control") return assign(given.control, string_of(member), member);
    if (key == "kernel") return assign(given.kernel, string_of(member), member);
    if (key == "initrd") return assign(given.initrd, string_of(member), member);
    if (key == "cmdline") return assign(given.cmdline, string_of(member), member);
    if (key == "memory") return assign(given.memory_bytes, size_of(member), member);
    if (key == "cpus") return assign(given.cpus, count_of(member), member);
    if (key == "cpu") return assign(given.cpu, parsed_string(member, parse_guest_cpu), member);
    if (key == "console") {
        return assign(given.console, parsed_string(member, parse_console), member);
    }
    if (key == "host-quirks") {
        return assign(given.host_quirks, parsed_string(member, parse_host_quirks), member);
    }
    if (key == "verbose") return assign(given.verbosity, count_of(member), member);
    if (key == "disks") {
        given.disks = FMVM_TRY(disks_of(member));
        return {};
    }
    return located(member,
                   Error("unknown key; kernel, initrd, cmdline, memory, cpus, cpu, disks, "
                         "console, control, restore, guest-time, host-quirks, verbose are known"));
}

Result<GivenOptions> interpret(const JsonValue& root) {
    if (root.kind != JsonValue::Kind::object) {
        return located(root, wrong_type("an object in braces"));
    }
    GivenOptions given;
    for (const JsonValue& member : root.children)
        FMVM_TRY(apply_member(given, member));
    return given;
}

Result<std::string> read_text(const std::string& path) {
    const std::string what = "cannot read the configuration file " + path;
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return errno_error(errno, what);
    std::string text(config_size_max + 1, '\0');
    std::size_t size = 0;
    if (const int failure = read_up_to(fd.get(), std::as_writable_bytes(std::span(text)), size);
        failure != 0)
        return errno_error(failure, what);
    if (size > config_size_max) return make_error("{}: it is larger than 1 MiB", what);
    text.resize(size);
    return text;
}

}  // namespace

Result<GivenOptions> parse_config(std::string_view text, std::string_view name) {
    const auto in_file = [&](const Error& error) {
        return make_error("{}, {}", name, error.message());
    };
    const Result<JsonValue> root = parse_json(text);
    if (!root.ok()) return in_file(root.error());
    Result<GivenOptions> given = interpret(root.value());
    if (!given.ok()) return in_file(given.error());
    return given;
}

Result<GivenOptions> read_config_file(const std::string& path) {
    return parse_config(FMVM_TRY(read_text(path)), path);
}

}  // namespace fmvm::cli
