// SPDX-License-Identifier: Apache-2.0
#include "options.h"

#include "guest.h"
#include "text.h"

namespace bare {

namespace {

constexpr unsigned kNoDigit = 99;

unsigned digit_of(char c) {
    if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
    return kNoDigit;
}

}  // namespace

std::optional<uint64_t> take_number(std::string_view& text) {
    unsigned base = 10;
    if (text.starts_with("0x")) {
        base = 16;
        text.remove_prefix(2);
    }
    uint64_t value = 0;
    size_t used = 0;
    for (; used < text.size() && digit_of(text[used]) < base; ++used) {
        value = value * base + digit_of(text[used]);
    }
    if (used == 0) return std::nullopt;
    text.remove_prefix(used);
    constexpr std::string_view kSuffixes = "KMG";
    size_t suffix = text.empty() ? kSuffixes.npos : kSuffixes.find(text[0]);
    if (suffix != kSuffixes.npos) {
        text.remove_prefix(1);
        value <<= 10 * (suffix + 1);
    }
    return value;
}

std::string_view Options::next_word(std::string_view& rest) {
    while (!rest.empty() && rest[0] == ' ')
        rest.remove_prefix(1);
    size_t length = 0;
    while (length < rest.size() && rest[length] != ' ')
        ++length;
    std::string_view word(rest.data(), length);
    rest.remove_prefix(length);
    return word;
}

std::optional<std::string_view> Options::find(std::string_view key) const {
    std::optional<std::string_view> found;
    each(key, [&](std::string_view value) { found = value; });
    return found;
}

std::string_view Options::text(std::string_view key, std::string_view fallback) const {
    return find(key).value_or(fallback);
}

uint64_t Options::number(std::string_view key, uint64_t fallback) const {
    std::optional<std::string_view> value = find(key);
    if (!value) return fallback;
    std::optional<uint64_t> number = take_number(*value);
    if (!number || !value->empty()) fail(Text() << "not a number: " << key);
    return *number;
}

bool Options::flag(std::string_view key, bool fallback) const {
    return number(key, fallback) != 0;
}

}  // namespace bare
