// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/log_dump.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <string>

#include "base/json_writer.h"
#include "cli/report/print_result.h"
#include "replay/archive/log_replay.h"

namespace fmvm::cli {

namespace {

using replay::BlockRecord;
using replay::EpochLogHeader;
using replay::LoggedEpoch;

std::string hex(std::span<const std::uint8_t> bytes) {
    return fmt::format("{:02x}", fmt::join(bytes, ""));
}

// The file may say anything: a time beyond the year 9999 is shown as that year's end.
std::string time_of(std::uint64_t ms) {
    constexpr std::uint64_t last_second = 253402300799;
    const auto second = static_cast<std::time_t>(std::min(ms / 1000, last_second));
    return fmt::format("{:%FT%T}.{:03}Z", fmt::gmtime(second), ms % 1000);
}

// Each of a format's functions makes whole lines.
class Text {
  public:
    static std::string header(const EpochLogHeader& header) {
        std::string text =
            fmt::format("vm {}, begun {}\n", hex(header.vm), time_of(header.begun_ms));
        for (std::size_t i = 0; i < header.disks.size(); ++i) {
            const replay::DiskLimits& disk = header.disks[i];
            text += fmt::format("disk {}: {} bytes, blocks of {}{}\n", i, disk.capacity,
                                disk.block_size, disk.read_only ? ", read-only" : "");
        }
        return text;
    }
    static std::string epoch(const LoggedEpoch& epoch) {
        std::string text =
            fmt::format("epoch {}: generation {}, {}, {} records\n", epoch.number,
                        epoch.stamp.generation, time_of(epoch.stamp.cut_ms), epoch.records.size());
        if (epoch.stamp.shipped != 0)
            text += fmt::format("  epoch {} of its connection\n", epoch.stamp.shipped);
        return text;
    }
    static std::string record(const LoggedEpoch&, const BlockRecord& record) {
        std::string text =
            fmt::format("  {} disk {}: {}", record.sequence, record.disk, name_of(record.op));
        if (record.length != 0) text += fmt::format(" {}+{}", record.offset, record.length);
        if (record.digest != 0) text += fmt::format(" {:016x}", record.digest);
        text += record.may_unmap ? " may-unmap" : "";
        return text + (record.failed ? " failed\n" : "\n");
    }
};

class Json {
  public:
    static std::string header(const EpochLogHeader& header) {
        std::vector<JsonObject> disks;
        for (const replay::DiskLimits& disk : header.disks) {
            disks.push_back(JsonObject()
                                .add("bytes", disk.capacity)
                                .add("block_bytes", disk.block_size)
                                .add("readonly", disk.read_only));
        }
        return JsonObject()
                   .add("kind", "log")
                   .add("vm", hex(header.vm))
                   .add("begun_ms", header.begun_ms)
                   .add("disks", disks)
                   .line() +
               "\n";
    }
    static std::string epoch(const LoggedEpoch& epoch) {
        return JsonObject()
                   .add("kind", "epoch")
                   .add("epoch", epoch.number)
                   .add("generation", epoch.stamp.generation)
                   .add("shipped", epoch.stamp.shipped)
                   .add("cut_ms", epoch.stamp.cut_ms)
                   .add("records", epoch.records.size())
                   .line() +
               "\n";
    }
    static std::string record(const LoggedEpoch& epoch, const BlockRecord& record) {
        return JsonObject()
                   .add("kind", "record")
                   .add("epoch", epoch.number)
                   .add("sequence", record.sequence)
                   .add("disk", record.disk)
                   .add("op", name_of(record.op))
                   .add("offset", record.offset)
                   .add("bytes", record.length)
                   .add("digest", fmt::format("{:016x}", record.digest))
                   .add("may_unmap", record.may_unmap)
                   .add("failed", record.failed)
                   .line() +
               "\n";
    }
};

template <typename Format>
Result<void> dump(replay::EpochLogReader& reader, std::uint64_t until) {
    FMVM_TRY(print_part(Format::header(reader.header())));
    std::uint64_t last = 0;
    while (last < until) {
        const std::optional<LoggedEpoch> epoch = FMVM_TRY(blame_input(reader.next()));
        if (!epoch) break;
        last = epoch->number;
        std::string text = Format::epoch(*epoch);
        for (const BlockRecord& record : epoch->records)
            text += Format::record(*epoch, record);
        FMVM_TRY(print_part(text));
    }
    return blame_input(replay::check_end(reader, last, until));
}

}  // namespace

Result<void> dump_log(const std::string& path, std::uint64_t until, LogFormat format) {
    const auto reader = FMVM_TRY(blame_input(replay::EpochLogReader::open(path)));
    return format == LogFormat::json ? dump<Json>(*reader, until) : dump<Text>(*reader, until);
}

}  // namespace fmvm::cli
