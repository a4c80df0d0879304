// SPDX-License-Identifier: Apache-2.0
// A file that holds what a guest did to its disks, epoch by epoch, all payloads by value: to be
// replayed onto a copy of the image that the guest started from, up to any epoch (`fmvm replay`).
//
//     header   "FMVMLOG1", VM id (16 bytes), u32 disks, for each u64 capacity and u32 block size,
//              digest of all that
//     epoch    u64 number, u32 length of the records, digest of number and records, records
//     epoch    ...
//
// Little-endian; a digest is XXH3-64 (u64); records as in block_record.h. Numbers count from 1
// through the whole file. A file whose writer was killed ends in the middle of an epoch, which does
// not count.
//
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "replay/block_record.h"
#include "replay/disk_label.h"

namespace fmvm::replay {

struct EpochLogHeader {
    LabelId vm{};
    std::vector<DiskLimits> disks;
};

class EpochLogWriter {
  public:
    // A new file; one that exists is replaced.
    static Result<std::unique_ptr<EpochLogWriter>> create(const std::string& path,
                                                          const EpochLogHeader& header);
    // Records with their payloads, written through to the kernel. Nothing is written for none.
    Result<void> append(std::span<const BlockRecord> records);

  private:
    EpochLogWriter(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    const std::string path_;
    const UniqueFd fd_;
    std::uint64_t number_ = 0;
};

struct LoggedEpoch {
    std::uint64_t number = 0;
    std::vector<BlockRecord> records;  // point into `body`
    std::vector<std::uint8_t> body;
};

class EpochLogReader {
  public:
    static Result<std::unique_ptr<EpochLogReader>> open(const std::string& path);
    const EpochLogHeader& header() const { return header_; }
    // Nothing: the end. An error: the file is damaged.
    Result<std::optional<LoggedEpoch>> next();
    // At the end: the file stops in the middle of an epoch.
    bool torn() const { return torn_; }

  private:
    EpochLogReader(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    Result<void> read_header();
    Result<std::size_t> read_up_to(std::span<std::uint8_t> bytes);

    const std::string path_;
    const UniqueFd fd_;
    EpochLogHeader header_;
    std::uint64_t number_ = 0;
    bool torn_ = false;
};

}  // namespace fmvm::replay
