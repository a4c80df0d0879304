// SPDX-License-Identifier: Apache-2.0
// The one report an operator gets when a vCPU cannot go on.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace fmvm {

std::string hex_bytes(std::span<const std::uint8_t> bytes);

// Several lines: the reason, RIP, ring, registers, and what to do about it. Works on any stopped
// vCPU; what KVM does not give is left out.
std::string describe_vcpu(int vcpu_fd, unsigned id, const std::string& reason);

}  // namespace fmvm
