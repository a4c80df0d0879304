// SPDX-License-Identifier: Apache-2.0
#include "node/config/net_options.h"

namespace fmvm::node {

std::string to_text(const NetOptions& options) {
    switch (options.kind) {
        case NetOptions::Kind::tap:
            return "tap=" + options.name;
        case NetOptions::Kind::socket:
            return "socket=" + options.name;
        case NetOptions::Kind::descriptor:
            break;
    }
    return fmt::format("fd={}", options.descriptor);
}

}  // namespace fmvm::node
