// SPDX-License-Identifier: Apache-2.0
// Told about every fdatasync(2) of this program: what has to be durable when is tested by what a
// power loss would leave.
#pragma once

#include <functional>
#include <optional>

namespace fmvm::test {

class SyncWatch {
  public:
    // Asked before each fdatasync(): an errno (0: none) is its result, without carrying it out.
    using Handler = std::function<std::optional<int>(int fd)>;
    explicit SyncWatch(Handler handler);
    ~SyncWatch();
    SyncWatch(const SyncWatch&) = delete;
    SyncWatch& operator=(const SyncWatch&) = delete;
};

}  // namespace fmvm::test
