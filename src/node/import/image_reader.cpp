// SPDX-License-Identifier: Apache-2.0
#include "node/import/image_reader.h"

#include <algorithm>

#include "base/durable_file.h"
#include "base/units.h"

namespace fmvm::node {

namespace {

constexpr std::chrono::seconds time_max{300};
constexpr std::uint64_t reader_memory_max = gib;
constexpr std::size_t listing_max = mib;

bool is_harmless(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+~-").find(c) != std::string_view::npos;
}

std::string in(const std::string& device, const std::string& path) {
    return fmt::format("({}){}", device, path);
}

}  // namespace

std::string grub_device(PartitionTable::Kind kind, const Partition& partition) {
    if (kind == PartitionTable::Kind::none) return "loop0";
    const char* const table = kind == PartitionTable::Kind::gpt ? "gpt" : "msdos";
    return fmt::format("loop0,{}{}", table, partition.number);
}

std::vector<std::string> harmless_names(std::string_view listing) {
    std::vector<std::string> names;
    while (!listing.empty()) {
        const std::string_view word = listing.substr(0, listing.find_first_of(" \n"));
        listing.remove_prefix(std::min(listing.size(), word.size() + 1));
        std::string_view name = word;
        if (name.ends_with('/')) name.remove_suffix(1);
        if (!name.empty() && std::ranges::all_of(name, is_harmless)) names.emplace_back(word);
    }
    return names;
}

Result<ChildResult> ImageReader::ask(const std::vector<std::string>& words, std::size_t output_max,
                                     std::uint64_t file_max) const {
    std::vector<std::string> arguments{image_};
    arguments.insert(arguments.end(), words.begin(), words.end());
    return run_child(grub_fstest, arguments, {time_max, reader_memory_max, file_max, output_max},
                     {.stop_fd = stop_fd_});
}

Result<std::vector<std::string>> ImageReader::list(const std::string& device,
                                                   const std::string& directory) const {
    const ChildResult listed = FMVM_TRY(ask({"ls", in(device, directory)}, listing_max, 0));
    return harmless_names(listed.output);
}

Result<bool> ImageReader::exists(const std::string& device, const std::string& path) const {
    const ChildResult listed = FMVM_TRY(ask({"ls", in(device, path)}, listing_max, 0));
    return !listed.output.empty();
}

Result<std::optional<std::string>> ImageReader::read(const std::string& device,
                                                     const std::string& path,
                                                     std::size_t bytes_max) const {
    ChildResult shown = FMVM_TRY(ask({"cat", in(device, path)}, bytes_max, 0));
    if (shown.exit_status != 0) return std::optional<std::string>();
    return std::optional(std::move(shown.output));
}

Result<void> ImageReader::copy(const std::string& device, const std::string& path,
                               const std::string& to, std::uint64_t bytes_max) const {
    const ChildResult copied = FMVM_TRY(ask({"cp", in(device, path), to}, listing_max, bytes_max));
    if (copied.exit_status != 0)
        return make_error("{} cannot be read: {}", path, copied.complaint(grub_fstest.name));
    return make_durable(to);
}

}  // namespace fmvm::node
