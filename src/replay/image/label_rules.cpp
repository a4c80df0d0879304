// SPDX-License-Identifier: Apache-2.0
#include "replay/image/label_rules.h"

namespace fmvm::replay {

namespace {

Error stale_error(const std::string& image, std::uint64_t generation) {
    return make_error(
        "disk {}: belongs to a protected guest (generation {}) that may have gone on elsewhere; "
        "join it as a backup to bring it up to date",
        image, generation);
}

// What no use of an image gets over.
Result<void> check_whole(const FoundLabel& found, const std::string& image) {
    if (found.state == LabelState::damaged) {
        return make_error(
            "disk {}: its label is damaged, so that nobody knows whether a protected guest has "
            "gone on elsewhere; let the guest go on where a label is whole",
            image);
    }
    if (found.state == LabelState::whole && found.label.role == DiskRole::syncing) {
        return make_error(
            "disk {}: is only partly the disk of a protected guest (generation {}); let a backup "
            "finish copying it",
            image, found.label.generation);
    }
    return {};
}

Result<void> check_number(const DiskLabel& label, const std::string& image,
                          const DiskPlace& place) {
    if (label.disk == place.disk) return {};
    return make_error(
        "disk {}: its label says that it is disk {} of this guest, not {}; give all of the guest's "
        "disks, in their order",
        image, label.disk, place.disk);
}

// Whoever changes an image is who its label says, whatever its role.
Result<void> check_owner(const DiskLabel& label, const std::string& image, const DiskPlace& place) {
    if (!label.is_used()) return {};
    if (label.vm == place.vm) return check_number(label, image, place);
    return make_error(
        "disk {}: its label says that it is another guest's (disk {}, generation {}); give an "
        "image of this guest's own",
        image, label.disk, label.generation);
}

}  // namespace

Result<void> may_run(const FoundLabel& found, const std::string& image) {
    FMVM_TRY(check_whole(found, image));
    if (found.state == LabelState::absent || found.label.role == DiskRole::clean) return {};
    return stale_error(image, found.label.generation);
}

Result<void> may_protect(const FoundLabel& found, const std::string& image, const DiskPlace& place,
                         std::uint64_t newest) {
    FMVM_TRY(check_whole(found, image));
    if (found.state == LabelState::absent || !found.label.is_used()) {
        if (newest == 0 || place.is_added) return {};
        return make_error(
            "disk {}: has no label, but this guest has run before (generation {}), so that its "
            "disk is another one; give that, or join as a backup to get a copy of it",
            image, newest);
    }
    const DiskLabel& label = found.label;
    FMVM_TRY(check_owner(label, image, place));
    if (label.disks > place.disks) {
        return make_error(
            "disk {}: its label says that this guest has {} disks, of which {} are given; give all "
            "of them, in their order",
            image, label.disks, place.disks);
    }
    // The side that ran the newest generation may do so again: there is no newer image. One that
    // followed it may not: it is behind by what was not committed when it was left. Without
    // generations (no arbiter, or a new one) only an image whose guest has ended is known to be
    // the newest.
    if (label.role == DiskRole::clean && (newest == 0 || label.generation == newest)) return {};
    if (label.role == DiskRole::running && label.generation == newest) return {};
    return stale_error(image, label.generation);
}

Result<void> may_follow(const DiskLabel& label, const std::string& image, const DiskPlace& place,
                        const LabelId& origin) {
    FMVM_TRY(check_owner(label, image, place));
    const bool holds_a_state = label.is_used() && label.role != DiskRole::syncing;
    if (!holds_a_state || label.origin == origin) return {};
    return make_error(
        "disk {}: holds what this guest wrote up to generation {} ({}), from which the primary's "
        "disk does not descend; let the guest go on from here if that is the better one, or give "
        "this backup another image",
        image, label.generation, name_of(label.role));
}

Result<void> may_be_seen(const FoundLabel& found, const std::string& image,
                         const DiskPlace& place) {
    const bool is_ours =
        found.state == LabelState::whole && found.label.is_used() && found.label.vm == place.vm;
    return is_ours ? check_number(found.label, image, place) : Result<void>();
}

}  // namespace fmvm::replay
