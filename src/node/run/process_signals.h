// SPDX-License-Identifier: Apache-2.0
// How a process that runs a guest takes its signals.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <functional>
#include <memory>

#include "node/run/occurrence.h"

namespace fmvm::node {

// Sets what the signals do that fmvm handles in its own way. Once, before any thread exists.
void prepare_signals();

// The operator's wish that the guest, or the wait for one, end in an orderly way: the first of the
// signals in stop_signals.h. From the construction on they end nothing by themselves.
//
// Threads: that of `control`, which outlives this.
class StopRequest {
  public:
    explicit StopRequest(boost::asio::io_context& control);
    ~StopRequest();
    StopRequest(const StopRequest&) = delete;
    StopRequest& operator=(const StopRequest&) = delete;

    // `listener` takes the place of the one before. It is told the signal's number when one comes,
    // or at once if one has come. Undoes release().
    void listen(std::function<void(int)> listener);
    void stop_listening() { number_->stop_listening(); }
    // From here on a signal ends the process at once, should a disk never answer.
    void release();

  private:
    void take();

    boost::asio::signal_set signals_;
    std::shared_ptr<Occurrence<int>> number_ = std::make_shared<Occurrence<int>>();
};

}  // namespace fmvm::node
