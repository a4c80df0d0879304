// SPDX-License-Identifier: Apache-2.0
#include "lockstep/stats/epoch_stats.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/json_writer.h"
#include "base/log.h"
#include "base/open_file.h"

namespace fmvm::lockstep {

namespace {

using Duration = std::chrono::steady_clock::duration;

double microseconds(Duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
}

// What is known of an epoch: its name in the trace, its name for people, its value.
struct Figure {
    const char* key;
    const char* title;
    double (*value)(const EpochRecord&);
};

double number(std::uint64_t value) {
    return static_cast<double>(value);
}

constexpr Figure figures[] = {
    {"interval_us", "from cut to cut, us", [](const auto& r) { return microseconds(r.interval); }},
    {"stood_us", "guest stood, us", [](const auto& r) { return microseconds(r.cut.stood); }},
    {"stop_us", "  until all stood", [](const auto& r) { return microseconds(r.cut.stop); }},
    {"dirty_us", "  the dirty set", [](const auto& r) { return microseconds(r.cut.dirty); }},
    {"copy_us", "  copying pages", [](const auto& r) { return microseconds(r.cut.copy); }},
    {"state_us", "  saving state", [](const auto& r) { return microseconds(r.cut.state); }},
    {"digest_us", "  digests (verify)", [](const auto& r) { return microseconds(r.cut.digest); }},
    {"ack_us", "acknowledged after, us",
     [](const auto& r) { return microseconds(r.acknowledged); }},
    {"pages_found", "pages found", [](const auto& r) { return number(r.cut.pages_found); }},
    {"pages_new", "  not hot", [](const auto& r) { return number(r.cut.pages_new); }},
    {"pages_sent", "pages sent", [](const auto& r) { return number(r.pages.records); }},
    {"pages_zero", "  as zeroes", [](const auto& r) { return number(r.pages.zero); }},
    {"pages_delta", "  as differences", [](const auto& r) { return number(r.pages.delta); }},
    {"pages_lz4", "  packed by LZ4", [](const auto& r) { return number(r.pages.lz4); }},
    {"pages_unchanged", "pages unchanged", [](const auto& r) { return number(r.pages.unchanged); }},
    {"pages_filled", "pages that the backup reads",
     [](const auto& r) { return number(r.pages.filled); }},
    {"disk_records", "disk records", [](const auto& r) { return number(r.blocks.records); }},
    {"disk_referred", "  bytes written, not sent",
     [](const auto& r) { return number(r.blocks.referred_bytes); }},
    {"disk_sent", "  bytes written, sent",
     [](const auto& r) { return number(r.blocks.sent_bytes); }},
    {"disk_log", "  bytes of the block log",
     [](const auto& r) { return number(r.blocks.log_bytes); }},
    {"disk_read", "  bytes read again", [](const auto& r) { return number(r.blocks.read_bytes); }},
    {"bytes", "bytes on the wire", [](const auto& r) { return number(r.bytes); }},
    {"output_bytes", "bytes of output held", [](const auto& r) { return number(r.output_bytes); }},
};

// How a line of a trace begins, by which a trace of before is known again.
constexpr std::string_view trace_start = "{\"epoch\":";

std::string trace_line(const EpochRecord& record) {
    JsonObject line;
    line.add("epoch", record.epoch);
    for (const Figure& figure : figures)
        line.add(figure.key, std::llround(figure.value(record)));
    return line.line() + '\n';
}

std::string percentiles(const std::deque<EpochRecord>& records, const Figure& figure) {
    std::vector<double> values;
    values.reserve(records.size());
    for (const EpochRecord& record : records)
        values.push_back(figure.value(record));
    std::ranges::sort(values);
    const auto at = [&](double share) {
        return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
    };
    return fmt::format("  {:<24} p50 {:>9.0f}  p95 {:>9.0f}  p99 {:>9.0f}  max {:>9.0f}\n",
                       figure.title, at(0.5), at(0.95), at(0.99), values.back());
}

}  // namespace

Result<UniqueFd> open_trace(const std::string& path) {
    Result<UniqueFd> fd = open_private_file(path, O_RDWR | O_APPEND);
    if (!fd.ok())
        return make_error("--trace {}: {}; name another file", path, fd.error().message());
    std::array<char, trace_start.size()> start{};
    const ssize_t count = ::pread(fd->get(), start.data(), start.size(), 0);  // < 0: a pipe
    if (count > 0 &&
        std::string_view(start.data(), static_cast<std::size_t>(count)) != trace_start) {
        return make_error(
            "--trace {}: exists and is not a trace, which would take its place; name another file",
            path);
    }
    return fd;
}

Result<void> EpochStats::trace_to(const std::string& path) {
    UniqueFd fd = FMVM_TRY(open_trace(path));
    if (::ftruncate(fd.get(), 0) != 0 && errno != EINVAL)
        return errno_error(errno, fmt::format("--trace {}: cannot be emptied", path));
    const Lock lock(mutex_);
    trace_.reset(::fdopen(fd.release(), "a"));
    FMVM_CHECK(trace_ != nullptr);
    return {};
}

void EpochStats::add(const EpochRecord& record) {
    const Lock lock(mutex_);
    ++total_;
    records_.push_back(record);
    if (records_.size() > window) records_.pop_front();
    if (!trace_) return;
    const std::string line = trace_line(record);
    const std::size_t written = std::fwrite(line.data(), 1, line.size(), trace_.get());
    if (std::fflush(trace_.get()) == 0 && written == line.size()) return;
    log::warning("trace", "--trace: cannot be written any more, and ends at epoch {}: {}",
                 record.epoch, std::strerror(errno));
    trace_.reset();
}

std::string EpochStats::summary() const {
    const Lock lock(mutex_);
    if (records_.empty()) return {};
    std::string text = fmt::format("{} epochs; the last {}:\n", total_, records_.size());
    for (const Figure& figure : figures)
        text += percentiles(records_, figure);
    return text;
}

}  // namespace fmvm::lockstep
