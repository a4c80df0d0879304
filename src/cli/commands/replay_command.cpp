// SPDX-License-Identifier: Apache-2.0
#include "cli/commands/replay_command.h"

#include <fmt/format.h>

#include "cli/commands/log_dump.h"
#include "cli/report/print_result.h"
#include "cli/report/progress_line.h"
#include "cli/report/report_error.h"
#include "node/build/disk_stack.h"
#include "replay/image/label_file.h"

namespace fmvm::cli {

namespace {

using replay::DiskLimits;
using replay::LogSurvey;

// Opens an image that may be written to, and is as large as the log says.
Result<DiskImage> open_image(const node::DiskOptions& disk, const DiskLimits& limits) {
    DiskImage image = FMVM_TRY(
        DiskImage::open(disk.path, {.read_only = limits.read_only, .direct = disk.direct}));
    if (image.size != limits.capacity) {
        return make_error(
            "disk {}: has {} bytes, the log is of one with {}; give a copy of the image that the "
            "log starts from",
            disk.path, image.size, limits.capacity);
    }
    // Only now: whoever has the image's lock has the label.
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
    return FMVM_TRY(node::DiskStack::open(loop, std::move(image))).take();
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

std::string summary(const LogSurvey& survey, const replay::ReplayedLog& done) {
    const std::string where = survey.last.shipped == 0
                                  ? std::string("unprotected")
                                  : fmt::format("generation {}, epoch {} of its connection",
                                                survey.last.generation, survey.last.shipped);
    return fmt::format(
        "replayed {} epochs, {} records, {} bytes written; {} page reads verified, {} passed "
        "over; the last epoch: {} ({})\n",
        survey.epochs, survey.records, survey.bytes_written, done.reads_verified, done.reads_passed,
        survey.epochs, where);
}

int replay_onto(const ReplayOptions& options) {
    const Result<LogSurvey> survey = replay::survey_log(options.log, options.until);
    if (!survey.ok()) return report_bad_usage(survey.error());
    EventLoop loop;  // not started: the replayer drives the disks itself
    const auto disks = open_disks(loop, options, survey.value());
    if (!disks.ok()) return report_bad_usage(disks.error());
    std::vector<BlockBackend*> backends;
    for (const auto& disk : disks.value())
        backends.push_back(disk.get());
    ProgressLine progress;
    Result<replay::ReplayedLog> done =
        replay::replay_log(survey.value(), backends, [&](std::uint64_t epoch) {
            progress.show(fmt::format("replaying: epoch {} of {}", epoch, survey.value().epochs));
        });
    progress.clear();
    if (!done.ok()) return report_error(done.error());
    return print_result(summary(survey.value(), *done));
}

int dump(const ReplayOptions& options) {
    const LogFormat format =
        options.what == ReplayOptions::Do::dump_json ? LogFormat::json : LogFormat::text;
    const Result<void> dumped = dump_log(options.log, options.until, format);
    return dumped.ok() ? to_int(ExitStatus::ok) : report_error(dumped.error());
}

}  // namespace

int replay_command(const ReplayOptions& options) {
    return options.what == ReplayOptions::Do::replay ? replay_onto(options) : dump(options);
}

}  // namespace fmvm::cli
