// SPDX-License-Identifier: Apache-2.0
// The operator's wish that the guest, or the wait for one, end in an orderly way: the first of the
// signals in stop_signals.h. Others often follow at once (a terminal that closes, a shell, a
// supervisor). They change nothing while the end is under way: a process that they killed in the
// middle would leave a generation that has not ended, and disks that nobody may use.
//
//     waiting --signal--> ending --end_limit--> overdue --signal--> dead, by that signal
//                         (ignores signals)     (a disk may never answer)
//
// Threads: that of `control`, which outlives this; came() any.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/unique_fd.h"
#include "node/run/occurrence.h"

namespace fmvm::node {

class StopRequest {
  public:
    // How long an orderly end may take before a further signal ends the process at once.
    static constexpr std::chrono::seconds end_limit{30};

    // From then on, and until the process ends, the signals end nothing by themselves. One at a
    // time in a process.
    static Result<std::unique_ptr<StopRequest>> take(
        boost::asio::io_context& control,
        std::chrono::nanoseconds limit = std::chrono::nanoseconds(end_limit));
    ~StopRequest();
    StopRequest(const StopRequest&) = delete;
    StopRequest& operator=(const StopRequest&) = delete;

    // `listener` takes the place of the one before. It is told the signal's number when one comes,
    // or at once if one has come.
    void listen(std::function<void(int)> listener) { number_->listen(std::move(listener)); }
    void stop_listening() { number_->stop_listening(); }
    bool came() const;

  private:
    StopRequest(boost::asio::io_context& control, UniqueFd woken);

    boost::asio::posix::stream_descriptor woken_;
    std::uint64_t count_ = 0;
    std::shared_ptr<Occurrence<int>> number_ = std::make_shared<Occurrence<int>>();
};

}  // namespace fmvm::node
