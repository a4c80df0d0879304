// SPDX-License-Identifier: Apache-2.0
#include "cli/options/option_values.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace fmvm::cli {

namespace {

constexpr std::string_view size_form = "a size like 512M or 2GiB (a bare number is MiB)";

// The factor of a unit, 0 for what is none.
std::uint64_t unit_factor(std::string_view unit) {
    if (unit.empty()) return mib;
    const std::string_view tail = unit.substr(1);
    if (!tail.empty() && tail != "B" && tail != "iB") return 0;
    switch (unit.front()) {
        case 'K':
        case 'k':
            return kib;
        case 'M':
        case 'm':
            return mib;
        case 'G':
        case 'g':
            return gib;
        case 'T':
        case 't':
            return 1024 * gib;
        default:
            return 0;
    }
}

Result<std::uint64_t> scaled(std::uint64_t count, std::uint64_t factor, std::string_view text) {
    if (count > std::numeric_limits<std::uint64_t>::max() / factor) {
        return make_error("'{}' is more than 2^64 bytes; give {}", text, size_form);
    }
    return count * factor;
}

// Applies one item of a disk text and returns its key.
Result<std::string_view> apply_disk_item(node::DiskOptions& disk, std::string_view item) {
    const std::size_t equals = item.find('=');
    const bool has_value = equals != std::string_view::npos;
    const std::string_view key = item.substr(0, equals);
    const std::string_view value = has_value ? item.substr(equals + 1) : std::string_view();
    if (key == "path" && has_value) {
        disk.path = value;
    } else if (key == "serial" && has_value) {
        disk.serial = value;
    } else if (key == "label" && !value.empty()) {
        disk.label = value;
    } else if (key == "format" && has_value) {
        FMVM_TRY(check_disk_format(value));
        disk.raw = true;
    } else if (key == "readonly" && !has_value) {
        disk.readonly = true;
    } else if (key == "direct" && !has_value) {
        disk.direct = true;
    } else {
        return make_error(
            "'{}' is not a disk key; give path=PATH[,readonly][,direct][,serial=TEXT][,label=PATH]"
            "[,format=raw] (a path with a comma only through --config)",
            item);
    }
    return key;
}

}  // namespace

Result<std::string> as_it_is(std::string_view text) {
    return std::string(text);
}

Result<std::uint64_t> parse_size(std::string_view text) {
    std::uint64_t count = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, count);
    if (error == std::errc::result_out_of_range) {
        return make_error("'{}' is more than 2^64 bytes; give {}", text, size_form);
    }
    const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
    const std::uint64_t factor = error == std::errc() ? unit_factor(unit) : 0;
    if (factor == 0) return make_error("'{}' is not a size; give {}", text, size_form);
    return scaled(count, factor, text);
}

Result<std::uint64_t> size_from_mib(std::uint64_t count) {
    return scaled(count, mib, fmt::format("{}M", count));
}

Result<unsigned> parse_count(std::string_view text) {
    unsigned count = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc() || rest != end) {
        return make_error("'{}' is not a number; give a plain decimal one", text);
    }
    return count;
}

Result<void> check_disk_format(std::string_view format) {
    if (format == "raw") return {};
    return make_error("'{}': disks are raw; convert others (qemu-img convert -O raw)", format);
}

Result<node::DiskOptions> parse_disk(std::string_view text) {
    node::DiskOptions disk;
    std::vector<std::string_view> seen;
    for (std::string_view rest = text;;) {
        const std::size_t comma = rest.find(',');
        const std::string_view item = rest.substr(0, comma);
        const std::string_view key = FMVM_TRY(apply_disk_item(disk, item));
        if (std::ranges::find(seen, key) != seen.end()) {
            return make_error("'{}' stands twice in '{}'; give it once", key, text);
        }
        seen.push_back(key);
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    if (std::ranges::find(seen, "path") == seen.end()) {
        return make_error("'{}' names no image; add path=PATH", text);
    }
    return disk;
}

Result<node::ConsoleOptions> parse_console(std::string_view text) {
    constexpr std::string_view file_prefix = "file:";
    if (text == "stdio") return node::ConsoleOptions{node::ConsoleKind::stdio, {}};
    if (text == "null") return node::ConsoleOptions{node::ConsoleKind::null, {}};
    if (text.starts_with(file_prefix)) {
        return node::ConsoleOptions{node::ConsoleKind::file,
                                    std::string(text.substr(file_prefix.size()))};
    }
    return make_error("'{}' is not a console; give stdio, file:PATH or null", text);
}

Result<node::HostQuirks> parse_host_quirks(std::string_view text) {
    if (text == "auto") return node::HostQuirks::automatic;
    if (text == "off") return node::HostQuirks::off;
    return make_error("'{}' is neither auto nor off; give one of the two", text);
}

Result<node::GuestTime> parse_guest_time(std::string_view text) {
    if (text == "saved") return node::GuestTime::saved;
    if (text == "now") return node::GuestTime::now;
    return make_error("'{}' is neither saved nor now; give one of the two", text);
}

}  // namespace fmvm::cli
