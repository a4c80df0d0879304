// SPDX-License-Identifier: Apache-2.0
#include "replay/image/image_blocks.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/file_io.h"
#include "base/work_steps.h"

namespace fmvm::replay {

namespace {

class FileBlocks : public ImageBlocks {
  public:
    FileBlocks(const DiskImage& image, std::string name)
        : image_(image),
          name_(std::move(name)),
          aligned_(static_cast<std::uint8_t*>(std::aligned_alloc(alignment(), disk_block_bytes)),
                   &std::free) {
        FMVM_CHECK(aligned_ != nullptr);
    }

    std::uint64_t image_bytes() const override { return image_.size; }
    bool read_only() const override { return image_.read_only; }

    Result<void> read(BlockIndex block, std::span<std::uint8_t> bytes) override {
        const std::span<std::uint8_t> space = place(block, bytes.size());
        std::size_t count = 0;
        const int failure = read_up_to_at(image_.fd.get(), std::as_writable_bytes(space),
                                          block * disk_block_bytes, count);
        if (failure != 0) return error(block, "cannot be read", failure);
        if (count < bytes.size())
            return make_error("disk {}: became shorter while it was read; restore its size", name_);
        copy_bytes(space, bytes.data());
        work_step();
        return {};
    }

    Result<void> write(BlockIndex block, std::span<const std::uint8_t> bytes) override {
        const std::span<std::uint8_t> space = place(block, bytes.size());
        copy_bytes(bytes, space.data());
        const int failure =
            write_all_at(image_.fd.get(), std::as_bytes(space), block * disk_block_bytes);
        if (failure != 0) return error(block, "cannot be written", failure);
        begin_writeback(block);
        work_step();
        return {};
    }

    // Nobody uses the descriptor's position.
    BlockSet data() const override {
        BlockSet blocks(disk_block_count(image_.size));
        if (!check_size().ok()) return all();
        const int fd = image_.fd.get();
        const auto size = static_cast<off_t>(image_.size);
        for (off_t hole = 0; hole < size;) {
            const off_t data = ::lseek(fd, hole, SEEK_DATA);
            if ((data < 0 && errno == ENXIO) || data >= size) break;  // none behind that
            hole = data < 0 ? -1 : std::min(size, ::lseek(fd, data, SEEK_HOLE));
            if (hole <= data) return all();  // this file system does not say
            blocks.insert_range(static_cast<std::uint64_t>(data) / disk_block_bytes,
                                disk_block_count(static_cast<std::uint64_t>(hole)));
        }
        return blocks;
    }

    Result<void> check_size() const override {
        const off_t end = ::lseek(image_.fd.get(), 0, SEEK_END);  // nobody uses the position
        if (end >= 0 && static_cast<std::uint64_t>(end) >= image_.size) return {};
        return make_error("disk {}: became shorter, {} bytes instead of {}; restore its size",
                          name_, end, image_.size);
    }

    Result<void> sync() override {
        if (image_.read_only || ::fdatasync(image_.fd.get()) == 0) return {};
        return errno_error(errno, fmt::format("disk {}: cannot be synced", name_));
    }

  private:
    // Lest a whole image waits in the page cache for the first flush of the guest's, which would
    // take as long as that. An error shows at a flush.
    void begin_writeback(BlockIndex written) {
        if (written != unsynced_from_ + unsynced_) {
            unsynced_from_ = written;
            unsynced_ = 0;
        }
        if (++unsynced_ < writeback_blocks) return;
        ::sync_file_range(image_.fd.get(), static_cast<off64_t>(unsynced_from_ * disk_block_bytes),
                          static_cast<off64_t>(unsynced_ * disk_block_bytes),
                          SYNC_FILE_RANGE_WRITE);
        unsynced_ = 0;  // the next block begins anew
    }

    std::size_t alignment() const { return std::max<std::size_t>(image_.memory_alignment, 64); }

    std::span<std::uint8_t> place(BlockIndex block, std::size_t size) const {
        FMVM_CHECK(block < disk_block_count(image_.size) &&
                   size == bytes_of_block(block, image_.size));
        return {aligned_.get(), size};
    }

    Error error(BlockIndex block, const char* what, int error_number) const {
        return errno_error(error_number, fmt::format("disk {}: {} at byte {}", name_, what,
                                                     block * disk_block_bytes));
    }

    static constexpr std::uint64_t writeback_blocks = 4 * mib / disk_block_bytes;

    const DiskImage& image_;
    const std::string name_;
    BlockIndex unsynced_from_ = 0;
    std::uint64_t unsynced_ = 0;  // blocks from there on that were written since
    const std::unique_ptr<std::uint8_t, decltype(&std::free)> aligned_;
};

}  // namespace

BlockSet ImageBlocks::all() const {
    BlockSet blocks(disk_block_count(image_bytes()));
    blocks.insert_all();
    return blocks;
}

Result<std::uint64_t> ImageBlocks::digest(BlockIndex block) {
    digested_.resize(bytes_of_block(block, image_bytes()));
    FMVM_TRY(read(block, digested_));
    return digest_of(digested_);
}

std::unique_ptr<ImageBlocks> open_image_blocks(const DiskImage& image, std::string name) {
    return std::make_unique<FileBlocks>(image, std::move(name));
}

}  // namespace fmvm::replay
