// SPDX-License-Identifier: Apache-2.0
#include "node/import/initrd_modules.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "vmm/boot/decompress.h"
#include "vmm/boot/scratch_buffer.h"

namespace fmvm::node {

namespace {

using Bytes = std::span<const std::uint8_t>;

std::string_view text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Crosses out what is found.
class Search {
  public:
    Search(std::vector<std::string> wanted, std::size_t unpacked_max)
        : missing_(std::move(wanted)), unpacked_max_(unpacked_max) {}

    // All of an archive and what follows it; false: not understood.
    bool look_through(Bytes bytes) {
        while (!bytes.empty()) {
            if (bytes.front() == 0) {  // padding between archives
                bytes = bytes.subspan(1);
            } else if (is_cpio(bytes)) {
                if (!next_entry(bytes)) return false;
            } else {
                return look_into_compressed(bytes);
            }
        }
        return true;
    }
    std::vector<std::string> missing() && { return std::move(missing_); }

  private:
    static bool is_cpio(Bytes bytes) {
        const std::string_view text = text_of(bytes);
        return text.starts_with("070701") || text.starts_with("070702");
    }

    // cpio(5), "New ASCII Format": 13 numbers of 8 hexadecimal digits behind the magic.
    bool next_entry(Bytes& bytes) {
        constexpr std::size_t header_bytes = 110, size_at = 54, name_size_at = 94;
        if (bytes.size() < header_bytes) return false;
        const std::string_view header = text_of(bytes.first(header_bytes));
        const std::optional<std::uint64_t> size = number(header.substr(size_at, 8));
        const std::optional<std::uint64_t> name_size = number(header.substr(name_size_at, 8));
        if (!size || !name_size || *name_size == 0) return false;
        const std::uint64_t data_at = align_up(header_bytes + *name_size, 4);
        const std::uint64_t end = align_up(data_at + *size, 4);
        // The last entry of a file need not be padded.
        if (data_at + *size > bytes.size()) return false;
        found(text_of(bytes.subspan(header_bytes, *name_size - 1)));
        bytes = bytes.subspan(std::min<std::uint64_t>(end, bytes.size()));
        return true;
    }

    static std::optional<std::uint64_t> number(std::string_view digits) {
        std::uint64_t value = 0;
        const char* const end = digits.data() + digits.size();
        const auto [rest, failure] = std::from_chars(digits.data(), end, value, 16);
        if (failure != std::errc() || rest != end) return std::nullopt;
        return value;
    }

    // ".../virtio_blk.ko", which may be compressed by itself: ".ko.xz".
    void found(std::string_view path) {
        const std::string_view file = path.substr(path.rfind('/') + 1);
        const std::size_t ending = file.find(".ko");
        if (ending == std::string_view::npos) return;
        std::string name(file.substr(0, ending));
        std::ranges::replace(name, '-', '_');
        std::erase(missing_, name);
    }

    bool look_into_compressed(Bytes bytes) {
        const auto compression = boot::identify_compression(bytes);
        if (!compression || is_compressed_ || bytes.size() > unpacked_max_) return false;
        is_compressed_ = true;
        Result<boot::ScratchBuffer> space = boot::ScratchBuffer::reserve(unpacked_max_);
        if (!space.ok()) return false;
        const Result<std::size_t> size = boot::decompress(*compression, bytes, space->bytes());
        return size.ok() && look_through(space->bytes().first(size.value()));
    }

    std::vector<std::string> missing_;
    const std::size_t unpacked_max_;
    bool is_compressed_ = false;  // what is looked at: one archive inside the other is enough
};

}  // namespace

std::optional<std::vector<std::string>> modules_not_in(Bytes initrd,
                                                       std::vector<std::string> wanted,
                                                       std::size_t unpacked_max) {
    Search search(std::move(wanted), unpacked_max);
    if (!search.look_through(initrd)) return std::nullopt;
    return std::move(search).missing();
}

}  // namespace fmvm::node
