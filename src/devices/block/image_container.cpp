// SPDX-License-Identifier: Apache-2.0
#include "devices/block/image_container.h"

#include <algorithm>
#include <array>

namespace fmvm {

namespace {

using namespace std::string_view_literals;

enum class Where { first_sector, last_sector };

struct Mark {
    std::string_view format;
    std::string_view bytes;
    std::size_t offset = 0;
    Where where = Where::first_sector;
};

constexpr std::array marks{
    Mark{"qcow", "QFI\xfb\0\0\0\1"sv},
    Mark{"qcow2", "QFI\xfb"sv},
    Mark{"qed", "QED\0"sv},
    Mark{"vmdk", "KDMV"sv},
    Mark{"vmdk", "COWD"sv},
    Mark{"vmdk", "# Disk DescriptorFile"sv},
    Mark{"vhdx", "vhdxfile"sv},
    Mark{"vpc", "conectix"sv},                         // dynamic VHD
    Mark{"vpc", "conectix"sv, 0, Where::last_sector},  // fixed VHD
    Mark{"vdi", "\x7f\x10\xda\xbe"sv, 64},
    Mark{"parallels", "WithoutFreeSpace"sv},
    Mark{"parallels", "WithouFreSpacExt"sv},
};

bool holds(std::span<const std::uint8_t> sector, const Mark& mark) {
    if (sector.size() < mark.offset + mark.bytes.size()) return false;
    return std::ranges::equal(sector.subspan(mark.offset, mark.bytes.size()), mark.bytes, {}, {},
                              [](char c) { return static_cast<std::uint8_t>(c); });
}

}  // namespace

std::optional<std::string_view> container_format(std::span<const std::uint8_t> first,
                                                 std::span<const std::uint8_t> last) {
    const auto* const found = std::ranges::find_if(marks, [&](const Mark& mark) {
        return holds(mark.where == Where::first_sector ? first : last, mark);
    });
    if (found == marks.end()) return std::nullopt;
    return found->format;
}

}  // namespace fmvm
