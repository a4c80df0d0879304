// SPDX-License-Identifier: Apache-2.0
// Who gets every request that the block log sees, in every phase of the log: a recording
// (replay/archive/epoch_recorder.h).
#pragma once

#include <cstdint>

#include "replay/capture/logged_request.h"

namespace fmvm::replay {

class RequestSink {
  public:
    virtual ~RequestSink() = default;

    // It still takes requests. False is final. Any thread.
    virtual bool is_recording() const = 0;
    // A request has completed. Loop thread; it must not wait.
    virtual void append(const LoggedRequest& request) = 0;
    // How many bytes of payloads it may hold at a time.
    virtual std::uint64_t held_bytes_limit() const = 0;
};

}  // namespace fmvm::replay
