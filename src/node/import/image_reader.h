// SPDX-License-Identifier: Apache-2.0
// Reads files inside a raw disk image, in user space, by grub-fstest: never by mounting, because a
// kernel replays journals and trusts file systems too much. Whatever is in the image, it costs that
// program's life at most; what comes out is the image's content and as hostile as that.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "node/import/partition_table.h"

namespace fmvm::node {

inline constexpr HelperProgram grub_fstest{"grub-fstest", "grub-common"};

// A disk or a partition of it, as GRUB calls it: "loop0", "loop0,gpt1".
std::string grub_device(PartitionTable::Kind kind, const Partition& partition);

class ImageReader {
  public:
    // stop_fd: see ChildWatch.
    ImageReader(std::string image, int stop_fd) : image_(std::move(image)), stop_fd_(stop_fd) {}

    // The names in a directory, directories with a slash behind; none when it is not there. Only
    // such names as a kernel may have: letters, digits and ._+~-. What else is there is passed
    // over.
    Result<std::vector<std::string>> list(const std::string& device,
                                          const std::string& directory) const;
    Result<bool> exists(const std::string& device, const std::string& path) const;
    // A file's content; nothing when there is no such file.
    Result<std::optional<std::string>> read(const std::string& device, const std::string& path,
                                            std::size_t bytes_max) const;
    // Into a new file of the host, synchronised.
    Result<void> copy(const std::string& device, const std::string& path, const std::string& to,
                      std::uint64_t bytes_max) const;

  private:
    Result<ChildResult> ask(const std::vector<std::string>& words, std::size_t output_max,
                            std::uint64_t file_max) const;

    std::string image_;
    int stop_fd_;
};

// list()'s part that looks at hostile text.
std::vector<std::string> harmless_names(std::string_view listing);

}  // namespace fmvm::node
