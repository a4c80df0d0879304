// SPDX-License-Identifier: Apache-2.0
// Tells when a non-blocking descriptor may be read from, or written to, again. Owns the descriptor.
//
// A descriptor is taken for ready until its owner finds that it is not and says so; then the loop
// waits for it. So nothing is asked of the kernel for a descriptor that is known not to be ready,
// and nobody is told again and again of one that is ready and not wanted.
//
// Threads: the loop thread, or any while the loop stands. The handler may destroy the watch.
#pragma once

#include <functional>
#include <memory>

#include "base/unique_fd.h"
#include "vmm/loop/event_loop.h"
#include "vmm/loop/task_scope.h"

namespace fmvm {

class ReadinessWatch {
  public:
    ReadinessWatch(EventLoop& loop, UniqueFd fd, std::function<void()> handler);
    ~ReadinessWatch();
    ReadinessWatch(const ReadinessWatch&) = delete;
    ReadinessWatch& operator=(const ReadinessWatch&) = delete;

    int fd() const;
    bool may_read() const { return may_read_; }
    bool may_write() const { return may_write_; }
    // The kernel had nothing to give, or no room (EAGAIN). The handler is called when it has.
    void wait_to_read();
    void wait_to_write();

  private:
    struct Descriptor;  // keeps Asio's header out of this one
    void wait(int type, bool& may);

    const std::shared_ptr<const std::function<void()>> handler_;
    const std::unique_ptr<Descriptor> descriptor_;
    bool may_read_ = true;
    bool may_write_ = true;
    TaskScope tasks_;  // last: its tasks use the rest
};

}  // namespace fmvm
