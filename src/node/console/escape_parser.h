// SPDX-License-Identifier: Apache-2.0
// Takes the operator's commands out of what is typed at the console:
//
//   Ctrl-A x        quit                    Ctrl-A h        help
//   Ctrl-A a        sends Ctrl-A            Ctrl-A Ctrl-A   sends Ctrl-A
//   Ctrl-A <other>  nothing: a slip of the finger is not sent to the guest
//
//               Ctrl-A
//   plain  ------------------>  escaped
//          <------------------
//               any byte
//
// A pure state machine: the two bytes may come in different reads.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace fmvm::node {

class EscapeParser {
  public:
    static constexpr std::uint8_t escape_byte = 0x01;  // Ctrl-A

    struct Result {
        std::vector<std::uint8_t> guest_bytes;
        bool help = false;
        bool quit = false;  // what was typed behind it is dropped
    };

    Result feed(std::span<const std::uint8_t> typed);

  private:
    bool escaped_ = false;
};

// What Ctrl-A h prints.
extern const std::string_view escape_help;

}  // namespace fmvm::node
