// SPDX-License-Identifier: Apache-2.0
// What is known about a disk image that belongs, or belonged, to a protected guest: whose it is,
// how far it got, and with which other image it was made equal. Stands in the label file beside the
// image (label_file.h), in front of the map of what may differ (dirty_block_map.h).
//
// Lineage: two images whose labels name the same pair id of one VM differ at most in the union of
// their maps. The id is random and drawn anew by the primary whenever it begins to make a backup's
// disk equal. It becomes the pair of the backup's label first, then of the primary's; in between
// the primary has it as `offered`, and either counts. An image that runs without protection breaks
// the lineage: it gets a pair id that nobody else has.
//
// Descent: the origin is random, too, and drawn when an image begins anew. An image that is made
// equal to another one gets that one's, so that images of one origin are states of one disk.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/byte_codec.h"
#include "base/result.h"

namespace fmvm::replay {

using LabelId = std::array<std::uint8_t, 16>;  // all zeroes: none
LabelId take_id(ByteReader& in);

enum class DiskRole : std::uint8_t {
    clean = 0,      // not in use by a protected guest: never was, or the guest has ended
    running = 1,    // a protected guest runs on it
    following = 2,  // a backup's, equal to its primary's
    syncing = 3,    // a backup's, partly made equal: no state that any guest ever saw
};

const char* name_of(DiskRole role);

struct DiskLabel {
    LabelId vm{};
    std::uint32_t disk = 0;         // its number, in the order of --disk
    std::uint32_t disks = 0;        // how many the guest has; 0: not known
    std::uint64_t image_bytes = 0;  // not 0
    std::uint64_t generation = 0;   // under which the image was last used
    LabelId pair{};
    LabelId offered{};
    DiskRole role = DiskRole::clean;
    LabelId boot{};    // of the host's run (this_boot()) since which the map is exact
    LabelId origin{};  // none: not known

    bool operator==(const DiskLabel&) const = default;

    // A protected guest has used the image: the label says whose it is, and as which disk. One that
    // was made just now, because there was none, does not.
    bool is_used() const { return generation != 0; }
    // True when `theirs` is the pair that the other side's label names.
    bool is_paired_by(const LabelId& theirs) const;

    // With a digest behind. Version 1 has neither `disks` nor `origin`.
    static constexpr std::size_t encoded_bytes = 125;
    std::vector<std::uint8_t> encode() const;
    // Nothing unless the bytes begin with what encode() makes, or made in version 1.
    static std::optional<DiskLabel> decode(std::span<const std::uint8_t> bytes);
};

// Where the label of an image is unless the user says otherwise: beside the file that `image` is a
// name of, symbolic links followed, with ".fmvm" behind its name.
std::string default_label_path(const std::string& image);

// The identity of this host's run, from its start to its end; none (all zeroes) where the kernel
// does not tell it: then no map is exact across processes.
LabelId this_boot();

// What there is where an image's label should be. damaged: nothing is known about the image.
enum class LabelState { absent, damaged, whole };
struct FoundLabel {
    LabelState state = LabelState::absent;
    DiskLabel label;  // if whole
};

}  // namespace fmvm::replay
