// SPDX-License-Identifier: Apache-2.0
#include "base/process_title.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "support/hidden_test.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

std::string first_line(const std::filesystem::path& path, char end) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line, end);
    return line;
}

}  // namespace

TEST_CASE("hidden: a process has a title", "[.]") {
    set_process_title("watcher of something");
    REQUIRE(first_line("/proc/self/cmdline", '\0') == "watcher of something");
    REQUIRE(first_line("/proc/self/comm", '\n') == "watcher");
    set_process_title("a-name-that-is-quite-long");
    REQUIRE(first_line("/proc/self/comm", '\n') == "a-name-that-is-");
    const std::string longer(5000, 'x');
    set_process_title(longer);
    const std::string shown = first_line("/proc/self/cmdline", '\0');
    REQUIRE(shown.size() < longer.size());
    REQUIRE(shown == longer.substr(0, shown.size()));
}

TEST_CASE("ps shows the title of a process", "[process]") {
    passes("hidden: a process has a title");
}
