// SPDX-License-Identifier: Apache-2.0
// One request of a split virtqueue: the buffers of a descriptor chain (virtio 1.2, 2.7.5).
//
// The queue copies every descriptor once and checks the copy; devices see only readable and
// writable buffers that lie in guest RAM, through ChainReader and ChainWriter. A chain is
// move-only and must go back to its queue (Virtqueue::push) or be abandoned because the device is
// being reset; one that is merely dropped is a bug and aborts.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstdint>
#include <span>
#include <utility>

#include "base/check.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm {

// A piece of guest RAM, checked to lie wholly inside one region.
struct Segment {
    GuestAddress address;
    std::uint32_t length = 0;
};
using Segments = boost::container::small_vector<Segment, 6>;

class DescriptorChain {
  public:
    explicit DescriptorChain(std::uint16_t head) : head_(head) {}
    DescriptorChain(DescriptorChain&& other) noexcept
        : readable(std::move(other.readable)),
          writable(std::move(other.writable)),
          head_(other.head_),
          owned_(std::exchange(other.owned_, false)) {}
    DescriptorChain& operator=(DescriptorChain&& other) noexcept {
        FMVM_CHECK(!owned_);
        readable = std::move(other.readable);
        writable = std::move(other.writable);
        head_ = other.head_;
        owned_ = std::exchange(other.owned_, false);
        return *this;
    }
    ~DescriptorChain() { FMVM_CHECK(!owned_); }

    // The queue is being reset: the driver takes all its buffers back.
    void abandon() { owned_ = false; }
    std::uint16_t head() const { return head_; }

    Segments readable;  // the driver wrote these
    Segments writable;  // the device writes these

  private:
    friend class Virtqueue;
    std::uint16_t head_;
    bool owned_ = true;
};

std::uint64_t total_length(const Segments& segments);

// Consumes the buffers of a list from the front.
class SegmentCursor {
  public:
    explicit SegmentCursor(const Segments& segments)
        : segments_(segments), remaining_(total_length(segments)) {}
    std::uint64_t remaining() const { return remaining_; }
    // Appends the next `length` bytes to `out`; false (and nothing taken) when there are fewer.
    bool take(std::uint64_t length, Segments& out);

  private:
    const Segments& segments_;
    std::uint64_t remaining_;
    std::size_t index_ = 0;
    std::uint32_t offset_ = 0;
};

class ChainReader {
  public:
    ChainReader(const GuestMemory& memory, const Segments& segments)
        : memory_(memory), cursor_(segments) {}
    // Copies the next bytes out; false when the chain holds fewer.
    [[nodiscard]] bool read(std::span<std::uint8_t> out);
    SegmentCursor& cursor() { return cursor_; }

  private:
    const GuestMemory& memory_;
    SegmentCursor cursor_;
};

class ChainWriter {
  public:
    ChainWriter(GuestMemory& memory, const Segments& segments)
        : memory_(memory), cursor_(segments) {}
    [[nodiscard]] bool write(std::span<const std::uint8_t> bytes);
    SegmentCursor& cursor() { return cursor_; }

  private:
    GuestMemory& memory_;
    SegmentCursor cursor_;
};

}  // namespace fmvm
