// SPDX-License-Identifier: Apache-2.0
#include "support/documented_tables.h"

#include <fstream>

namespace fmvm::test {

namespace {

std::vector<std::string> split(const std::string& text, const std::string& separator) {
    std::vector<std::string> parts;
    std::size_t from = 0;
    for (std::size_t at = text.find(separator); at != std::string::npos;
         at = text.find(separator, from)) {
        parts.push_back(text.substr(from, at - from));
        from = at + separator.size();
    }
    parts.push_back(text.substr(from));
    return parts;
}

// "| a | b |" has the cells "a" and "b".
std::vector<std::string> cells_of(const std::string& line) {
    if (line.size() < 4 || !line.starts_with("| ") || !line.ends_with(" |")) return {};
    return split(line.substr(2, line.size() - 4), " | ");
}

}  // namespace

std::vector<std::vector<std::string>> documented_table(const std::string& document,
                                                       const std::string& heading,
                                                       const std::string& first_column) {
    std::ifstream file(std::string(FMVM_DOCS) + "/" + document);
    std::vector<std::vector<std::string>> rows;
    bool in_section = false;
    bool in_table = false;
    bool wanted = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("## ")) in_section = line == "## " + heading;
        const bool titles = !in_table && line.starts_with("|");
        in_table = line.starts_with("|");
        // The line of dashes below the titles has no blanks, and so no cells.
        const std::vector<std::string> cells = cells_of(line);
        if (titles) wanted = in_section && !cells.empty() && cells.front() == first_column;
        if (in_table && wanted && !titles && !cells.empty()) rows.push_back(cells);
    }
    return rows;
}

NamedPairs documented_transitions(const std::string& heading) {
    NamedPairs pairs;
    for (const auto& cells : documented_table("protocol.md", heading, "state"))
        pairs.push_back(named_pair(cells.at(0), cells.at(1)));
    std::ranges::sort(pairs);
    return pairs;
}

NamedPairs documented_messages(const std::string& heading) {
    NamedPairs pairs;
    for (const auto& cells : documented_table("protocol.md", heading, "message")) {
        for (const std::string& state : split(cells.at(1), ", "))
            pairs.push_back(named_pair(cells.at(0), state));
    }
    std::ranges::sort(pairs);
    return pairs;
}

}  // namespace fmvm::test
