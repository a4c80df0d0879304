// SPDX-License-Identifier: Apache-2.0
#include "node/run/own_sentinel.h"

#include "base/log.h"

namespace fmvm::node {

std::unique_ptr<lockstep::Sentinel> start_sentinel(std::string_view component) {
    Result<std::unique_ptr<lockstep::Sentinel>> sentinel = lockstep::Sentinel::start();
    if (sentinel.ok()) return std::move(sentinel).value();
    log::warning(component,
                 "no sentinel: {}; if this process dies while it runs a guest, the backup learns "
                 "of it later",
                 sentinel.error().message());
    return nullptr;
}

}  // namespace fmvm::node
