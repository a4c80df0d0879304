// SPDX-License-Identifier: Apache-2.0
// Opening a TAP interface for a guest: one that is there, or a new one, which goes when its
// descriptor is closed. Source: <linux/if_tun.h>, netdevice(7).
//
// Errors are one sentence with the remedy. Controlling thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace fmvm {

struct TapRequest {
    std::string name;
    std::string bridge;  // for a TAP that is made: a bridge to add it to; empty: none
    std::uint16_t mtu = 1500;
};

// Non-blocking, with headers of net_header_size bytes, and with the host's IPv6 silent on it if it
// was made here.
Result<UniqueFd> open_tap(const TapRequest& request);

// The TAP that somebody else has opened as descriptor `fd` of this process; it is duplicated.
Result<UniqueFd> adopt_tap(int fd);
bool is_tap(int fd);

// Whether a kernel takes it as the name of an interface.
bool is_interface_name(std::string_view name);

}  // namespace fmvm
