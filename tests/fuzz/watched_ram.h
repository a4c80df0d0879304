// SPDX-License-Identifier: Apache-2.0
// Guest RAM whose every change, while the guest stands still, must be in a page marked dirty.
#pragma once

#include <cstring>

#include "support/guest_ram.h"

namespace fmvm::test {

class WatchedRam {
  public:
    explicit WatchedRam(GuestRam& ram) : ram_(ram), before_(ram.memory().total_bytes()) {}

    void begin() {
        std::memcpy(before_.data(), bytes(), before_.size());
        static_cast<void>(ram_.memory().take_dirty_marks());
    }
    void check() {
        const std::vector<std::uint64_t> marks = ram_.memory().take_dirty_marks();
        for (std::uint64_t page = 0; page < before_.size() / page_size; ++page) {
            const std::uint64_t at = page * page_size;
            const bool same = std::memcmp(bytes() + at, before_.data() + at, page_size) == 0;
            FMVM_CHECK(same || (marks[page / 64] >> page % 64 & 1) != 0);
        }
    }

  private:
    const std::uint8_t* bytes() {
        return ram_.memory().host_range(GuestAddress(0), before_.size());
    }

    GuestRam& ram_;
    Bytes before_;
};

}  // namespace fmvm::test
