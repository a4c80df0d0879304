// SPDX-License-Identifier: Apache-2.0
// The bytes of a request in guest RAM, in pieces that end where guest pages end.
#pragma once

#include <algorithm>

#include "devices/virtio/descriptor_chain.h"

namespace fmvm::replay {

struct GuestPiece {
    PageIndex page = 0;
    std::uint64_t offset = 0;  // in the page
    std::uint64_t at = 0;      // in the request's bytes
    std::uint64_t length = 0;  // not 0; stays within the page
};

// Calls visit(GuestPiece) for each piece, in order.
template <typename Visit>
void for_each_piece(const Segments& segments, const GuestMemory& memory, Visit visit) {
    std::uint64_t at = 0;
    for (const Segment& segment : segments) {
        for (std::uint64_t done = 0; done < segment.length;) {
            const GuestAddress address = segment.address + done;
            GuestPiece piece;
            piece.page = memory.page_of(address);
            piece.offset = address.value() % page_size;
            piece.at = at;
            piece.length = std::min(page_size - piece.offset, segment.length - done);
            visit(piece);
            done += piece.length;
            at += piece.length;
        }
    }
}

}  // namespace fmvm::replay
