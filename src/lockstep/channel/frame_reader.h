// SPDX-License-Identifier: Apache-2.0
// Reads frames from a stream.
//
// Threads: the network thread.
#pragma once

#include <functional>
#include <optional>

#include "base/result.h"
#include "lockstep/channel/stream.h"
#include "lockstep/wire/frame_codec.h"

namespace fmvm::lockstep {

class FrameReader {
  public:
    struct Received {
        std::size_t bytes = 0;
        std::optional<Frame> frame;  // if these bytes complete one
    };
    // The error is one sentence for the user: the stream has ended or failed, or what came is no
    // frame. Nothing can be read any more then.
    using Handler = std::function<void(Result<Received>)>;

    // The stream outlives the reader.
    explicit FrameReader(Stream& stream) : stream_(stream) {}

    // Reads what comes next. No other read is under way. `handler` is called once, and keeps the
    // reader and the stream alive until then.
    void read(Handler handler);

  private:
    Result<Received> take(const Moved& moved);

    Stream& stream_;
    FrameDecoder decoder_;
    bool reading_ = false;
    bool failed_ = false;
};

}  // namespace fmvm::lockstep
