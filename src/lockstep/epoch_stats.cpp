// SPDX-License-Identifier: Apache-2.0
#include "lockstep/epoch_stats.h"

#include <algorithm>
#include <vector>

namespace fmvm::lockstep {

namespace {

using Duration = std::chrono::steady_clock::duration;

double microseconds(Duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
}

std::string trace_line(const EpochRecord& record, Duration interval) {
    const CutReport& cut = record.cut;
    return fmt::format(
        "{{\"epoch\":{},\"interval_us\":{:.0f},\"stood_us\":{:.1f},\"stop_us\":{:.1f},"
        "\"dirty_us\":{:.1f},\"copy_us\":{:.1f},\"state_us\":{:.1f},\"digest_us\":{:.1f},"
        "\"pages_found\":{},\"pages_sent\":{},\"pages_zero\":{},\"pages_delta\":{},"
        "\"pages_unchanged\":{},\"bytes\":{},\"output_bytes\":{},\"ack_us\":{:.1f}}}\n",
        record.epoch, microseconds(interval), microseconds(cut.stood), microseconds(cut.stop),
        microseconds(cut.dirty), microseconds(cut.copy), microseconds(cut.state),
        microseconds(cut.digest), cut.pages_found, record.pages.records, record.pages.zero,
        record.pages.delta, record.pages.unchanged, record.bytes, record.output_bytes,
        microseconds(record.acknowledged));
}

template <typename Value>
std::string percentiles(const std::deque<EpochRecord>& records, const char* name, Value value) {
    std::vector<double> values;
    for (const EpochRecord& record : records)
        values.push_back(value(record));
    std::ranges::sort(values);
    const auto at = [&](double share) {
        return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
    };
    return fmt::format("  {:<28} p50 {:>10.1f}  p95 {:>10.1f}  p99 {:>10.1f}  max {:>10.1f}\n",
                       name, at(0.5), at(0.95), at(0.99), values.back());
}

}  // namespace

Result<void> EpochStats::trace_to(const std::string& path) {
    const std::lock_guard lock(mutex_);
    trace_.reset(std::fopen(path.c_str(), "we"));
    if (!trace_) return errno_error(errno, fmt::format("trace {}: cannot be written", path));
    return {};
}

void EpochStats::add(const EpochRecord& record) {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    const Duration interval = total_++ == 0 ? Duration{} : now - last_;
    last_ = now;
    records_.push_back(record);
    if (records_.size() > window) records_.pop_front();
    if (!trace_) return;
    const std::string line = trace_line(record, interval);
    std::fwrite(line.data(), 1, line.size(), trace_.get());
    std::fflush(trace_.get());
}

std::string EpochStats::summary() const {
    const std::lock_guard lock(mutex_);
    if (records_.empty()) return {};
    std::string text = fmt::format("{} epochs; the last {}:\n", total_, records_.size());
    const auto number = [](std::uint64_t value) { return static_cast<double>(value); };
    text += percentiles(records_, "guest stood, us",
                        [](const EpochRecord& r) { return microseconds(r.cut.stood); });
    text += percentiles(records_, "acknowledged after, us",
                        [](const EpochRecord& r) { return microseconds(r.acknowledged); });
    text += percentiles(records_, "pages found",
                        [&](const EpochRecord& r) { return number(r.cut.pages_found); });
    text += percentiles(records_, "pages sent",
                        [&](const EpochRecord& r) { return number(r.pages.records); });
    text += percentiles(records_, "bytes on the wire",
                        [&](const EpochRecord& r) { return number(r.bytes); });
    return text;
}

}  // namespace fmvm::lockstep
