// SPDX-License-Identifier: Apache-2.0
#include "node/run/net_comparison.h"

#include <fmt/ranges.h>

#include <string>

#include "devices/net/mac_address.h"
#include "devices/net/net_header.h"

namespace fmvm::node {

namespace {

std::string offloads_of(const NetShape& net) {
    return (net.features & (host_offload_features | guest_offload_features)) != 0 ? "a TAP"
                                                                                  : "a socket";
}

std::vector<std::string> card_differences(const NetShape& primary, const NetShape& backup) {
    std::vector<std::string> found;
    const auto compare = [&](std::string_view what, const auto& there, const auto& here) {
        if (there != here)
            found.push_back(fmt::format("{}{} on the primary, {} here", what, there, here));
    };
    compare("mac=", to_text(MacAddress{primary.mac}), to_text(MacAddress{backup.mac}));
    compare("mtu=", primary.mtu, backup.mtu);
    compare("", offloads_of(primary), offloads_of(backup));
    if (found.empty() && primary.features != backup.features)
        found.push_back(fmt::format("features {:#x} on the primary, {:#x} here", primary.features,
                                    backup.features));
    return found;
}

}  // namespace

Result<void> compare_nets(const std::vector<NetShape>& primary,
                          const std::vector<NetShape>& backup) {
    if (primary.size() != backup.size()) {
        return make_error(
            "the primary has {} network cards, this backup {}; give --net for each, in order",
            primary.size(), backup.size());
    }
    for (std::size_t i = 0; i < backup.size(); ++i) {
        const std::vector<std::string> found = card_differences(primary[i], backup[i]);
        if (found.empty()) continue;
        return make_error("network card {} differs ({}); give the same on both sides", i,
                          fmt::join(found, "; "));
    }
    return {};
}

}  // namespace fmvm::node
