// SPDX-License-Identifier: Apache-2.0
#include "node/import/os_release.h"

#include <algorithm>

#include "base/text.h"

namespace fmvm::node {

namespace {

constexpr std::size_t name_length_max = 80;

// os-release(5): as a shell assigns it, but without its expansions.
std::string unquoted(std::string_view text) {
    if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
        text.back() == text.front()) {
        text = text.substr(1, text.size() - 2);
    }
    std::string value;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) ++i;
        value += text[i];
    }
    return value;
}

std::string value_of(std::string_view os_release, std::string_view key) {
    while (!os_release.empty()) {
        const std::string_view line = os_release.substr(0, os_release.find('\n'));
        os_release.remove_prefix(std::min(os_release.size(), line.size() + 1));
        if (line.starts_with(key) && line.substr(key.size()).starts_with('='))
            return unquoted(line.substr(key.size() + 1));
    }
    return "";
}

}  // namespace

std::string system_name(std::string_view os_release) {
    std::string name = value_of(os_release, "PRETTY_NAME");
    if (name.empty()) name = value_of(os_release, "NAME") + " " + value_of(os_release, "VERSION");
    if (name == " ") return "an unnamed system";
    if (name.size() > name_length_max) name.resize(name_length_max);
    return printable_ascii(std::move(name));
}

}  // namespace fmvm::node
