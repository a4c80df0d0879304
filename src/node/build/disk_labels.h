// SPDX-License-Identifier: Apache-2.0
// The labels of the disks that a guest without protection runs on: an image that belongs to a
// protected guest, which may have gone on elsewhere, is not run by mistake, and one that is run is
// known to have gone its own way.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "devices/block/disk_image.h"
#include "node/config/machine_options.h"
#include "replay/image/label_rules.h"

namespace fmvm::node {

// What label= says when a disk has none.
inline constexpr std::string_view no_label = "none";

// Where the label of this disk is, if there is one; nothing: it has none, as its user says. An
// error when nobody could know: of a device that may be written to there is no place beside it.
Result<std::optional<std::string>> label_path(const DiskOptions& disk);
// Of a disk that must have one.
Result<std::string> needed_label_path(const DiskOptions& disk);
// An image file whose label is elsewhere gets a link to it where it would be otherwise: whoever
// uses the image without saying where its label is finds it all the same.
void point_to_label(const DiskOptions& disk);

// What there is where the label of this disk should be; absent if it has none.
Result<replay::FoundLabel> find_label_of(const DiskOptions& disk);

// Whether the image may run without protection, or be only read, or be shared by two sides. Changes
// nothing. For a protected guest it must be at the place that its label knows.
Result<void> check_label(const DiskOptions& disk);
Result<void> check_label_place(const DiskOptions& disk, const replay::DiskPlace& place);
// The guest that one of these disks belongs to by its label; nothing: no label says so.
Result<std::optional<replay::LabelId>> labelled_guest(const std::vector<DiskOptions>& disks);

// The image goes its own way from now on: a pair id that nobody else has, durably. Makes a label if
// there is none. Returns the id; nothing: the disk has no label, as its user says.
Result<std::optional<replay::LabelId>> give_new_pair(const DiskOptions& disk, std::size_t number,
                                                     std::uint64_t image_bytes);

// Durably, before the guest starts: these images, locked by us, belong to no protected guest any
// more. An image without a label gets none, but the mark that it is raw (raw_disks.h). Of one that
// only --force-stale lets run, the log says first what is given up.
Result<void> leave_protection(const std::vector<DiskOptions>& disks,
                              const std::vector<const DiskImage*>& images);

}  // namespace fmvm::node
