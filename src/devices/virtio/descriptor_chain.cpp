// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/descriptor_chain.h"

#include <algorithm>

namespace fmvm {

std::uint64_t total_length(const Segments& segments) {
    std::uint64_t sum = 0;
    for (const Segment& segment : segments)
        sum += segment.length;
    return sum;
}

bool SegmentCursor::take(std::uint64_t length, Segments& out) {
    if (length > remaining_) return false;
    remaining_ -= length;
    while (length != 0) {
        const Segment& segment = segments_[index_];
        const std::uint64_t available = segment.length - offset_;
        const auto part = static_cast<std::uint32_t>(std::min(length, available));
        if (part != 0) out.push_back({segment.address + offset_, part});
        length -= part;
        offset_ += part;
        if (offset_ == segment.length) {
            ++index_;
            offset_ = 0;
        }
    }
    return true;
}

bool ChainReader::read(std::span<std::uint8_t> out) {
    Segments parts;
    if (!cursor_.take(out.size(), parts)) return false;
    std::size_t done = 0;
    for (const Segment& part : parts) {
        if (!memory_.read(part.address, out.subspan(done, part.length))) return false;
        done += part.length;
    }
    return true;
}

bool ChainWriter::write(std::span<const std::uint8_t> bytes) {
    Segments parts;
    if (!cursor_.take(bytes.size(), parts)) return false;
    std::size_t done = 0;
    for (const Segment& part : parts) {
        if (!memory_.write(part.address, bytes.subspan(done, part.length))) return false;
        done += part.length;
    }
    return true;
}

}  // namespace fmvm
