// SPDX-License-Identifier: Apache-2.0
#include "replay/archive/epoch_log.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "support/log_bench.h"
#include "support/temp_directory.h"

using namespace fmvm;
using namespace fmvm::replay;
using namespace fmvm::test;

namespace {

// A log of three epochs in the file's bytes.
std::vector<std::uint8_t> small_log(const std::string& path) {
    LogRecords records;
    write_log(path, {{records.read(0, Bytes(page_size, 0))},
                     {records.write(512, 1), records.add(BlockOp::flush, 0, 0)},
                     {records.add(BlockOp::discard, 0, log_disk_bytes)}});
    UniqueFd fd(::open(path.c_str(), O_RDONLY));
    std::vector<std::uint8_t> bytes(64 * kib);
    bytes.resize(static_cast<std::size_t>(::read(fd.get(), bytes.data(), bytes.size())));
    return bytes;
}

}  // namespace

TEST_CASE("epoch log: what is read is what was written") {
    LogPath log;
    LogRecords records;
    const std::vector first{records.write(512, 7), records.add(BlockOp::flush, 0, 0)};
    {
        const auto writer = EpochLogWriter::create(log.path, log_header(2)).value();
        REQUIRE(writer->append({4, 0, 1234}, first).ok());
        REQUIRE(writer->append({4, 9, 5678}, {}).ok());
        CHECK(writer->number() == 2);
    }
    CHECK(EpochLogReader::open(log.path).value()->header().disks.size() == 2);
    CHECK(EpochLogReader::open(log.path).value()->header().vm == log_header().vm);
    const ReadLog found(log.path);
    CHECK(found.error.empty());
    CHECK_FALSE(found.torn);
    REQUIRE(found.epochs.size() == 2);
    REQUIRE(found.epochs[0].records.size() == 2);
    CHECK(found.epochs[0].stamp.cut_ms == 1234);
    CHECK(Bytes(found.epochs[0].records[0].payload.begin(),
                found.epochs[0].records[0].payload.end()) == Bytes(512, 7));
    CHECK(found.epochs[1].stamp.generation == 4);
    CHECK(found.epochs[1].stamp.shipped == 9);
    CHECK(found.epochs[1].number == 2);
}

TEST_CASE("epoch log: a file that exists is not replaced") {
    const TempFile file(100);
    const auto writer = EpochLogWriter::create(file.path(), log_header());
    REQUIRE_FALSE(writer.ok());
    CHECK(writer.error().message().find("exists already") != std::string::npos);
    CHECK(file.read_all().size() == 100);
}

TEST_CASE("epoch log: it is made for its owner only, and follows no planted link") {
    const TempDirectory directory;
    REQUIRE(EpochLogWriter::create(directory.file("log"), log_header()).ok());
    struct stat info {};
    REQUIRE(::lstat(directory.file("log").c_str(), &info) == 0);
    CHECK(info.st_mode == (S_IFREG | 0600));
    std::filesystem::create_symlink(directory.file("victim"), directory.file("planted"));
    CHECK_FALSE(EpochLogWriter::create(directory.file("planted"), log_header()).ok());
    CHECK_FALSE(std::filesystem::exists(directory.file("victim")));
}

TEST_CASE("epoch log: cut off anywhere, the whole epochs before are there") {
    LogPath log;
    const std::vector<std::uint8_t> bytes = small_log(log.path);
    std::size_t whole = 0;
    std::size_t untorn = 0;
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        TempFile file;
        file.write(0, std::span(bytes).first(size));
        const ReadLog found(file.path());
        if (found.epochs.empty() && !found.error.empty()) continue;  // the header
        CHECK(found.error.empty());
        CHECK(found.epochs.size() >= whole);
        whole = found.epochs.size();
        if (!found.torn) ++untorn;
    }
    CHECK(whole == 3);
    CHECK(untorn == 4);  // behind the header and each epoch
}

TEST_CASE("epoch log: no flipped bit goes unnoticed") {
    LogPath log;
    const std::vector<std::uint8_t> bytes = small_log(log.path);
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        std::vector<std::uint8_t> damaged = bytes;
        damaged[at] ^= static_cast<std::uint8_t>(1u << (at % 8));
        TempFile file;
        file.write(0, damaged);
        const ReadLog found(file.path());
        CHECK_FALSE(found.error.empty());
        CHECK(found.epochs.size() < 3);
    }
}

TEST_CASE("epoch log: records that do not fit its disks, or refer to guest RAM, are refused") {
    LogRecords records;
    BlockRecord beyond = records.write(log_disk_bytes, 1);
    BlockRecord other_disk = records.write(0, 1);
    other_disk.disk = 1;
    BlockRecord unaligned = records.write(256, 1);
    BlockRecord by_reference = records.add(BlockOp::write, 0, 512);
    by_reference.segments = {{GuestAddress(0), 512}};
    for (const BlockRecord& record : {beyond, other_disk, unaligned, by_reference}) {
        LogPath log;
        write_log(log.path, {{record}});
        const ReadLog found(log.path);
        CHECK(found.epochs.empty());
        CHECK(found.error.find("damaged at epoch 1") != std::string::npos);
    }
}

TEST_CASE("epoch log: what is no log is said to be none") {
    for (const char* const path : {"/dev/null", "/tmp", "/nonexistent"})
        CHECK_FALSE(ReadLog(path).error.empty());
    LogPath log;
    std::vector<std::uint8_t> bytes = small_log(log.path);
    bytes[7] = '2';
    TempFile file;
    file.write(0, bytes);
    CHECK(ReadLog(file.path()).error.find("another version") != std::string::npos);
}
