// SPDX-License-Identifier: Apache-2.0
// The label file of a disk image:
//
//     0      the label with its digest: copy 1
//     4096   the same: copy 2
//     8192   region bits: one for each 4 MiB of the image (u64 words, little-endian)
//     ...    block bits: one for each 64 KiB, from the next multiple of 4096 on
//     ...    the last 4096 bytes: how far the pair has come (pair_progress.h), as u64 words. A file
//            from before they were there gets them when it is opened.
//
// A change of the label is written to copy 1 and made durable, then to copy 2 and made durable. The
// first copy that is whole counts. So wherever a process or a host dies, one of the two is whole,
// and it is the old label or the new one; and a copy that is damaged later is replaced by its
// equal.
//
// Bits and progress change in place, through a shared mapping: they survive the process at once,
// and the host when they were synced. They carry no digest of their own.
//
// Threads: one at a time.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "replay/image/block_set.h"
#include "replay/image/disk_label.h"
#include "replay/image/pair_progress.h"

namespace fmvm::replay {

inline constexpr std::uint64_t label_region_bytes = 4 * mib;
inline constexpr std::uint64_t blocks_per_region = label_region_bytes / disk_block_bytes;

class LabelFile {
  public:
    // Replaces whatever label there is, whole and durable. All bits are set. An error when another
    // process has that one open.
    static Result<LabelFile> create(const std::string& path, const DiskLabel& label);
    // The one that is there, which find_label() found whole.
    static Result<LabelFile> open(const std::string& path);
    // In memory, gone with the process: for an image that is never written.
    static Result<LabelFile> unsaved(const DiskLabel& label);
    LabelFile(LabelFile&& other) noexcept;
    LabelFile& operator=(LabelFile&& other) = delete;
    ~LabelFile();

    const DiskLabel& label() const { return label_; }
    // Durable when it returns, and everything that was set in the bits before. image_bytes stays.
    Result<void> write(const DiskLabel& label);
    // Makes bits and progress durable.
    Result<void> sync();

    std::span<std::uint64_t> regions() { return regions_; }
    std::span<std::uint64_t> blocks() { return blocks_; }
    std::span<const std::uint64_t> blocks() const { return blocks_; }
    ProgressPage& progress() { return progress_; }
    const ProgressPage& progress() const { return progress_; }

  private:
    LabelFile(std::string path, UniqueFd fd, const DiskLabel& label)
        : path_(std::move(path)), fd_(std::move(fd)), label_(label) {}
    Result<void> fill();
    Result<void> map();

    std::string path_;  // for messages
    UniqueFd fd_;
    DiskLabel label_;
    void* mapping_ = nullptr;
    std::size_t mapping_bytes_ = 0;
    std::span<std::uint64_t> regions_;
    std::span<std::uint64_t> blocks_;
    ProgressPage progress_;
    bool failed_ = false;  // after a failed sync nobody knows what is durable
};

// An error: cannot be read at all.
Result<FoundLabel> find_label(const std::string& path);

}  // namespace fmvm::replay
