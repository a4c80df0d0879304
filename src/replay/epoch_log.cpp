// SPDX-License-Identifier: Apache-2.0
#include "replay/epoch_log.h"

#include <fcntl.h>

#include <algorithm>

#include "base/digest.h"
#include "base/file_io.h"

namespace fmvm::replay {

namespace {

constexpr std::array<std::uint8_t, 8> magic{'F', 'M', 'V', 'M', 'L', 'O', 'G', '1'};
constexpr std::size_t header_fixed_bytes = magic.size() + 16 + 4;
constexpr std::size_t disk_bytes = 8 + 4;
constexpr std::uint32_t disks_max = 64;
constexpr std::size_t epoch_header_bytes = 8 + 4 + 8;
// More than an epoch can leave: the log's budget and what is in flight beside it.
constexpr std::uint32_t records_bytes_max = 1024 * mib;

std::uint64_t epoch_digest(std::uint64_t number, std::span<const std::uint8_t> records) {
    return digest_of(records, number);
}

Error write_error(int error_number, const std::string& path) {
    return errno_error(error_number, fmt::format("log {}: cannot be written", path));
}

}  // namespace

Result<std::unique_ptr<EpochLogWriter>> EpochLogWriter::create(const std::string& path,
                                                               const EpochLogHeader& header) {
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd) return errno_error(errno, fmt::format("log {}: cannot be created", path));
    ByteWriter out;
    out.raw(magic);
    out.raw(header.vm);
    out.u32(static_cast<std::uint32_t>(header.disks.size()));
    for (const DiskLimits& disk : header.disks) {
        out.u64(disk.capacity);
        out.u32(disk.block_size);
    }
    out.u64(digest_of(out.bytes()));
    const int failure = write_all(fd.get(), std::as_bytes(std::span(out.bytes())));
    if (failure != 0) return write_error(failure, path);
    return std::unique_ptr<EpochLogWriter>(new EpochLogWriter(path, std::move(fd)));
}

Result<void> EpochLogWriter::append(std::span<const BlockRecord> records) {
    if (records.empty()) return {};
    ByteWriter body;
    for (const BlockRecord& record : records) {
        encode_record(record, body);
        if (record.by_value) body.raw(record.payload);
    }
    ByteWriter out;
    out.reserve(epoch_header_bytes + body.size());
    out.u64(++number_);
    out.u32(static_cast<std::uint32_t>(body.size()));
    out.u64(epoch_digest(number_, body.bytes()));
    out.raw(body.bytes());
    const int failure = write_all(fd_.get(), std::as_bytes(std::span(out.bytes())));
    if (failure != 0) return write_error(failure, path_);
    return {};
}

Result<std::unique_ptr<EpochLogReader>> EpochLogReader::open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return errno_error(errno, fmt::format("log {}: cannot be opened", path));
    std::unique_ptr<EpochLogReader> reader(new EpochLogReader(path, std::move(fd)));
    FMVM_TRY(reader->read_header());
    return reader;
}

// How much there was.
Result<std::size_t> EpochLogReader::read_up_to(std::span<std::uint8_t> bytes) {
    std::size_t count = 0;
    const int failure = fmvm::read_up_to(fd_.get(), std::as_writable_bytes(bytes), count);
    if (failure != 0) return errno_error(failure, fmt::format("log {}: cannot be read", path_));
    return count;
}

Result<void> EpochLogReader::read_header() {
    const Error damaged = make_error("log {}: is not a log of fmvm, or damaged", path_);
    std::vector<std::uint8_t> bytes(header_fixed_bytes);
    if (FMVM_TRY(read_up_to(bytes)) != bytes.size()) return damaged;
    ByteReader fixed(bytes);
    const auto found = fixed.raw(magic.size());
    std::ranges::copy(fixed.raw(header_.vm.size()), header_.vm.begin());
    const std::uint32_t disks = fixed.u32();
    if (!std::ranges::equal(found, magic) || disks > disks_max) return damaged;
    std::vector<std::uint8_t> rest(disks * disk_bytes + 8);
    if (FMVM_TRY(read_up_to(rest)) != rest.size()) return damaged;
    ByteReader in(rest);
    for (std::uint32_t i = 0; i < disks; ++i) {
        const std::uint64_t capacity = in.u64();
        header_.disks.push_back({capacity, in.u32(), false});
    }
    bytes.insert(bytes.end(), rest.begin(), rest.end() - 8);
    if (in.u64() != digest_of(bytes)) return damaged;
    return {};
}

Result<std::optional<LoggedEpoch>> EpochLogReader::next() {
    std::vector<std::uint8_t> header(epoch_header_bytes);
    const std::size_t got = FMVM_TRY(read_up_to(header));
    torn_ = got != 0 && got != header.size();
    if (got != header.size()) return std::optional<LoggedEpoch>{};
    ByteReader in(header);
    LoggedEpoch epoch;
    epoch.number = in.u64();
    const std::uint32_t length = in.u32();
    const std::uint64_t digest = in.u64();
    const Error damaged = make_error("log {}: is damaged at epoch {}", path_, number_ + 1);
    if (epoch.number != number_ + 1 || length > records_bytes_max) return damaged;
    epoch.body.resize(length);
    torn_ = FMVM_TRY(read_up_to(epoch.body)) != length;
    if (torn_) return std::optional<LoggedEpoch>{};
    if (digest != epoch_digest(epoch.number, epoch.body)) return damaged;
    ByteReader records(epoch.body);
    while (records.ok() && records.remaining() != 0)
        epoch.records.push_back(decode_record(records));
    if (!records.done()) return damaged;
    ++number_;
    return std::optional<LoggedEpoch>(std::move(epoch));
}

}  // namespace fmvm::replay
