// SPDX-License-Identifier: Apache-2.0
// Tells the other side, over one connection, the serials of this side's disks that it does not know
// yet: before each step (replay/image/pair_progress.h).
//
// Threads: the replication thread.
#pragma once

#include <vector>

#include "lockstep/wire/outgoing_message.h"
#include "replay/image/dirty_block_map.h"

namespace fmvm::lockstep {

class SerialTeller {
  public:
    // This disk has got the connection's pair, under which both sides know of serial 0. The map
    // outlives this.
    void begin(std::uint8_t disk, const replay::DirtyBlockMap& map) {
        told_.push_back({disk, &map});
    }
    // The next message about a serial that has advanced; empty when there is none.
    OutgoingMessage next();

  private:
    struct Told {
        std::uint8_t disk;
        const replay::DirtyBlockMap* map;
        std::uint64_t serial = 0;
    };
    std::vector<Told> told_;
};

}  // namespace fmvm::lockstep
