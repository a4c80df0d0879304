// SPDX-License-Identifier: Apache-2.0
// Options as tables. A row says what an option is called, what stands behind it, what it means and
// where its value goes; command lines, --help and the configuration file come out of the rows. What
// values mean together is checked behind the tables.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace fmvm::cli {

// What people see of an option.
struct OptionText {
    const char* flag;  // "--memory", "-v,--verbose"; "LOG", without dashes: its place tells
    const char* type;  // what stands behind the flag, such as "SIZE"; "": nothing
    const char* help;  // "{}" in it stands for the default
    const char* fallback = "";  // the default, as it would stand behind the flag; "": none
    bool repeatable = false;

    bool is_switch() const { return *type == '\0' && !is_positional(); }
    bool is_positional() const { return *flag != '-'; }
    std::string help_text() const;
};

template <typename Target>
struct Option {
    OptionText text;
    // Stores what one word behind the flag says; of a switch, that it stood there (word: "").
    Result<void> (*take)(Target& target, std::string_view word);
};

// The words of a command line, by the options that they stood behind.
class Arguments {
  public:
    // One for each time that the option stood there; of a switch they are empty.
    std::vector<std::string>& behind(std::string_view flag) { return words_[std::string(flag)]; }
    const std::vector<std::string>& behind(std::string_view flag) const;
    bool has(std::string_view flag) const { return !behind(flag).empty(); }

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> words_;
};

// The one word behind an option that may stand once; nullptr if it does not stand there.
Result<const std::string*> single(std::string_view flag, const Arguments& arguments);

// Stores everything that the arguments say in `target`. Errors name the option.
template <typename Target, std::size_t count>
Result<void> take_all(Target& target, const Arguments& arguments,
                      const Option<Target> (&table)[count]) {
    for (const Option<Target>& option : table)
        FMVM_TRY(take(target, arguments, option));
    return {};
}

template <typename Target>
Result<void> take(Target& target, const Arguments& arguments, const Option<Target>& option) {
    const OptionText& text = option.text;
    if (!text.repeatable && !text.is_switch()) FMVM_TRY(single(text.flag, arguments));
    for (const std::string& word : arguments.behind(text.flag))
        FMVM_TRY(about(text.flag, option.take(target, word)));
    return {};
}

// For rows: stores what Parse makes of the word in the member to which Path leads.
template <auto Parse, auto... Path, typename Target>
Result<void> into(Target& target, std::string_view word) {
    (target.*....*Path) = FMVM_TRY(Parse(word));
    return {};
}

// For rows of switches.
template <auto... Path, typename Target>
Result<void> turn_on(Target& target, std::string_view) {
    (target.*....*Path) = true;
    return {};
}

// What --help lists of a table.
template <typename Target, std::size_t count>
void list(std::vector<OptionText>& texts, const Option<Target> (&table)[count]) {
    for (const Option<Target>& option : table)
        texts.push_back(option.text);
}

}  // namespace fmvm::cli
