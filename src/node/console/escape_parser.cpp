// SPDX-License-Identifier: Apache-2.0
#include "node/console/escape_parser.h"

namespace fmvm::node {

const std::string_view escape_help =
    "\r\n"
    "Ctrl-A x  stop the machine and leave fmvm\r\n"
    "Ctrl-A a  send Ctrl-A to the guest (so does Ctrl-A Ctrl-A)\r\n"
    "Ctrl-A h  this help\r\n";

EscapeParser::Result EscapeParser::feed(std::span<const std::uint8_t> typed) {
    Result result;
    for (const std::uint8_t byte : typed) {
        if (!escaped_) {
            escaped_ = byte == escape_byte;
            if (!escaped_) result.guest_bytes.push_back(byte);
            continue;
        }
        escaped_ = false;
        switch (byte) {
            case 'x':
                result.quit = true;
                return result;
            case 'h':
                result.help = true;
                break;
            case 'a':
            case escape_byte:
                result.guest_bytes.push_back(escape_byte);
                break;
            default:
                break;
        }
    }
    return result;
}

}  // namespace fmvm::node
