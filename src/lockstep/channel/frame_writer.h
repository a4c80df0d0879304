// SPDX-License-Identifier: Apache-2.0
// Writes frames to a stream, in order, with as few system calls as possible: each write gathers the
// frames that wait.
//
// Threads: the network thread, except where another is named.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>

#include "lockstep/channel/stream.h"
#include "lockstep/wire/frame_codec.h"
#include "lockstep/wire/gathered_body.h"

namespace fmvm::lockstep {

// A frame that has no place in the sequence yet.
struct UnsentFrame {
    FrameType type = FrameType::invalid;
    GatheredBody body;
    std::uint64_t digest = 0;  // of the body
    std::size_t size() const { return frame_header_size + body.size(); }
};

class FrameWriter {
  public:
    // Takes a body that is not needed any more to the thread where it may be destroyed.
    using Release = std::function<void(GatheredBody)>;
    struct Outcome {
        std::size_t bytes = 0;  // size of the frames that have left
        bool failed = false;    // none of them counts as sent
    };
    // A write has ended.
    using Written = std::function<void(Outcome)>;

    // The stream outlives the writer.
    FrameWriter(Stream& stream, Release release) : stream_(stream), release_(std::move(release)) {}

    // Any thread. The bytes of all frames that were announced and have not left. After an error
    // they stay.
    std::size_t queued_bytes() const { return queued_bytes_; }
    // Any thread. The bytes that the stream has taken, of frames that are whole or not.
    std::uint64_t written_bytes() const { return stream_.written_bytes(); }
    // Any thread. Counts a frame that is on its way to enqueue() or reject().
    void announce(const UnsentFrame& frame) { queued_bytes_ += frame.size(); }

    // Gives the frame the next place in the sequence. It was announced before.
    void enqueue(UnsentFrame frame);
    // Releases a frame that is not to be sent.
    void reject(UnsentFrame frame) { release(std::move(frame.body)); }

    bool is_empty() const { return queue_.empty(); }
    bool is_writing() const { return writing_; }
    // Writes frames that wait; there are some, and no write is under way. `written` is called once,
    // and keeps the writer and the stream alive until then.
    void write(Written written);
    // Forgets all frames. No write is under way.
    void discard();

  private:
    struct Queued {
        FrameHeader header;
        GatheredBody body;
    };
    // Bodies that refer to nothing may be destroyed on any thread.
    void release(GatheredBody body) {
        if (body.refers()) release_(std::move(body));
    }
    std::size_t retire(std::size_t frames);

    Stream& stream_;
    const Release release_;
    std::atomic<std::size_t> queued_bytes_{0};
    std::deque<Queued> queue_;
    std::size_t in_flight_ = 0;  // frames of the queue that are being written
    bool writing_ = false;
    std::uint64_t next_sequence_ = 0;
};

}  // namespace fmvm::lockstep
