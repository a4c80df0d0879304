// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/frame_writer.h"

#include <boost/asio/write.hpp>
#include <utility>
#include <vector>

namespace fmvm::lockstep {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;

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
    // Asio's own condition would hand the kernel 64 KiB at a time.
    const auto until_written = [this, counted = std::size_t{0}](const ErrorCode& error,
                                                                std::size_t so_far) mutable {
        written_bytes_ += so_far - std::exchange(counted, so_far);
        return error ? std::size_t{0} : std::size_t{frame_body_max};
    };
    asio::async_write(stream_, std::move(buffers), until_written,
                      [this, written = std::move(written)](const ErrorCode& error, std::size_t) {
                          writing_ = false;
                          const std::size_t frames = std::exchange(in_flight_, 0);
                          written(error, error ? 0 : retire(frames));
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
