// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/replay_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "cli/commands/log_dump.h"
#include "cli/report/report_error.h"
#include "devices/block/aligned_backend.h"
#include "devices/block/uring_backend.h"
#include "node/build/disk_labels.h"
#include "replay/image/label_file.h"

namespace fmvm::cli {

namespace {

using replay::DiskLimits;
using replay::LogSurvey;

constexpr std::chrono::milliseconds progress_interval{200};

// The image may be written to, and is as large as the log says.
Result<DiskImage> open_image(const node::DiskOptions& disk, const DiskLimits& limits) {
    DiskImage image = FMVM_TRY(
        DiskImage::open(disk.path, {.read_only = limits.read_only, .direct = disk.direct}));
    if (image.size != limits.capacity) {
        return make_error(
            "disk {}: has {} bytes, the log is of one with {}; give a copy of the image that the "
            "log starts from",
            disk.path, image.size, limits.capacity);
    }
    // Whoever has the lock has the label.
    const std::string label_beside = replay::default_label_path(disk.path);
    const replay::FoundLabel label = FMVM_TRY(replay::find_label(label_beside));
    if (label.state != replay::LabelState::absent) {
        return make_error(
            "disk {}: has a label ({}), so that a protected guest may use it; replay onto a copy "
            "without one",
            disk.path, label_beside);
    }
    return image;
}

Result<std::unique_ptr<BlockBackend>> open_disk(EventLoop& loop, const node::DiskOptions& disk,
                                                const DiskLimits& limits) {
    DiskImage image = FMVM_TRY(open_image(disk, limits));
    const std::uint32_t alignment = image.memory_alignment;
    std::unique_ptr<BlockBackend> backend = FMVM_TRY(UringBackend::create(loop, std::move(image)));
    if (alignment > 1) backend = std::make_unique<AlignedBackend>(std::move(backend), alignment);
    return backend;
}

Result<std::vector<std::unique_ptr<BlockBackend>>> open_disks(EventLoop& loop,
                                                              const ReplayOptions& options,
                                                              const LogSurvey& survey) {
    const std::size_t wanted = survey.header.disks.size();
    if (options.disks.size() != wanted) {
        return make_error("log {}: is of {} disk{}, {} given; give --disk IMAGE for each, in order",
                          options.log, wanted, wanted == 1 ? "" : "s", options.disks.size());
    }
    std::vector<std::unique_ptr<BlockBackend>> disks;
    for (std::size_t i = 0; i < wanted; ++i)
        disks.push_back(FMVM_TRY(open_disk(loop, options.disks[i], survey.header.disks[i])));
    return disks;
}

// For somebody who watches; a pipe gets only the summary.
class Progress {
  public:
    explicit Progress(std::uint64_t epochs) : epochs_(epochs) {}
    ~Progress() {
        if (shown_) fmt::print(stderr, "\r\x1b[K");
    }
    void operator()(std::uint64_t epoch) {
        const auto now = std::chrono::steady_clock::now();
        if (!watched_ || now - last_ < progress_interval) return;
        last_ = now;
        shown_ = true;
        fmt::print(stderr, "\rreplaying: epoch {} of {}", epoch, epochs_);
    }

  private:
    const std::uint64_t epochs_;
    const bool watched_ = ::isatty(STDERR_FILENO) == 1;
    bool shown_ = false;
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

void tell(const LogSurvey& survey, const replay::ReplayedLog& done) {
    const std::string where = survey.last.shipped == 0
                                  ? std::string("unprotected")
                                  : fmt::format("generation {}, epoch {} of its connection",
                                                survey.last.generation, survey.last.shipped);
    fmt::print(
        "replayed {} epochs, {} records, {} bytes written; {} page reads verified, {} passed "
        "over; the last epoch: {} ({})\n",
        survey.epochs, survey.records, survey.bytes_written, done.reads_verified, done.reads_passed,
        survey.epochs, where);
}

int replay_onto(const ReplayOptions& options) {
    const Result<LogSurvey> survey = replay::survey_log(options.log, options.until);
    if (!survey.ok()) return report_error(survey.error().message(), ExitStatus::usage);
    EventLoop loop;  // not started: the replayer drives the disks itself
    const auto disks = open_disks(loop, options, survey.value());
    if (!disks.ok()) return report_error(disks.error().message(), ExitStatus::usage);
    std::vector<BlockBackend*> backends;
    for (const auto& disk : disks.value())
        backends.push_back(disk.get());
    Result<replay::ReplayedLog> done = [&] {
        Progress progress(survey.value().epochs);
        return replay::replay_log(survey.value(), backends, std::ref(progress));
    }();
    if (!done.ok()) return report_error(done.error().message(), ExitStatus::failure);
    tell(survey.value(), *done);
    return to_int(ExitStatus::ok);
}

int dump(const ReplayOptions& options) {
    const LogFormat format =
        options.what == ReplayOptions::Do::dump_json ? LogFormat::json : LogFormat::text;
    const Result<void> dumped = dump_log(options.log, options.until, format);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        return report_error("standard output: cannot be written", ExitStatus::failure);
    if (!dumped.ok()) return report_error(dumped.error().message(), ExitStatus::usage);
    return to_int(ExitStatus::ok);
}

}  // namespace

int replay_command(const ReplayOptions& options) {
    return options.what == ReplayOptions::Do::replay ? replay_onto(options) : dump(options);
}

}  // namespace fmvm::cli
