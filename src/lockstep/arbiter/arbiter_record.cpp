// SPDX-License-Identifier: Apache-2.0
#include "lockstep/arbiter/arbiter_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.h"

namespace fmvm::lockstep {

namespace {

constexpr std::string_view claim_title = "fmvm-arbiter 1 claim";
constexpr std::string_view ended_title = "fmvm-arbiter 1 ended";

// The rest of the next line, when it begins with `key`; none otherwise.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view key) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos || !text.starts_with(key)) return std::nullopt;
    const std::string_view value = text.substr(key.size(), end - key.size());
    text.remove_prefix(end + 1);
    return value;
}

template <typename Number>
bool parse_number(std::string_view text, int base, Number& number) {
    const auto [last, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, base);
    return error == std::errc() && last == text.data() + text.size();
}

bool parse_vm(std::string_view text, VmId& vm) {
    if (text.size() != 2 * vm.size()) return false;
    for (std::size_t i = 0; i < vm.size(); ++i) {
        if (!parse_number(text.substr(2 * i, 2), 16, vm[i])) return false;
    }
    return true;
}

}  // namespace

bool ArbiterRecord::is_valid_side(std::string_view side) {
    return !side.empty() && side.size() <= side_bytes_max && is_printable_ascii(side);
}

std::string ArbiterRecord::text() const {
    return fmt::format("{}\nvm {:02x}\ngeneration {}\nside {}\ntime {}\n",
                       kind == Kind::claim ? claim_title : ended_title, fmt::join(vm, ""),
                       generation, side, time);
}

std::optional<ArbiterRecord> ArbiterRecord::parse(std::string_view text) {
    const std::string_view whole = text;
    ArbiterRecord record;
    const auto title = take_line(text, "");
    const auto vm = take_line(text, "vm ");
    const auto generation = take_line(text, "generation ");
    const auto side = take_line(text, "side ");
    const auto time = take_line(text, "time ");
    if (!title || !vm || !generation || !side || !time) return std::nullopt;
    record.kind = *title == ended_title ? Kind::ended : Kind::claim;
    record.side = *side;
    if (!parse_vm(*vm, record.vm) || !parse_number(*generation, 10, record.generation) ||
        !is_valid_side(record.side) || !parse_number(*time, 10, record.time)) {
        return std::nullopt;
    }
    // Catches the rest: other titles, spellings of the same number, lines that follow.
    if (record.text() != whole) return std::nullopt;
    return record;
}

}  // namespace fmvm::lockstep
