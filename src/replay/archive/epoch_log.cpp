// SPDX-License-Identifier: Apache-2.0
#include "replay/archive/epoch_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/digest.h"
#include "base/file_io.h"
#include "base/open_file.h"

namespace fmvm::replay {

namespace {

constexpr std::array<std::uint8_t, 7> magic{'F', 'M', 'V', 'M', 'L', 'O', 'G'};
constexpr std::uint8_t version = '1';
constexpr std::size_t digest_bytes = 8;
constexpr std::size_t header_fixed_bytes = magic.size() + 1 + sizeof(LabelId) + 8 + 4;
constexpr std::size_t disk_bytes = 8 + 4 + 1;
constexpr std::uint32_t disks_max = 64;
constexpr std::size_t epoch_header_bytes = std::size_t{5} * 8 + 2 * digest_bytes;

std::vector<std::uint8_t> encode_header(const EpochLogHeader& header) {
    ByteWriter out;
    out.raw(magic);
    out.u8(version);
    out.raw(header.vm);
    out.u64(header.begun_ms);
    out.u32(static_cast<std::uint32_t>(header.disks.size()));
    for (const DiskLimits& disk : header.disks) {
        out.u64(disk.capacity);
        out.u32(disk.block_size);
        out.flag(disk.read_only);
    }
    out.u64(digest_of(out.bytes()));
    return out.take();
}

}  // namespace

Result<std::unique_ptr<EpochLogWriter>> EpochLogWriter::create(const std::string& path,
                                                               const EpochLogHeader& header) {
    Result<UniqueFd> fd = open_private_file(path, O_WRONLY | O_EXCL);
    if (!fd.ok()) {
        return make_error("log {}: {}; let --record name a new file", path, fd.error().message());
    }
    std::unique_ptr<EpochLogWriter> writer(new EpochLogWriter(path, std::move(*fd)));
    FMVM_TRY(writer->write(encode_header(header)));
    return writer;
}

Result<void> EpochLogWriter::append(const EpochStamp& stamp, std::span<const BlockRecord> records) {
    ByteWriter body;
    for (const BlockRecord& record : records) {
        encode_record(record, body);
        if (record.by_value) body.raw(record.payload);
    }
    ByteWriter head;
    head.u64(number_ + 1);
    head.u64(stamp.generation);
    head.u64(stamp.shipped);
    head.u64(stamp.cut_ms);
    head.u64(body.size());
    head.u64(digest_of(body.bytes()));
    head.u64(digest_of(head.bytes()));
    const std::uint64_t before = end_;
    Result<void> written = write(head.bytes());
    if (written.ok()) written = write(body.bytes());
    if (written.ok()) {
        ++number_;
    } else if (::ftruncate(fd_.get(), static_cast<off_t>(before)) != 0) {
        return make_error("{}; it ends in the middle of an epoch", written.error().message());
    }
    return written;
}

Result<void> EpochLogWriter::write(std::span<const std::uint8_t> bytes) {
    const int failure = write_all(fd_.get(), std::as_bytes(bytes));
    if (failure != 0) return errno_error(failure, fmt::format("log {}: cannot be written", path_));
    end_ += bytes.size();
    return {};
}

Result<std::unique_ptr<EpochLogReader>> EpochLogReader::open(const std::string& path) {
    RegularFile file = FMVM_TRY(about("log " + path, open_regular_file(path)));
    std::unique_ptr<EpochLogReader> reader(new EpochLogReader(path, std::move(file.fd)));
    reader->left_ = file.size;
    FMVM_TRY(reader->read_header());
    return reader;
}

// False: there is less than that.
Result<bool> EpochLogReader::read(std::span<std::uint8_t> bytes) {
    if (bytes.size() > left_) return false;
    std::size_t count = 0;
    const int failure = read_up_to(fd_.get(), std::as_writable_bytes(bytes), count);
    if (failure != 0) return errno_error(failure, fmt::format("log {}: cannot be read", path_));
    left_ -= count;
    return count == bytes.size();
}

Result<void> EpochLogReader::read_header() {
    const Error foreign =
        make_error("log {}: is not a log of fmvm; give a file that --record made", path_);
    std::vector<std::uint8_t> bytes(header_fixed_bytes);
    if (!FMVM_TRY(read(bytes))) return foreign;
    ByteReader fixed(bytes);
    if (!std::ranges::equal(fixed.raw(magic.size()), magic)) return foreign;
    if (fixed.u8() != version)
        return make_error("log {}: was made by another version of fmvm; use that one", path_);
    header_.vm = take_id(fixed);
    header_.begun_ms = fixed.u64();
    const std::uint32_t disks = fixed.u32();
    const Error damaged =
        make_error("log {}: its header is damaged; nothing of it can be used", path_);
    if (disks > disks_max) return damaged;
    std::vector<std::uint8_t> rest(disks * disk_bytes + digest_bytes);
    if (!FMVM_TRY(read(rest))) return damaged;
    ByteReader in(rest);
    for (std::uint32_t i = 0; i < disks; ++i) {
        DiskLimits& disk = header_.disks.emplace_back();
        disk.capacity = in.u64();
        disk.block_size = in.u32();
        disk.read_only = in.flag();
        if (disk.block_size == 0) in.fail();
    }
    bytes.insert(bytes.end(), rest.begin(), rest.end() - digest_bytes);
    if (in.u64() != digest_of(bytes) || !in.done()) return damaged;
    return {};
}

Result<std::optional<LoggedEpoch>> EpochLogReader::next() {
    std::vector<std::uint8_t> head(epoch_header_bytes);
    torn_ = left_ != 0 && left_ < head.size();
    if (!FMVM_TRY(read(head))) return std::optional<LoggedEpoch>{};
    ByteReader in(head);
    LoggedEpoch epoch;
    epoch.number = in.u64();
    epoch.stamp.generation = in.u64();
    epoch.stamp.shipped = in.u64();
    epoch.stamp.cut_ms = in.u64();
    const std::uint64_t length = in.u64();
    const std::uint64_t digest = in.u64();
    const Error damaged = make_error("log {}: is damaged at epoch {}", path_, number_ + 1);
    if (in.u64() != digest_of(std::span(head).first(head.size() - digest_bytes))) return damaged;
    if (epoch.number != number_ + 1) return damaged;
    if (length > epoch_bytes_max) return damaged;
    torn_ = length > left_;
    if (torn_) return std::optional<LoggedEpoch>{};
    epoch.body.resize(length);
    if (!FMVM_TRY(read(epoch.body)) || digest != digest_of(epoch.body)) return damaged;
    if (const Result<void> parsed = parse_records(epoch); !parsed.ok())
        return make_error("{}: {}", damaged.message(), parsed.error().message());
    ++number_;
    return std::optional<LoggedEpoch>(std::move(epoch));
}

Result<void> EpochLogReader::parse_records(LoggedEpoch& epoch) const {
    ByteReader in(epoch.body);
    while (in.ok() && in.remaining() != 0) {
        epoch.records.push_back(decode_record(in));
        if (in.ok()) FMVM_TRY(check_record(epoch.records.back(), header_.disks, nullptr));
    }
    if (!in.done()) return Error("malformed records");
    return {};
}

}  // namespace fmvm::replay
