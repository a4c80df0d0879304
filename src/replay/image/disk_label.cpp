// SPDX-License-Identifier: Apache-2.0
#include "replay/image/disk_label.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>

#include "base/byte_codec.h"
#include "base/digest.h"
#include "base/file_io.h"
#include "base/little_endian.h"
#include "base/unique_fd.h"

namespace fmvm::replay {

namespace {

constexpr std::array<std::uint8_t, 8> magic{'f', 'm', 'v', 'm', 'd', 'i', 's', 'k'};
constexpr std::uint32_t version = 1;
constexpr const char* boot_id_path = "/proc/sys/kernel/random/boot_id";

Error stale_error(const std::string& image, std::uint64_t generation) {
    return make_error(
        "disk {}: belongs to a protected guest (generation {}) that may have gone on elsewhere; "
        "join it as a backup to bring it up to date, or give --force-stale to use it as it is",
        image, generation);
}

// What no use of an image gets over.
Result<void> check_whole(const FoundLabel& found, const std::string& image) {
    if (found.state == LabelState::damaged) {
        return make_error(
            "disk {}: its label is damaged, so that nobody knows whether a protected guest has "
            "gone on elsewhere; join it as a backup to bring it up to date, or give --force-stale "
            "to use it as it is",
            image);
    }
    if (found.state == LabelState::whole && found.label.role == DiskRole::syncing) {
        return make_error(
            "disk {}: is only partly the disk of a protected guest (generation {}); let a backup "
            "finish copying it, or give --force-stale to use it as it is",
            image, found.label.generation);
    }
    return {};
}

}  // namespace

LabelId take_id(ByteReader& in) {
    LabelId id{};
    std::ranges::copy(in.raw(id.size()), id.begin());
    return id;
}

const char* name_of(DiskRole role) {
    switch (role) {
        case DiskRole::clean:
            return "clean";
        case DiskRole::running:
            return "running";
        case DiskRole::following:
            return "following";
        case DiskRole::syncing:
            return "syncing";
    }
    return "unknown";
}

bool DiskLabel::is_paired_by(const LabelId& theirs) const {
    return theirs != LabelId{} && (theirs == pair || theirs == offered);
}

std::vector<std::uint8_t> DiskLabel::encode() const {
    ByteWriter out;
    out.raw(magic);
    out.u32(version);
    out.raw(vm);
    out.u32(disk);
    out.u64(image_bytes);
    out.u64(generation);
    out.raw(pair);
    out.raw(offered);
    out.u8(static_cast<std::uint8_t>(role));
    out.raw(boot);
    out.u64(digest_of(out.bytes()));
    return out.take();
}

std::optional<DiskLabel> DiskLabel::decode(std::span<const std::uint8_t> bytes) {
    ByteReader in(bytes);
    DiskLabel label;
    const auto found_magic = in.raw(magic.size());
    const std::uint32_t found_version = in.u32();
    label.vm = take_id(in);
    label.disk = in.u32();
    label.image_bytes = in.u64();
    label.generation = in.u64();
    label.pair = take_id(in);
    label.offered = take_id(in);
    const std::uint8_t role = in.u8();
    label.boot = take_id(in);
    const std::uint64_t digest = in.u64();
    if (!in.done() || digest != digest_of(bytes.first(bytes.size() - sizeof digest)))
        return std::nullopt;
    if (!std::ranges::equal(found_magic, magic) || found_version != version ||
        role > static_cast<std::uint8_t>(DiskRole::syncing) || label.image_bytes == 0) {
        return std::nullopt;
    }
    label.role = static_cast<DiskRole>(role);
    return label;
}

std::string default_label_path(const std::string& image) {
    std::error_code failed;
    const std::filesystem::path real = std::filesystem::weakly_canonical(image, failed);
    return (failed ? image : real.string()) + ".fmvm";
}

LabelId this_boot() {
    const UniqueFd fd(::open(boot_id_path, O_RDONLY | O_CLOEXEC));
    std::array<char, 64> text{};
    std::size_t length = 0;
    if (!fd || read_up_to(fd.get(), std::as_writable_bytes(std::span(text)), length) != 0)
        return {};
    // 32 hexadecimal digits with hyphens between; nobody looks at the text but for being equal.
    LabelId id{};
    if (length == 0) return id;
    const std::span bytes(reinterpret_cast<const std::uint8_t*>(text.data()), length);
    store_le(id, 0, digest_of(bytes, 0));
    store_le(id, 8, digest_of(bytes, 1));
    return id;
}

Result<void> may_run(const FoundLabel& found, const std::string& image) {
    FMVM_TRY(check_whole(found, image));
    if (found.state == LabelState::absent || found.label.role == DiskRole::clean) return {};
    return stale_error(image, found.label.generation);
}

Result<void> may_protect(const FoundLabel& found, const std::string& image, const LabelId& vm,
                         std::uint64_t newest) {
    FMVM_TRY(check_whole(found, image));
    if (found.state == LabelState::absent) return {};
    const DiskLabel& label = found.label;
    const bool clean = label.role == DiskRole::clean;
    if (clean && label.generation == 0) return {};  // made just now: there was none
    if (label.vm != vm) return clean ? Result<void>() : stale_error(image, label.generation);
    // The side that ran the newest generation may do so again: there is no newer image. One that
    // followed it may not: it is behind by what was not committed when it was left.
    if ((clean || label.role == DiskRole::running) && label.generation == newest) return {};
    return stale_error(image, label.generation);
}

Result<void> may_follow(const DiskLabel& label, const std::string& image, const LabelId& vm,
                        std::size_t disk) {
    if (label.role == DiskRole::clean) return {};
    if (label.vm != vm) {
        return make_error(
            "disk {}: its label says that it is another guest's; give an image of its own, or "
            "remove the label if what is on it is not needed",
            image);
    }
    if (label.disk == disk) return {};
    return make_error(
        "disk {}: its label says that it is disk {} of this guest, not {}; give the images in the "
        "primary's order",
        image, label.disk, disk);
}

}  // namespace fmvm::replay
