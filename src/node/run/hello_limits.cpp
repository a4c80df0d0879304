// SPDX-License-Identifier: Apache-2.0
#include "node/run/hello_limits.h"

#include "base/units.h"

namespace fmvm::node {

Result<void> check_limits(const lockstep::HelloMessage& hello,
                          const BackupCommandOptions& options) {
    if (options.memory_max && hello.shape.memory_bytes > *options.memory_max) {
        return make_error(
            "the guest has {} MiB of memory, and this backup takes {} at most; give it more with "
            "--max-memory",
            hello.shape.memory_bytes / mib, *options.memory_max / mib);
    }
    const std::chrono::milliseconds lost_after(hello.lost_after_ms);
    if (lost_after <= options.lost_after_max) return {};
    return make_error(
        "the primary would be waited for {} s after its last sign of life, and this backup waits "
        "{} s at most; give the primary a shorter --lost-after, or this side a longer "
        "--max-lost-after",
        lost_after.count() / 1000, options.lost_after_max.count() / 1000);
}

}  // namespace fmvm::node
