// SPDX-License-Identifier: Apache-2.0
// A file that holds what a guest did to its disks, epoch by epoch, all payloads by value: to be
// replayed onto a copy of the images that the guest started from (log_replay.h).
//
//     header   "FMVMLOG1", VM id (16 bytes), u64 begun, u32 disks, for each u64 capacity, u32 block
//              size and u8 read-only; digest of all that
//     epoch    u64 number, u64 generation, u64 shipped, u64 cut, u64 length of the records, digest
//              of the records, digest of all that; records
//     epoch    ...
//
// Little-endian; a digest is XXH3-64 (u64); times are milliseconds since 1970; records as in
// block_record.h. Numbers count from 1 through the whole file. Only whole epochs are written; a
// file whose writer was killed may end in the middle of one, which does not count.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "replay/image/disk_label.h"
#include "replay/record/block_record.h"

namespace fmvm::replay {

// Of one epoch's records; a recorder holds far less (epoch_recorder.h).
inline constexpr std::uint64_t epoch_bytes_max = 512 * mib;

struct EpochLogHeader {
    LabelId vm{};  // as in the labels of its images; none: an unprotected guest
    std::uint64_t begun_ms = 0;
    std::vector<DiskLimits> disks;  // in the order of --disk
};

// What is known of an epoch beside its records.
struct EpochStamp {
    std::uint64_t generation = 0;  // under which the guest ran; 0: without protection
    std::uint64_t shipped = 0;     // its number on the connection; 0: the guest ran alone
    std::uint64_t cut_ms = 0;
};

class EpochLogWriter {
  public:
    // A new file. One that exists is an error: it may be somebody's only record.
    static Result<std::unique_ptr<EpochLogWriter>> create(const std::string& path,
                                                          const EpochLogHeader& header);
    // Written through to the kernel. After an error the file ends with the epoch before, and
    // nothing more may be appended.
    Result<void> append(const EpochStamp& stamp, std::span<const BlockRecord> records);
    // Of the last epoch.
    std::uint64_t number() const { return number_; }
    const std::string& path() const { return path_; }

  private:
    EpochLogWriter(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    Result<void> write(std::span<const std::uint8_t> bytes);

    const std::string path_;
    const UniqueFd fd_;
    std::uint64_t number_ = 0;
    std::uint64_t end_ = 0;  // of the last whole epoch
};

struct LoggedEpoch {
    std::uint64_t number = 0;
    EpochStamp stamp;
    std::vector<BlockRecord> records;  // point into `body`; each fits the header's disks
    std::vector<std::uint8_t> body;
};

class EpochLogReader {
  public:
    static Result<std::unique_ptr<EpochLogReader>> open(const std::string& path);
    const EpochLogHeader& header() const { return header_; }
    const std::string& path() const { return path_; }
    // Nothing: the end. An error: the file is damaged at the epoch after the last one.
    Result<std::optional<LoggedEpoch>> next();
    // At the end: the file stops in the middle of an epoch.
    bool torn() const { return torn_; }

  private:
    EpochLogReader(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
    Result<void> read_header();
    Result<void> parse_records(LoggedEpoch& epoch) const;
    Result<bool> read(std::span<std::uint8_t> bytes);

    const std::string path_;
    const UniqueFd fd_;
    EpochLogHeader header_;
    std::uint64_t left_ = 0;  // bytes of the file
    std::uint64_t number_ = 0;
    bool torn_ = false;
};

}  // namespace fmvm::replay
