// SPDX-License-Identifier: Apache-2.0
// The blocks of a disk image, read and written past the guest's devices: for comparing two images
// and making them equal.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/block/disk_image.h"
#include "replay/image/block_set.h"

namespace fmvm::replay {

// Threads: one at a time. Buffers are bytes_of_block() long.
class ImageBlocks {
  public:
    virtual ~ImageBlocks() = default;
    virtual std::uint64_t image_bytes() const = 0;
    virtual bool read_only() const = 0;
    virtual Result<void> read(BlockIndex block, std::span<std::uint8_t> bytes) = 0;
    virtual Result<void> write(BlockIndex block, std::span<const std::uint8_t> bytes) = 0;
    // Those that may hold anything. The others are holes, and read as zeroes. All of them where
    // that is not known: of a block device, or of a file system without holes.
    virtual BlockSet data() const { return all(); }
    // An error when the file or device has become shorter than it was when it was opened.
    virtual Result<void> check_size() const = 0;
    // What was written, by whomever, is on stable storage when it returns.
    virtual Result<void> sync() = 0;

    // Of what the block holds, as digest_of().
    Result<std::uint64_t> digest(BlockIndex block);

  protected:
    BlockSet all() const;

  private:
    std::vector<std::uint8_t> digested_;
};

// `image` outlives the result. Aligned buffers for direct I/O are its own. `name`: for messages.
std::unique_ptr<ImageBlocks> open_image_blocks(const DiskImage& image, std::string name);

}  // namespace fmvm::replay
