// SPDX-License-Identifier: Apache-2.0
#include "replay/archive/log_replay.h"

#include "base/log.h"
#include "replay/apply/replayer.h"

namespace fmvm::replay {

namespace {

void add_to_survey(LogSurvey& survey, const LoggedEpoch& epoch) {
    for (const BlockRecord& record : epoch.records) {
        ++survey.records;
        if (!has_changed_disk(record)) continue;
        survey.changes[record.disk].add(record.offset, record.length, survey.records);
        if (record.op == BlockOp::write) survey.bytes_written += record.length;
    }
    survey.epochs = epoch.number;
    survey.last = epoch.stamp;
}

// Those that are carried out: all changes, and reads that say something about the result. Flushes
// are one at the end.
std::vector<BlockRecord> choose(const LogSurvey& survey, LoggedEpoch& epoch, std::uint64_t& number,
                                ReplayedLog& done) {
    std::vector<BlockRecord> chosen;
    for (BlockRecord& record : epoch.records) {
        ++number;
        if (record.op == BlockOp::flush) continue;
        if (record.op == BlockOp::read) {
            const LastChanges& changes = survey.changes[record.disk];
            const bool stays = changes.latest(record.offset, record.length) < number;
            ++(stays ? done.reads_verified : done.reads_passed);
            if (!stays) continue;
        }
        chosen.push_back(std::move(record));
    }
    return chosen;
}

}  // namespace

Result<void> check_end(const EpochLogReader& reader, std::uint64_t last, std::uint64_t until) {
    if (reader.torn()) {
        log::notice("replay",
                    "log {}: ends in the middle of epoch {}, which does not count (its writer was "
                    "killed, or is still at work)",
                    reader.path(), last + 1);
    }
    if (until == until_end || last == until) return {};
    return make_error("log {}: ends with epoch {}; give --until that or an earlier one",
                      reader.path(), last);
}

Result<LogSurvey> survey_log(const std::string& path, std::uint64_t until) {
    const auto reader = FMVM_TRY(EpochLogReader::open(path));
    LogSurvey survey;
    survey.path = path;
    survey.header = reader->header();
    survey.changes.resize(survey.header.disks.size());
    while (survey.epochs < until) {
        const std::optional<LoggedEpoch> epoch = FMVM_TRY(reader->next());
        if (!epoch) break;
        add_to_survey(survey, *epoch);
    }
    FMVM_TRY(check_end(*reader, survey.epochs, until));
    return survey;
}

Result<ReplayedLog> replay_log(const LogSurvey& survey, const std::vector<BlockBackend*>& disks,
                               const std::function<void(std::uint64_t)>& progress) {
    const auto reader = FMVM_TRY(EpochLogReader::open(survey.path));
    Replayer replayer(nullptr, disks);
    ReplayedLog done;
    std::uint64_t number = 0;
    for (std::uint64_t i = 0; i < survey.epochs; ++i) {
        std::optional<LoggedEpoch> epoch = FMVM_TRY(reader->next());
        if (!epoch) return make_error("log {}: became shorter while it was read", survey.path);
        const std::vector<BlockRecord> records = choose(survey, *epoch, number, done);
        for (const BlockRecord& record : records)
            FMVM_TRY(replayer.check(record));
        const Result<void> replayed = replayer.replay(records);
        if (!replayed.ok()) {
            return make_error(
                "log {}: epoch {}: {}; is each image a copy of what the log starts from?",
                survey.path, epoch->number, replayed.error().message());
        }
        progress(epoch->number);
    }
    FMVM_TRY(replayer.sync());
    return done;
}

}  // namespace fmvm::replay
