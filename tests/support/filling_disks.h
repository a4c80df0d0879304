// SPDX-License-Identifier: Apache-2.0
// Disks of a primary that only say which pages a read has filled, as a test tells them.
#pragma once

#include <vector>

#include "lockstep/disks/no_disks.h"

namespace fmvm::test {

class FillingDisks : public lockstep::NoDisks {
  public:
    std::vector<PageIndex> filled_by_reads;  // of the next cut; ascending

    bool any() const override { return true; }
    std::span<const PageIndex> filled() const override { return filled_by_reads; }
};

}  // namespace fmvm::test
