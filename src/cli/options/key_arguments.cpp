// SPDX-License-Identifier: Apache-2.0
#include "cli/options/key_arguments.h"

namespace fmvm::cli {

namespace {

constexpr const char* key_footer = R"(
fmvm key create FILE makes a new key of 256 bits, in a file that only its owner may read. A file that
is there is never overwritten. Give a copy to the other host by a way that nobody listens to, and name
it on both sides with --tls psk:FILE. Make a key of its own for each guest.

To change a key, put the new one below the old one in the file of both sides, then turn the two lines
round on both, and at last take the old one out.

Exit status: 0 when the key is made, 1 when this host cannot, 2 for bad usage or a file that is there.)";

// What stands on the command line.
struct GivenKey {
    std::vector<std::string> words;
};

Result<void> add_word(GivenKey& given, std::string_view word) {
    given.words.emplace_back(word);
    return {};
}

constexpr Option<GivenKey> key_table[] = {
    {{.flag = "ACTION",
      .type = "",
      .help = "create FILE: make a key file (needed)",
      .repeatable = true},
     add_word},
};

}  // namespace

Command key_line() {
    Command line{"key", "Make the secret key of a pair", key_footer, {}, [](const Arguments& a) {
                     return obey(key_options(a), key_command);
                 }};
    list(line.options, key_table);
    return line;
}

Result<KeyOptions> key_options(const Arguments& arguments) {
    GivenKey given;
    FMVM_TRY(take_all(given, arguments, key_table));
    const std::vector<std::string>& words = given.words;
    if (words.size() != 2 || words.front() != "create" || words.back().empty())
        return Error("give create and one FILE; see fmvm key --help");
    return KeyOptions{words.back()};
}

}  // namespace fmvm::cli
