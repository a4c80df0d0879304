// SPDX-License-Identifier: Apache-2.0
#include "node/import/image_convert.h"

#include <array>
#include <charconv>
#include <filesystem>

#include "base/durable_file.h"
#include "base/file_io.h"
#include "base/json.h"
#include "base/open_file.h"
#include "base/units.h"

namespace fmvm::node {

namespace {

constexpr std::uint64_t tool_memory_max =
    4 * gib;  // address space: each of its threads has a stack
constexpr std::size_t tool_output_max = mib;
constexpr std::chrono::seconds time_to_look{300};
// A slow disk, and others at work on it.
constexpr std::uint64_t bytes_per_second_min = 2 * mib;

std::chrono::seconds time_to_read(std::uint64_t bytes) {
    return time_to_look + std::chrono::seconds(bytes / bytes_per_second_min);
}

Result<void> check_start(const std::string& path, ImageFormat format) {
    const RegularFile file = FMVM_TRY(open_regular_file(path));
    if (file.size == 0) return Error("is empty; copy it again");
    std::vector<std::uint8_t> start(sector_size);
    std::size_t count = 0;
    const int failure =
        read_up_to_at(file.fd.get(), std::as_writable_bytes(std::span(start)), 0, count);
    if (failure != 0) return errno_error(failure, "cannot be read");
    start.resize(count);
    return check_image_start(format, start, file.size);
}

bool has_text(const JsonValue& object, std::string_view key) {
    const JsonValue* const value = find_member(object, key);
    return value != nullptr && value->kind != JsonValue::Kind::null;
}

// Of the formats that list them: the image's only file must be itself.
Result<void> check_files(const JsonValue& specific) {
    const JsonValue* const data = find_member(specific, "data");
    if (data == nullptr) return {};
    const JsonValue* const extents = find_member(*data, "extents");
    if (has_text(*data, "data-file") || (extents != nullptr && extents->children.size() != 1)) {
        return Error(
            "keeps its data in other files; make a whole one of it with qemu-img convert, where "
            "you trust all of them");
    }
    return {};
}

// Damage that can be seen, a download that broke off: qemu-img would read zeroes there. Raw images
// hold nothing by which to tell.
Result<void> check_whole(const ForeignImage& image, int stop_fd) {
    constexpr int good = 0, clusters_lost = 3;  // qemu-img(1), "check"; lost ones harm nobody
    if (image.format == ImageFormat::raw) return {};
    const ChildResult checked = FMVM_TRY(
        run_child(qemu_img, {"check", "-q", "-f", std::string(to_string(image.format)), image.path},
                  {time_to_read(image.disk_bytes), tool_memory_max, 0, tool_output_max},
                  {.stop_fd = stop_fd}));
    if (checked.exit_status == good || checked.exit_status == clusters_lost) return {};
    return make_error("is damaged or truncated, copy it again; qemu-img says: {}",
                      checked.complaint(qemu_img.name));
}

Result<ForeignImage> inspect(const std::string& path, ImageFormat format, int stop_fd) {
    FMVM_TRY(check_start(path, format));
    std::error_code failure;
    ForeignImage image{std::filesystem::absolute(path, failure).string(), format, 0};
    if (failure) return make_error("its directory cannot be found: {}", failure.message());
    const ChildResult info = FMVM_TRY(run_child(
        qemu_img, {"info", "--output=json", "-f", std::string(to_string(format)), image.path},
        {time_to_look, tool_memory_max, 0, tool_output_max}, {.stop_fd = stop_fd}));
    if (info.exit_status != 0)
        return make_error("cannot be used; qemu-img says: {}", info.complaint(qemu_img.name));
    image.disk_bytes = FMVM_TRY(disk_bytes_in(info.output));
    FMVM_TRY(check_whole(image, stop_fd));
    return image;
}

}  // namespace

Result<std::uint64_t> disk_bytes_in(std::string_view info) {
    const Result<JsonValue> parsed = parse_json(info);
    if (!parsed.ok())
        return make_error("cannot be used; what qemu-img says of it is no JSON: {}",
                          parsed.error().message());
    const JsonValue& about = parsed.value();
    if (has_text(about, "backing-filename")) {
        return Error(
            "has a backing file, so that it is only a part of a disk; make a whole one of it with "
            "qemu-img convert, where you trust both");
    }
    const JsonValue* const encrypted = find_member(about, "encrypted");
    if (encrypted != nullptr && encrypted->boolean)
        return Error("is encrypted; decrypt it with qemu-img convert before");
    if (const JsonValue* const specific = find_member(about, "format-specific"))
        FMVM_TRY(check_files(*specific));
    const JsonValue* const size = find_member(about, "virtual-size");
    if (size == nullptr || size->kind != JsonValue::Kind::unsigned_integer || size->number == 0)
        return Error("holds no disk; check --format");
    if (size->number % sector_size != 0)
        return make_error("holds {} bytes, which are no whole sectors; copy it again",
                          size->number);
    return size->number;
}

std::optional<double> percent_in(std::string_view printed) {
    const std::size_t open = printed.rfind('(');
    if (open == std::string_view::npos) return std::nullopt;
    double percent = 0;
    const char* const end = printed.data() + printed.size();
    const auto [rest, failure] = std::from_chars(printed.data() + open + 1, end, percent);
    if (failure != std::errc() || rest == end || *rest != '/') return std::nullopt;
    return percent;
}

Result<ForeignImage> inspect_image(const std::string& path, ImageFormat format, int stop_fd) {
    Result<ForeignImage> image = inspect(path, format, stop_fd);
    if (!image.ok()) return make_error("image {}: {}", path, image.error().message());
    return image;
}

Result<void> convert_image(const ForeignImage& image, const std::string& to,
                           const std::function<void(double)>& progress, int stop_fd) {
    const ChildWatch watch{[&progress](std::string_view printed) {
                               if (const auto percent = percent_in(printed)) progress(*percent);
                           },
                           stop_fd};
    const Result<ChildResult> converted = run_child(
        qemu_img,
        {"convert", "-p", "-f", std::string(to_string(image.format)), "-O", "raw", image.path, to},
        {time_to_read(image.disk_bytes), tool_memory_max, image.disk_bytes, tool_output_max},
        watch);
    if (!converted.ok()) return make_error("image {}: {}", image.path, converted.error().message());
    if (converted.value().exit_status != 0) {
        return make_error("image {}: cannot be converted; qemu-img says: {}", image.path,
                          converted.value().complaint(qemu_img.name));
    }
    return make_durable(to);
}

}  // namespace fmvm::node
