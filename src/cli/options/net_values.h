// SPDX-License-Identifier: Apache-2.0
// The network cards on the command line and in the configuration file, to typed values. Errors say
// what is wrong with the text and what is expected; the caller prefixes where it stood.
#pragma once

#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "node/config/net_options.h"

namespace fmvm::cli {

// tap=NAME[,bridge=NAME] | socket=PATH | fd=N, each with [,mac=ADDRESS][,mtu=BYTES]
Result<node::NetOptions> parse_net(std::string_view text);

// An array of such texts, or of objects with the same keys. Errors are located.
Result<std::vector<node::NetOptions>> nets_of(const JsonValue& value);

// What the cards mean together.
Result<void> check_nets(const std::vector<node::NetOptions>& nets);

inline constexpr std::size_t net_count_max = 8;

}  // namespace fmvm::cli
