// SPDX-License-Identifier: Apache-2.0
// Where block requests go: an image file, or a decorator around another backend (alignment,
// recording for replay, a gate, a map of what changes; forwarding_backend.h). Everything here
// happens on the loop thread.
#pragma once

#include <sys/uio.h>

#include <boost/container/small_vector.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <utility>

#include "devices/virtio/descriptor_chain.h"

namespace fmvm {

enum class BlockOp : std::uint8_t { read, write, flush, discard, write_zeroes };
enum class BlockStatus : std::uint8_t { ok, io_error, unsupported };

constexpr bool changes_disk(BlockOp op) {
    return op != BlockOp::read && op != BlockOp::flush;
}

// For messages and dumps.
constexpr const char* name_of(BlockOp op) {
    switch (op) {
        case BlockOp::read:
            return "read";
        case BlockOp::write:
            return "write";
        case BlockOp::flush:
            return "flush";
        case BlockOp::discard:
            return "discard";
        case BlockOp::write_zeroes:
            return "write-zeroes";
    }
    return "unknown";
}

using Buffers = boost::container::small_vector<iovec, 6>;

// Copies the contents of the buffers, one behind the other, to `to`; or from there.
inline void gather(const Buffers& buffers, std::uint8_t* to) {
    for (const iovec& buffer : buffers) {
        std::memcpy(to, buffer.iov_base, buffer.iov_len);
        to += buffer.iov_len;
    }
}
inline void scatter(const std::uint8_t* from, const Buffers& buffers) {
    for (const iovec& buffer : buffers) {
        std::memcpy(buffer.iov_base, from, buffer.iov_len);
        from += buffer.iov_len;
    }
}

class BlockOperation;

// Told exactly once about every operation it submitted.
class BlockOperationOwner {
  public:
    virtual ~BlockOperationOwner() = default;
    virtual void complete(BlockOperation& operation, BlockStatus status) = 0;
};

// One operation on a disk. Belongs to its owner and stays where it is, buffers included, until
// complete() was called for it.
class BlockOperation {
  public:
    BlockOp op = BlockOp::read;
    std::uint64_t offset = 0;  // bytes
    std::uint64_t length = 0;  // bytes; for read and write the sum of the buffers
    bool may_unmap = false;    // write_zeroes: deallocating is fine
    Buffers buffers;           // read: filled by the backend; write: not changed by it
    Segments segments;         // where in guest RAM the buffers are; empty if they are not there
    // Set by the backend for a read: what it changed in guest RAM is accounted for (marked dirty,
    // or in a log that names the pages), so that the owner need not mark it.
    bool accounted = false;
    BlockOperationOwner* owner = nullptr;

    void complete(BlockStatus status) { owner->complete(*this, status); }
};

class BlockBackend {
  public:
    virtual ~BlockBackend() = default;
    virtual std::uint64_t capacity() const = 0;    // bytes, a multiple of block_size()
    virtual std::uint32_t block_size() const = 0;  // what offsets and lengths must be aligned to
    virtual bool read_only() const = 0;

    // Accepts an operation that lies within the capacity. May complete it before returning.
    virtual void submit(BlockOperation& operation) = 0;
    // Hands what was submitted to the kernel; call once after a batch.
    virtual void flush_submissions() = 0;
    // Completes what is finished; true when there was anything, or when trying again may help.
    // Completions may also come at any other moment on the loop thread.
    virtual bool poll_completions() = 0;
    // Blocks until poll_completions() may have something to do, at most for `limit`. For callers
    // that drive a backend without its loop. A backend that completes nothing by itself returns at
    // once.
    virtual void wait_for_completion(std::chrono::milliseconds) {}
    // Completes with io_error, before it returns, whatever has not been handed to the kernel yet:
    // what a decorator holds back, what waits for room. The rest completes in its own time. For a
    // device that is reset: its driver wants its memory back now, and nobody is interested in what
    // it asked for. A decorator first withdraws what it holds itself, then calls this of its inner
    // backend.
    virtual void withdraw() = 0;
};

// Takes the operations out of the list before the first is told, because its owner may submit more.
template <typename List>
void withdraw_all(List& waiting) {
    for (BlockOperation* operation : std::exchange(waiting, {}))
        operation->complete(BlockStatus::io_error);
}

}  // namespace fmvm
