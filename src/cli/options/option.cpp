// SPDX-License-Identifier: Apache-2.0
#include "cli/options/option.h"

namespace fmvm::cli {

std::string OptionText::help_text() const {
    return fmt::format(fmt::runtime(help), fallback);
}

const std::vector<std::string>& Arguments::behind(std::string_view flag) const {
    static const std::vector<std::string> none;
    const auto found = words_.find(flag);
    return found == words_.end() ? none : found->second;
}

Result<const std::string*> single(std::string_view flag, const Arguments& arguments) {
    const std::vector<std::string>& words = arguments.behind(flag);
    if (words.size() > 1)
        return make_error("{} is given {} times; give it once", flag, words.size());
    return words.empty() ? nullptr : &words.front();
}

}  // namespace fmvm::cli
