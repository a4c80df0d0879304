// SPDX-License-Identifier: Apache-2.0
// Which pages of this process's anonymous memory have never been touched, and so read as zeroes: to
// read them would make the kernel map each of them, which takes time, and at the process's death
// time again, in which its connections stay open.
//
// Source: /proc/self/pagemap (kernel: Documentation/admin-guide/mm/pagemap.rst), bits 63 (present)
// and 62 (swapped). Where the kernel does not tell, no page counts as untouched.
//
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>

#include "base/unique_fd.h"

namespace fmvm {

class PageMap {
  public:
    PageMap();

    // What is known may have changed.
    void forget() { known_ = 0; }
    // The page that begins there: untouched, when the kernel was asked for it since forget().
    bool is_untouched(const std::uint8_t* page);

  private:
    UniqueFd fd_;
    std::array<std::uint64_t, 128> entries_{};
    std::uint64_t first_ = 0;  // number of the page that entries_[0] is about
    std::uint64_t known_ = 0;
};

}  // namespace fmvm
