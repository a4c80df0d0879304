// SPDX-License-Identifier: Apache-2.0
// Epoch logs for tests: where they are, what is put into them, what is found there.
#pragma once

#include <deque>

#include "base/digest.h"
#include "replay/archive/epoch_log.h"
#include "support/guest_ram.h"
#include "support/temp_file.h"

namespace fmvm::test {

inline constexpr std::uint64_t log_disk_bytes = 64 * kib;

// The path of a file that does not exist yet, and goes away with the test.
class LogPath {
  public:
    ~LogPath() { ::unlink(path.c_str()); }
    const TempFile unique;
    const std::string path = unique.path() + ".log";
};

// Records whose payloads stay, numbered as they are made.
class LogRecords {
  public:
    replay::BlockRecord add(BlockOp op, std::uint64_t offset, std::uint64_t bytes) {
        replay::BlockRecord record;
        record.sequence = ++sequence_;
        record.op = op;
        record.offset = offset;
        record.length = bytes;
        return record;
    }
    replay::BlockRecord write(std::uint64_t offset, std::uint8_t value, std::uint64_t bytes = 512) {
        const Bytes& payload = payloads_.emplace_back(bytes, value);
        replay::BlockRecord record = add(BlockOp::write, offset, bytes);
        record.by_value = true;
        record.payload = payload;
        record.digest = digest_of(payload);
        return record;
    }
    // Of a page that was found to hold this.
    replay::BlockRecord read(std::uint64_t offset, const Bytes& found) {
        ByteWriter digests;
        digests.u64(digest_of(found));
        replay::BlockRecord record = add(BlockOp::read, offset, found.size());
        record.digest = digest_of(digests.bytes());
        return record;
    }

  private:
    std::uint64_t sequence_ = 0;
    std::deque<Bytes> payloads_;
};

inline replay::EpochLogHeader log_header(std::size_t disks = 1) {
    replay::EpochLogHeader header;
    header.vm = {1, 2, 3};
    header.begun_ms = 1000;
    header.disks.resize(disks, {log_disk_bytes, 512, false});
    return header;
}

inline void write_log(const std::string& path,
                      const std::vector<std::vector<replay::BlockRecord>>& epochs) {
    const auto writer = replay::EpochLogWriter::create(path, log_header()).value();
    for (const auto& records : epochs)
        writer->append({1, writer->number(), 2000}, records).value();
}

// The epochs of a log up to its end, or to where it is damaged.
struct ReadLog {
    explicit ReadLog(const std::string& path) {
        auto opened = replay::EpochLogReader::open(path);
        if (!opened.ok()) {
            error = opened.error().message();
            return;
        }
        const auto reader = std::move(opened).value();
        while (true) {
            Result<std::optional<replay::LoggedEpoch>> next = reader->next();
            if (!next.ok()) error = next.error().message();
            if (!next.ok() || !*next) break;
            epochs.push_back(std::move(**next));
        }
        torn = reader->torn();
    }
    std::vector<replay::LoggedEpoch> epochs;
    bool torn = false;
    std::string error;  // empty: none
};

}  // namespace fmvm::test
