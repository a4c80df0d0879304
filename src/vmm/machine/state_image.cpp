// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/state_image.h"

#include <algorithm>

#include "base/check.h"
#include "base/digest.h"
#include "base/text.h"

namespace fmvm {

namespace {

constexpr std::string_view magic = "FMVMSTAT";
constexpr std::size_t section_bytes_min = 4 + 4 + 4;

std::span<const std::uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

void StateImage::add(std::string_view name, std::uint32_t version,
                     std::vector<std::uint8_t> payload) {
    FMVM_CHECK(find(name) == nullptr && name.size() <= name_bytes_max);
    sections_.push_back({std::string(name), version, std::move(payload)});
}

const StateSection* StateImage::find(std::string_view name) const {
    const auto found = std::ranges::find(sections_, name, &StateSection::name);
    return found == sections_.end() ? nullptr : &*found;
}

StateSection StateImage::take(std::string_view name) {
    const auto found = std::ranges::find(sections_, name, &StateSection::name);
    if (found == sections_.end()) return {};
    StateSection section = std::move(*found);
    sections_.erase(found);
    return section;
}

std::vector<std::uint8_t> StateImage::encode() const {
    std::size_t size = magic.size() + 16;
    for (const StateSection& section : sections_)
        size += section_bytes_min + section.name.size() + section.payload.size();
    ByteWriter out;
    out.reserve(size);
    out.raw(bytes_of(magic));
    out.u32(format_version);
    out.u32(static_cast<std::uint32_t>(sections_.size()));
    for (const StateSection& section : sections_) {
        out.text(section.name);
        out.u32(section.version);
        out.blob(section.payload);
    }
    out.u64(digest_of(out.bytes()));
    return out.take();
}

Result<StateImage> StateImage::decode(std::span<const std::uint8_t> bytes) {
    constexpr std::size_t digest_size = sizeof(std::uint64_t);
    if (bytes.size() < magic.size() + digest_size ||
        !std::ranges::equal(bytes.first(magic.size()), bytes_of(magic))) {
        return Error("this is not a state image of fmvm");
    }
    const auto content = bytes.first(bytes.size() - digest_size);
    ByteReader digest(bytes.last(digest_size));
    if (digest.u64() != digest_of(content)) {
        return Error("the state image is damaged: its checksum does not fit its content");
    }
    ByteReader in(content.subspan(magic.size()));
    const std::uint32_t version = in.u32();
    if (in.ok() && version != format_version) {
        return make_error("the state image has format {}, this fmvm reads format {}", version,
                          format_version);
    }
    StateImage image;
    const std::uint32_t count = in.count(section_bytes_min);
    if (count > sections_max) in.fail();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
        std::string name = in.text(name_bytes_max);
        const std::uint32_t section_version = in.u32();
        const auto payload = in.blob();
        if (!in.ok() || !is_printable_ascii(name) || image.find(name) != nullptr) {
            in.fail();
            break;
        }
        image.add(name, section_version, {payload.begin(), payload.end()});
    }
    if (!in.done()) return Error("the state image is malformed");
    return image;
}

}  // namespace fmvm
