// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/page_map.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/units.h"

namespace fmvm {

namespace {

constexpr std::uint64_t present_or_swapped = 3ULL << 62;

}  // namespace

PageMap::PageMap() : fd_(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}

bool PageMap::is_untouched(const std::uint8_t* page) {
    const std::uint64_t number = reinterpret_cast<std::uintptr_t>(page) / page_size;
    if (number - first_ >= known_) {
        const auto offset = static_cast<off_t>(number * sizeof entries_[0]);
        const ssize_t length = ::pread(fd_.get(), entries_.data(), sizeof entries_, offset);
        first_ = number;
        known_ = length > 0 ? static_cast<std::uint64_t>(length) / sizeof entries_[0] : 0;
        if (known_ == 0) return false;
    }
    return (entries_[number - first_] & present_or_swapped) == 0;
}

}  // namespace fmvm
