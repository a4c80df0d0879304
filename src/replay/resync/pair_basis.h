// SPDX-License-Identifier: Apache-2.0
// Whether the maps of two sides cover all in which their images may differ, by what each of them
// knows of the other (replay/image/pair_progress.h).
#pragma once

#include <cstdint>

#include "replay/image/pair_progress.h"

namespace fmvm::replay {

// What is known of two images when their sides meet.
enum class PairBasis : std::uint8_t {
    pair = 0,            // they differ at most in the union of the maps
    strangers = 1,       // the labels name no common pair
    backup_behind = 2,   // the backup's is older than the primary knows it
    primary_behind = 3,  // the primary's is older than the backup knows it
};

// Of two labels that name a common pair, each with its progress under it.
constexpr PairBasis basis_of_pair(const PairProgress& primary, const PairProgress& backup) {
    if (backup.serial < primary.peer_serial || backup.sent < primary.heard)
        return PairBasis::backup_behind;
    if (primary.serial < backup.peer_serial || primary.sent < backup.heard)
        return PairBasis::primary_behind;
    return PairBasis::pair;
}

// Why all of a disk is compared though its labels name a pair. Null: it is not, or they do not.
constexpr const char* why_all(PairBasis basis) {
    switch (basis) {
        case PairBasis::backup_behind:
            return "the backup's image is older than the primary knows it, as if a copy was put "
                   "back";
        case PairBasis::primary_behind:
            return "the primary's image is older than the backup knows it, as if a copy was put "
                   "back";
        case PairBasis::pair:
        case PairBasis::strangers:
            break;
    }
    return nullptr;
}

}  // namespace fmvm::replay
