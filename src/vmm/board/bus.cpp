// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/bus.h"

#include <algorithm>

#include "base/check.h"
#include "base/units.h"

namespace fmvm {

void Bus::attach(std::uint64_t start, std::uint64_t size, BusDevice& device) {
    const auto after = [](std::uint64_t value, const Range& range) { return value < range.start; };
    const auto next = std::upper_bound(ranges_.begin(), ranges_.end(), start, after);
    FMVM_CHECK(next == ranges_.end() || start + size <= next->start);
    FMVM_CHECK(next == ranges_.begin() || std::prev(next)->start + std::prev(next)->size <= start);
    ranges_.insert(next, {start, size, &device});
}

const Bus::Range* Bus::find(std::uint64_t address, std::size_t length) const {
    const auto after = [](std::uint64_t value, const Range& range) { return value < range.start; };
    const auto next = std::upper_bound(ranges_.begin(), ranges_.end(), address, after);
    if (next == ranges_.begin()) return nullptr;
    const Range& range = *std::prev(next);
    return range_fits(address - range.start, length, range.size) ? &range : nullptr;
}

void Bus::read(std::uint64_t address, std::span<std::uint8_t> data) const {
    if (const Range* range = find(address, data.size())) {
        range->device->read(address - range->start, data);
    } else {
        std::fill(data.begin(), data.end(), std::uint8_t{0xff});
    }
}

void Bus::write(std::uint64_t address, std::span<const std::uint8_t> data) const {
    if (const Range* range = find(address, data.size())) {
        range->device->write(address - range->start, data);
    }
}

}  // namespace fmvm
