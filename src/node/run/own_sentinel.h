// SPDX-License-Identifier: Apache-2.0
// The sentinel of a process that runs a protected guest, or may come to.
#pragma once

#include <memory>
#include <string_view>

#include "lockstep/sentinel/sentinel.h"

namespace fmvm::node {

// At the start, before any thread and anything large exists: the sentinel is a copy of this
// process. Null, with a warning, if this host has no process to give: a guest can be protected
// without one. component: for the log.
std::unique_ptr<lockstep::Sentinel> start_sentinel(std::string_view component);

}  // namespace fmvm::node
