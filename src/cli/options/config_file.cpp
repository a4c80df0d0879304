// SPDX-License-Identifier: Apache-2.0
#include "cli/options/config_file.h"

#include "base/file_io.h"
#include "base/json.h"
#include "base/open_file.h"
#include "cli/options/json_values.h"
#include "cli/options/machine_table.h"

namespace fmvm::cli {

namespace {

constexpr std::size_t config_size_max = 1 * mib;

std::string known_keys() {
    std::string keys;
    for (const MachineOption& option : machine_table()) {
        if (option.in_file()) keys += (keys.empty() ? "" : ", ") + std::string(option.key);
    }
    return keys;
}

Result<void> apply_member(GivenOptions& given, const JsonValue& member) {
    for (const MachineOption& option : machine_table()) {
        if (option.in_file() && member.key == option.key) return option.read(given, member);
    }
    return located(member, make_error("unknown key; {} are known", known_keys()));
}

Result<GivenOptions> interpret(const JsonValue& root) {
    if (root.kind != JsonValue::Kind::object)
        return located(root, Error("an object in braces is expected here"));
    GivenOptions given;
    for (const JsonValue& member : root.children)
        FMVM_TRY(apply_member(given, member));
    return given;
}

Result<std::string> read_text(const std::string& path) {
    const std::string what = "configuration file " + path;
    const RegularFile file = FMVM_TRY(about(what, open_regular_file(path)));
    std::string text(config_size_max + 1, '\0');
    std::size_t size = 0;
    if (const int failure =
            read_up_to(file.fd.get(), std::as_writable_bytes(std::span(text)), size);
        failure != 0)
        return errno_error(failure, what + ": cannot be read");
    if (size > config_size_max) return make_error("{}: is larger than 1 MiB", what);
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
