// SPDX-License-Identifier: Apache-2.0
// `fmvm check`: what this host can do for fmvm, one fact a line, or as JSON.
#pragma once

#include <string>
#include <vector>

namespace fmvm::cli {

enum class Verdict {
    ok,
    missing,  // fmvm cannot run without it
    note,     // worth knowing; fmvm runs
};

struct Fact {
    std::string name;
    std::string value;
    Verdict verdict = Verdict::ok;
};

// The two forms of the report.
std::string facts_as_text(const std::vector<Fact>& facts);
std::string facts_as_json(const std::vector<Fact>& facts);

int check_command(bool as_json);

}  // namespace fmvm::cli
