// SPDX-License-Identifier: Apache-2.0
// What primary and backup say to each other to find out, while the guest runs and is protected,
// whether their disks are still equal (scrubber.h).
//
//     primary                             backup
//       check  ------------------------->          XXH3-64 of blocks as they were at an epoch's cut
//              <------------------------- checked  all of them are equal
//
// A check comes between the commit of its epoch and that of the next: the backup has carried out
// that epoch and no later one. A backup whose blocks differ does not answer: it says that it is
// unfit. Little-endian; bodies are hostile: decode() checks all that can be checked without knowing
// the disks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "replay/resync/resync_messages.h"

namespace fmvm::replay {

inline constexpr std::size_t check_blocks_max = 64;

struct CheckMessage {
    std::uint64_t number = 0;  // counts the checks of a connection
    std::uint64_t epoch = 0;
    std::uint8_t disk = 0;
    std::vector<BlockDigest> blocks;  // not empty; in any order

    std::vector<std::uint8_t> encode() const;
    static Result<CheckMessage> decode(std::span<const std::uint8_t> body);
};

struct CheckedMessage {
    std::uint64_t number = 0;  // of the check

    std::vector<std::uint8_t> encode() const;
    static Result<CheckedMessage> decode(std::span<const std::uint8_t> body);
};

}  // namespace fmvm::replay
