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
constexpr std::uint32_t version = 2;
constexpr const char* boot_id_path = "/proc/sys/kernel/random/boot_id";

// How many bytes a label of a version has; 0: not a version that this fmvm reads.
std::size_t encoded_size(std::uint32_t of_version) {
    constexpr std::size_t added = sizeof(std::uint32_t) + LabelId().size();
    if (of_version == 1) return DiskLabel::encoded_bytes - added;
    return of_version == version ? DiskLabel::encoded_bytes : 0;
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
    out.u32(disks);
    out.raw(origin);
    out.u64(digest_of(out.bytes()));
    return out.take();
}

std::optional<DiskLabel> DiskLabel::decode(std::span<const std::uint8_t> bytes) {
    ByteReader in(bytes);
    DiskLabel label;
    const auto found_magic = in.raw(magic.size());
    const std::uint32_t found_version = in.u32();
    const std::size_t size = encoded_size(found_version);
    if (!std::ranges::equal(found_magic, magic) || size == 0 || bytes.size() < size)
        return std::nullopt;
    label.vm = take_id(in);
    label.disk = in.u32();
    label.image_bytes = in.u64();
    label.generation = in.u64();
    label.pair = take_id(in);
    label.offered = take_id(in);
    const std::uint8_t role = in.u8();
    label.boot = take_id(in);
    if (found_version > 1) {
        label.disks = in.u32();
        label.origin = take_id(in);
    }
    const std::uint64_t digest = in.u64();
    if (digest != digest_of(bytes.first(size - sizeof digest))) return std::nullopt;
    if (role > static_cast<std::uint8_t>(DiskRole::syncing) || label.image_bytes == 0)
        return std::nullopt;
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

}  // namespace fmvm::replay
