// SPDX-License-Identifier: Apache-2.0
#include "node/import/os_release.h"

#include <catch2/catch.hpp>

using namespace fmvm::node;

TEST_CASE("os-release: the system's name", "[cli]") {
    CHECK(system_name("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n") ==
          "Debian GNU/Linux 12 (bookworm)");
    CHECK(system_name("NAME='Alpine Linux'\nVERSION=3.19") == "Alpine Linux 3.19");
    CHECK(system_name("PRETTY_NAME=\"with \\\"quotes\\\"\"") == "with \"quotes\"");
    CHECK(system_name("") == "an unnamed system");
    CHECK(system_name("XPRETTY_NAME=a\nPRETTY_NAMEX=b\nPRETTY_NAME") == "an unnamed system");
}

TEST_CASE("os-release: a hostile name drives no terminal", "[cli]") {
    CHECK(system_name("PRETTY_NAME=\x1b]0;x\x07\xc2\x9b\r\t\x7f") == "?]0;x??????");
    CHECK(system_name("PRETTY_NAME=" + std::string(100'000, 'x')).size() == 80);
    CHECK(system_name("PRETTY_NAME=\"") == "\"");
    CHECK(system_name("PRETTY_NAME=\\") == "\\");
}
