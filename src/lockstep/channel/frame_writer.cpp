// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/frame_writer.h"

#include <boost/asio/buffer.hpp>
#include <utility>
#include <vector>

namespace fmvm::lockstep {

namespace asio = boost::asio;

namespace {

constexpr std::size_t gather_max = 32;  // frames per system call

}  // namespace

void FrameWriter::enqueue(UnsentFrame frame) {
    FMVM_CHECK(queued_bytes_ >= frame.size());
    const FrameHeader header =
        make_frame_header(frame.type, next_sequence_++, frame.body.size(), frame.digest);
    queue_.push_back({header, std::move(frame.body)});
}

void FrameWriter::write(Written written) {
    FMVM_CHECK(!writing_ && in_flight_ == 0 && !queue_.empty());
    writing_ = true;
    std::vector<asio::const_buffer> buffers;
    for (const Queued& frame : queue_) {
        if (in_flight_ == gather_max) break;
        buffers.emplace_back(asio::buffer(frame.header));
        frame.body.each_piece([&](std::span<const std::uint8_t> piece) {
            buffers.emplace_back(piece.data(), piece.size());
        });
        ++in_flight_;
    }
    stream_.write(std::move(buffers), [this, written = std::move(written)](const Moved& moved) {
        writing_ = false;
        const std::size_t frames = std::exchange(in_flight_, 0);
        if (moved.is_lost()) return written({.failed = true});
        written({.bytes = retire(frames)});
    });
}

// The first `frames` of the queue have left. Returns their size.
std::size_t FrameWriter::retire(std::size_t frames) {
    FMVM_CHECK(frames <= queue_.size());
    std::size_t bytes = 0;
    for (; frames != 0; --frames) {
        bytes += frame_header_size + queue_.front().body.size();
        release(std::move(queue_.front().body));
        queue_.pop_front();
    }
    FMVM_CHECK(queued_bytes_ >= bytes);
    queued_bytes_ -= bytes;
    return bytes;
}

void FrameWriter::discard() {
    FMVM_CHECK(!writing_);
    for (Queued& frame : queue_)
        release(std::move(frame.body));
    queue_.clear();
}

}  // namespace fmvm::lockstep
