// SPDX-License-Identifier: Apache-2.0
#include "lockstep/primary/primary_options.h"

#include "base/units.h"

namespace fmvm::lockstep {

HelloMessage hello_of(const PrimaryOptions& options, Generation generation) {
    HelloMessage hello;
    hello.vm = options.vm;
    hello.generation = generation;
    hello.shape = options.shape;
    hello.block = options.block;
    hello.durable = options.durable;
    hello.origins = options.origins;
    hello.heartbeat_ms = static_cast<std::uint32_t>(options.heartbeat.count());
    hello.lost_after_ms = static_cast<std::uint32_t>(options.lost_after.count());
    const auto interval = std::chrono::ceil<std::chrono::milliseconds>(options.policy.interval_max);
    hello.interval_ms = static_cast<std::uint32_t>(interval.count());
    return hello;
}

// The backup needs an epoch with digests and the next one, and digests all of its memory in
// between.
std::chrono::microseconds verify_patience(const PrimaryOptions& options) {
    const std::chrono::seconds digesting(options.shape.memory_bytes / gib);
    return std::chrono::seconds(10) + digesting + 3 * options.policy.interval_max;
}

}  // namespace fmvm::lockstep
