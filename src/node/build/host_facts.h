// SPDX-License-Identifier: Apache-2.0
// What there is on this host besides KVM.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace fmvm::node {

// MemTotal of the text of /proc/meminfo.
Result<std::uint64_t> parse_memory_total(std::string_view meminfo);
Result<std::uint64_t> host_memory_bytes();

// "vendor, model name" of the first CPU in the text of /proc/cpuinfo.
std::string parse_cpu_model(std::string_view cpuinfo);
std::string host_cpu_model();

// A small ring is set up and torn down; the error says who forbids it.
Result<void> try_io_uring();

// /dev/net/tun opens; no interface is made.
Result<void> try_tap();
// Whether this process may make TAPs, and add them to bridges: CAP_NET_ADMIN.
Result<void> may_make_taps();
// This kernel has bridges, or loads them when asked.
Result<void> try_bridges();

// A thread may go before all others, as that of a lifeline should (lockstep/channel/tcp_lifeline).
Result<void> try_real_time();

}  // namespace fmvm::node
