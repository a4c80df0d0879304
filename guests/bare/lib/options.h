// SPDX-License-Identifier: Apache-2.0
// The command line: words, most of them key=value. Unknown keys are somebody else's; a value that
// cannot be read ends the guest.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace bare {

// Decimal or 0x hexadecimal, with an optional suffix K, M or G; advances `text` past it.
std::optional<uint64_t> take_number(std::string_view& text);

class Options {
  public:
    explicit Options(std::string_view line) : line_(line) {}

    // The value of the last word `key=value`.
    std::optional<std::string_view> find(std::string_view key) const;
    std::string_view text(std::string_view key, std::string_view fallback) const;
    uint64_t number(std::string_view key, uint64_t fallback) const;
    bool flag(std::string_view key, bool fallback = false) const;

    // Calls visit(value) for each word `key=value`, in order.
    template <class Visitor>
    void each(std::string_view key, Visitor visit) const {
        std::string_view rest = line_;
        while (!rest.empty()) {
            std::string_view word = next_word(rest);
            if (word.size() > key.size() && word.starts_with(key) && word[key.size()] == '=') {
                word.remove_prefix(key.size() + 1);
                visit(word);
            }
        }
    }

  private:
    static std::string_view next_word(std::string_view& rest);

    std::string_view line_;
};

}  // namespace bare
